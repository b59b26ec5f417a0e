"""Jobs that turn raw scans into training data and into LR input."""

from mrisr.common.layout import scale_name
from mrisr.data.datasets import Dataset
from mrisr.plan.job_list import JobList
from mrisr.study.study import Study


def add_data(jobs: JobList) -> None:
    """Add the jobs that fetch, prepare and check scans, priors and imported weights."""
    study, layout = jobs.study, jobs.layout
    prepared = []
    for name, dataset in study.datasets.items():
        for split in study.splits(name):
            subjects, items = dataset.subjects[split], study.items(name, split)
            work = len(subjects) * jobs.sizes.raw_voxels(name)
            about = {"size": work, "voxels": jobs.sizes.raw_voxels(name)}
            fetched = jobs.add(
                *("data", f"fetch_{name}_{split}", "fetch", [layout.sources(name, split)]),
                layout.sources(name, split),
                variant="simulate" if dataset.kind == "bundled" else "read",
                **about,
            )
            if not dataset.has_ground_truth:
                continue
            prepared.append(
                jobs.add(
                    *("data", f"prepare_{name}_{split}", "prepare"),
                    [
                        *(f for i in items for f in (layout.hr(name, i), layout.mask(name, i))),
                        layout.hr_list(name, split),
                    ],
                    f"{layout.root}/hr/{name}_{split}",
                    variant=dataset.spec["mask"]["kind"],
                    after=[fetched],
                    **about,
                )
            )
        if name in study.real_datasets:
            prepared += _real(jobs, name, dataset)
    priors = []
    if study.segmentation is not None:
        files = [layout.atlas("template"), layout.atlas("priors")]
        priors = [jobs.add("data", "fetch_priors", "fetch_priors", files, files[1])]
    imports = []
    for method, trained in study.models():
        if method.imported:
            folder = layout.model(method.name, trained)
            imports.append(
                jobs.add(
                    *("data", f"import_{method.name}", "import"),
                    [f"{folder}/model.safetensors", f"{folder}/model.json"],
                    folder,
                    variant=method.name,
                    wildcards=trained,
                )
            )
    if _trains(study):
        checked = [layout.checked()]
        after = [*prepared, *priors, *imports]
        jobs.add("data", "check_scans", "check_scans", checked, "", after=after)
    jobs.add("data", "dataset_terms", "dataset_terms", [layout.licences()], "")


def _trains(study: Study) -> bool:
    """Say whether anything is trained. Only trainings wait for the check of all scans."""
    return (
        any(not method.imported for method, _ in study.models())
        or bool(study.early_stopping)
        or any(cell.method.per_subject and not cell.skipped for cell in study.cells())
    )


def _real(jobs: JobList, name: str, dataset: Dataset) -> list[str]:
    """Add the jobs that prepare real LR scans and HR references; return their names."""
    study, layout = jobs.study, jobs.layout
    subjects = dataset.subjects["test"]
    voxels = jobs.sizes.raw_voxels(name)
    done = []
    for scale in map(scale_name, study.scales(name)):
        inputs = [file for s in subjects for file in study.inputs(name, s)]
        # For stacks also the masks of the voxels that are data.
        grids = [*subjects, *(inputs if dataset.stacked else [])]
        what = "stacks" if dataset.stacked else "real"
        done.append(
            jobs.add(
                *("data", f"prepare_{name}_{what}", f"prepare_{what}"),
                [*jobs.files.lr(name, scale), *jobs.files.sr_grids(name, scale, grids)],
                f"{layout.root}/lr/{name}/x{scale}",
                wildcards=scale,
                size=len(subjects) * voxels,
                voxels=voxels,
                after=[f"fetch_{name}_test"],
            )
        )
    if dataset.reference is None:
        return done
    sources = layout.sources(name, "reference")
    fetched = jobs.add(
        *("data", f"fetch_{name}_reference", "fetch", [sources], sources),
        variant="read",
        size=len(subjects) * voxels,
        voxels=voxels,
    )
    made = jobs.add(
        *("data", f"prepare_{name}_reference", "prepare_reference"),
        jobs.files.hr_references(name),
        f"{layout.root}/references/{name}",
        variant=dataset.register,
        size=len(subjects) * voxels,
        voxels=voxels,
        after=[fetched, done[0]],
    )
    jobs.add(
        *("evaluate", f"reference_scores_{name}", "evaluate"),
        [layout.hr_reference_scores(name)],
        layout.hr_reference_scores(name),
        variant=jobs.metrics,
        size=len(subjects) * voxels,
        voxels=voxels,
        after=[made],
    )
    return [*done, made]


def add_degradation(jobs: JobList) -> None:
    """Add the jobs that simulate LR."""
    study, layout = jobs.study, jobs.layout
    for name in study.measured_datasets:
        items = study.items(name, "test")
        shown = [cell.scale for cell in jobs.shown if cell.dataset == name]
        for scale in map(scale_name, [*study.scales(name), *shown]):
            jobs.add(
                *("degrade", f"degrade_{name}", "degrade"),
                [
                    *jobs.files.lr(name, scale),
                    *jobs.files.lr_sidecars(name, scale),
                    layout.lr_list(name, scale),
                ],
                f"{layout.root}/lr/{name}/x{scale}",
                wildcards=scale,
                variant=study.degradation["kind"],
                size=len(items) * jobs.sizes.hr_voxels(name),
                voxels=jobs.sizes.hr_voxels(name),
                after=[f"prepare_{name}_test"],
            )
