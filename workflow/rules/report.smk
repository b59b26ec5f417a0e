# Metrics -> tables, figures, the report and the manifest.
QUALITY, SIGNIFICANCE = (
    [LAYOUT.table(name, suffix) for suffix in ("csv", "md", "tex", "html")]
    for name in ("quality", "significance")
)
TABLES = [*QUALITY, *SIGNIFICANCE]
FIGURES = [f"comparison_{dataset}" for dataset in STUDY.measured_datasets]
REAL_FIGURES = [f"real_{dataset}" for dataset in STUDY.real_datasets]
ALL_FIGURES = FIGURES + SEGMENTATION_FIGURES + REAL_FIGURES
REFERENCE_SCORES = [
    LAYOUT.reference_scores(dataset)
    for dataset in STUDY.real_datasets
    if STUDY.datasets[dataset].reference
]
# Studies without learned methods have no losses.
CURVES = ["curves"] if summary.has_losses(STUDY) else []


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


for dataset in STUDY.measured_datasets:
    subject = STUDY.items(dataset, "test")[0]

    rule:
        name:
            f"figure_comparison_{dataset}"
        input:
            hr=LAYOUT.hr(dataset, subject),
            mask=LAYOUT.mask(dataset, subject),
            sr=[
                LAYOUT.sr(dataset, cell.method.name, scale_name(cell.scale), subject)
                for cell in STUDY.cells(dataset)
                if not cell.skipped
            ],
            metrics=metrics_files(STUDY.cells(dataset)),
        output:
            png=report(
                LAYOUT.figure(f"comparison_{dataset}", "png"),
                caption="../report/comparison.rst",
                category="Figures",
            ),
            pdf=LAYOUT.figure(f"comparison_{dataset}", "pdf"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/figures/comparison_{dataset}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/figures/comparison_{dataset}")
        conda:
            ENV
        resources:
            mem_mb=4000,
            runtime=20,
        params:
            cells=summary.cells(STUDY, dataset),
            subject=subject,
            dataset=STUDY.datasets[dataset].label,
            code=code_digest("mrisr.figures"),
        message:
            f"Drawing the comparison on {dataset}"
        script:
            "../scripts/figures.py"


if CURVES:

    rule figure_curves:
        input:
            [f"{model['folder']}/log.csv" for model in summary.models(STUDY)],
        output:
            png=report(
                LAYOUT.figure("curves", "png"),
                caption="../report/curves.rst",
                category="Figures",
            ),
            pdf=LAYOUT.figure("curves", "pdf"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/figures/curves"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/figures/curves")
        conda:
            ENV
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            models=summary.models(STUDY),
            code=code_digest("mrisr.figure_curves"),
        message:
            "Drawing the training curves"
        script:
            "../scripts/figure_curves.py"


rule report_page:
    input:
        table=LAYOUT.table("quality", "html"),
        significance=LAYOUT.table("significance", "html"),
        overlap=OVERLAP_TABLES[3:],
        figures=[LAYOUT.figure(name, "png") for name in ALL_FIGURES],
        curves=[LAYOUT.figure(name, "png") for name in CURVES],
        models=model_files(),
        sources=[
            LAYOUT.sources(dataset, split)
            for dataset in STUDY.datasets
            for split in STUDY.splits(dataset)
        ]
        + [LAYOUT.sources(dataset, "reference") for dataset in LOCAL_REFERENCES]
        + atlas_files(),
        tables=TABLES + OVERLAP_TABLES,
    output:
        page=report(LAYOUT.report(), caption="../report/page.rst", category="Report"),
        manifest=LAYOUT.manifest(),
    log:
        LAYOUT.log(LAYOUT.report()),
    benchmark:
        LAYOUT.benchmark(LAYOUT.report())
    conda:
        ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=STUDY.config,
        cells=summary.cells(STUDY),
        figures=[
            (STUDY.items(dataset, "test")[0], STUDY.datasets[dataset].label)
            for dataset in STUDY.measured_datasets
        ],
        segmentations=SEGMENTATION_ABOUT,
        real_figures=[
            (dataset.subjects["test"][0], dataset.label, dataset.reference is not None)
            for dataset in map(STUDY.datasets.get, STUDY.real_datasets)
        ],
        models=summary.models(STUDY),
        datasets=summary.datasets(STUDY),
        notes=summary.notes(STUDY),
        code=code_digest("mrisr.report", "mrisr.figure_curves"),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"


rule tables:
    input:
        TABLES + OVERLAP_TABLES,


rule figures:
    input:
        [LAYOUT.figure(name, suffix) for name in ALL_FIGURES + CURVES for suffix in ("png", "pdf")],


rule report:
    input:
        LAYOUT.report(),
        LAYOUT.manifest(),
        rules.dataset_terms.output,
