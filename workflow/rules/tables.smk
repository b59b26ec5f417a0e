# Metrics and overlaps -> tables.
QUALITY, SIGNIFICANCE, OVERLAP = (
    [LAYOUT.table(name, suffix) for suffix in ("csv", "md", "tex", "html")]
    for name in ("quality", "significance", "segmentation")
)
PAPER_TABLES = summary.paper_tables(STUDY)
# Every table by name, with its title; those laid out as in papers come first.
TABLE_NAMES = {name: spec["title"] for name, spec in PAPER_TABLES.items()}
TABLE_NAMES |= {"quality": "Image quality"}
if STUDY.segmentation is not None:
    TABLE_NAMES |= {"segmentation": "Overlap of segmentations"}
TABLE_NAMES |= {"significance": "Significance: every method against the best"}
TABLES = [
    LAYOUT.table(name, suffix) for name in TABLE_NAMES for suffix in ("csv", "md", "tex", "html")
]
REFERENCE_SCORES = [
    LAYOUT.reference_scores(dataset)
    for dataset in STUDY.real_datasets
    if STUDY.datasets[dataset].reference
]


def ground_truth_scores(spec):
    """Scores of the ground truths that a paper's table has a footnote from; one file at most."""
    measured = spec["dataset"] in STUDY.measured_datasets
    taken = set(STUDY.slice_metrics) & set(spec["metrics"])
    return [LAYOUT.ground_truth_scores(spec["dataset"])] if measured and taken else []


rule quality_table:
    input:
        metrics=metrics_files(STUDY.cells()),
        models=[f"{model['folder']}/model.json" for model in summary.models(STUDY)],
        published=[entry["file"] for entry in summary.published(STUDY)],
        scores=[
            LAYOUT.ground_truth_scores(dataset)
            for dataset in STUDY.measured_datasets
            if STUDY.slice_metrics
        ],
        fetched=fetched_metrics(),
        references=REFERENCE_SCORES,
    output:
        csv=report(QUALITY[0], caption="../report/quality.rst", category="Tables"),
        md=QUALITY[1],
        tex=QUALITY[2],
        html=report(QUALITY[3], caption="../report/quality.rst", category="Tables"),
    log:
        LAYOUT.log(QUALITY[0]),
    benchmark:
        LAYOUT.benchmark(QUALITY[0])
    conda:
        ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=[STUDY.datasets[dataset].label for dataset in STUDY.measured_datasets],
        arguments={
            "cells": summary.cells(STUDY),
            "notes": summary.notes(STUDY),
            "published": summary.published(STUDY),
            "seed": STUDY.seed,
            "baseline": STUDY.config["baseline"],
            "metrics": STUDY.config["metrics"],
            "regions": STUDY.config["regions"],
            "empty_slices": STUDY.config["empty_slices"],
        },
        code=code_digest("mrisr.table_files"),
    message:
        "Writing the table of image quality"
    script:
        "../scripts/quality.py"


rule significance_table:
    input:
        metrics=metrics_files(STUDY.cells()),
        models=[f"{model['folder']}/model.json" for model in summary.models(STUDY)],
    output:
        csv=report(SIGNIFICANCE[0], caption="../report/significance.rst", category="Tables"),
        md=SIGNIFICANCE[1],
        tex=SIGNIFICANCE[2],
        html=report(SIGNIFICANCE[3], caption="../report/significance.rst", category="Tables"),
    log:
        LAYOUT.log(SIGNIFICANCE[0]),
    benchmark:
        LAYOUT.benchmark(SIGNIFICANCE[0])
    conda:
        ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        arguments={
            "cells": summary.cells(STUDY),
            "seed": STUDY.seed,
            "baseline": STUDY.config["baseline"],
            "metrics": STUDY.config["metrics"],
            "regions": STUDY.config["regions"],
        },
        code=code_digest("mrisr.table_files"),
    message:
        "Testing every method against the best"
    script:
        "../scripts/significance.py"


if STUDY.segmentation is not None:

    rule segmentation_table:
        input:
            overlap=[cell["path"] for cell in summary.segmented_cells(STUDY) if not cell["skipped"]],
            published=[entry["file"] for entry in summary.published_overlap(STUDY)],
            # It says which rows support no conclusion.
            quality=LAYOUT.table("quality", "csv"),
        output:
            csv=report(OVERLAP[0], caption="../report/segmentation_table.rst", category="Tables"),
            md=OVERLAP[1],
            tex=OVERLAP[2],
            html=report(OVERLAP[3], caption="../report/segmentation_table.rst", category="Tables"),
        log:
            LAYOUT.log(OVERLAP[0]),
        benchmark:
            LAYOUT.benchmark(OVERLAP[0])
        conda:
            ENV
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            arguments={
                "cells": summary.segmented_cells(STUDY),
                "notes": summary.segmentation_notes(STUDY),
                "published": summary.published_overlap(STUDY),
            },
            code=code_digest("mrisr.table_files"),
        message:
            "Writing the table of overlap"
        script:
            "../scripts/overlap_table.py"


for paper_name, paper_spec in PAPER_TABLES.items():

    rule:
        name:
            f"table_{paper_name}"
        input:
            # Means are taken in one place; this is a view of them.
            complete=LAYOUT.table(
                "segmentation" if paper_spec["kind"] == "overlap" else "quality", "csv"
            ),
            models=[f"{folder}/model.json" for folder in summary.paper_models(STUDY, paper_spec)],
            published=[entry["file"] for entry in paper_spec["published"]],
            scores=ground_truth_scores(paper_spec),
            fetched=[
                LAYOUT.metric_file(metric)
                for metric in STUDY.metrics_with("fetch")
                if metric in paper_spec["metrics"]
            ],
        output:
            csv=report(
                LAYOUT.table(paper_name, "csv"),
                caption="../report/paper_table.rst",
                category="Tables",
            ),
            md=LAYOUT.table(paper_name, "md"),
            tex=LAYOUT.table(paper_name, "tex"),
            html=report(
                LAYOUT.table(paper_name, "html"),
                caption="../report/paper_table.rst",
                category="Tables",
            ),
        log:
            LAYOUT.log(LAYOUT.table(paper_name, "csv")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.table(paper_name, "csv"))
        conda:
            ENV
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            arguments={
                "spec": paper_spec,
                "cells": summary.paper_cells(STUDY, paper_spec),
                "notes": summary.paper_notes(STUDY, paper_spec),
                "baseline": summary.baseline_label(STUDY),
                "empty_slices": STUDY.config["empty_slices"],
            },
            code=code_digest("mrisr.table_files"),
        message:
            f"Writing {paper_spec['title']}"
        script:
            "../scripts/paper_table.py"


rule tables:
    input:
        TABLES,
