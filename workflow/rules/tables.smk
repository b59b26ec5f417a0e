# Metrics and overlaps -> tables.
QUALITY, SIGNIFICANCE, OVERLAP = (
    [LAYOUT.table(name, suffix) for suffix in ("csv", "md", "tex", "html")]
    for name in ("quality", "significance", "segmentation")
)
# Every table by name, with its title.
TABLE_NAMES = {"quality": "Image quality"}
if STUDY.segmentation is not None:
    TABLE_NAMES |= {"segmentation": "Overlap of segmentations"}
TABLE_NAMES |= {"significance": "Significance: every method against the best"}
TABLES = [*QUALITY, *SIGNIFICANCE, *(OVERLAP if STUDY.segmentation is not None else [])]
REFERENCE_SCORES = [
    LAYOUT.reference_scores(dataset)
    for dataset in STUDY.real_datasets
    if STUDY.datasets[dataset].reference
]


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
        cells=summary.cells(STUDY),
        notes=summary.notes(STUDY),
        published=[
            {key: entry[key] for key in ("dataset", "source")}
            for entry in summary.published(STUDY)
        ],
        baseline=STUDY.config["baseline"],
        datasets=[STUDY.datasets[dataset].label for dataset in STUDY.measured_datasets],
        metrics=STUDY.config["metrics"],
        regions=STUDY.config["regions"],
        empty_slices=STUDY.config["empty_slices"],
        seed=STUDY.seed,
        code=code_digest("mrisr.quality"),
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
        cells=summary.cells(STUDY),
        baseline=STUDY.config["baseline"],
        metrics=STUDY.config["metrics"],
        regions=STUDY.config["regions"],
        seed=STUDY.seed,
        code=code_digest("mrisr.significance"),
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
            cells=summary.segmented_cells(STUDY),
            notes=summary.segmentation_notes(STUDY),
            published=[
                {key: entry[key] for key in ("dataset", "source")}
                for entry in summary.published_overlap(STUDY)
            ],
            code=code_digest("mrisr.overlap_table"),
        message:
            "Writing the table of overlap"
        script:
            "../scripts/overlap_table.py"


rule tables:
    input:
        TABLES,
