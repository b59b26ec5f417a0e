"""Jobs that write tables, figures and the report."""

from collections.abc import Sequence

from mrisr.common.layout import FIGURE_SUFFIXES, TABLE_SUFFIXES
from mrisr.plan import figures, tables
from mrisr.plan.job_list import JobList


def add_tables(jobs: JobList) -> None:
    """Add the jobs that write tables, figures and the report."""
    study, layout = jobs.study, jobs.layout
    makers = {file: g.name for g in jobs.found for made in g.outputs for file in made}

    def after(inputs: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(makers[file] for file in inputs if file in makers))

    made = []
    for table in tables.in_making_order(tables.tables(study)):
        files = [layout.table(table.name, suffix) for suffix in TABLE_SUFFIXES]
        made.append(
            jobs.add(
                *("tables", table.rule, "table", files, files[0]),
                variant=table.maker,
                after=after(table.inputs),
            )
        )
        makers |= dict.fromkeys(files, made[-1])
    for dataset, _ in figures.lesion_subjects(study):
        sources = layout.sources(dataset, "lesions")
        rule = f"fetch_{dataset}_lesions"
        made.append(
            jobs.add(
                *("tables", rule, "fetch", [sources], sources),
                variant="read",
                size=1,
                request="fetch_lesions",
            )
        )
        makers[sources] = made[-1]
    for figure in figures.figures(study):
        made.append(
            jobs.add(
                *("tables", f"figure_{figure.name}", "figure"),
                [layout.figure(figure.name, suffix) for suffix in FIGURE_SUFFIXES],
                f"{layout.root}/figures/{figure.name}",
                variant=figure.kind,
                voxels=max(map(jobs.sizes.hr_voxels, study.test_datasets)),
                after=after(figure.inputs),
            )
        )
    files = [layout.report(), layout.manifest()]
    jobs.add("tables", "report_page", "report", files, files[0], after=made)
