# Reconstructions, segmentations and losses -> figures.
FIGURES = [f"comparison_{dataset}" for dataset in STUDY.measured_datasets]
REAL_FIGURES = [f"real_{dataset}" for dataset in STUDY.real_datasets]
SEGMENTATION_FIGURES, SEGMENTATION_ABOUT = [], []
# Studies without learned methods have no losses.
CURVES = ["curves"] if summary.has_losses(STUDY) else []


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


for dataset in STUDY.measured_datasets:
    # One subject at the first scale that is segmented, as the paper shows it.
    CELLS = [c for c in summary.segmented_cells(STUDY, dataset) if not c["ground_truth"]]
    CELLS = [cell for cell in CELLS if cell["scale"] == CELLS[0]["scale"]]
    if CELLS:
        subject, scale = STUDY.items(dataset, "test")[0], scale_name(CELLS[0]["scale"])
        SHOWN = [cell["method"] for cell in CELLS if not cell["skipped"]]
        SEGMENTATION_FIGURES.append(f"segmentation_{dataset}")
        SEGMENTATION_ABOUT.append((subject, STUDY.datasets[dataset].label, scale))

        rule:
            name:
                f"figure_segmentation_{dataset}"
            input:
                truth=LAYOUT.hr(dataset, subject),
                truth_labels=LAYOUT.segmentation(dataset, subject),
                images=[LAYOUT.sr(dataset, method, scale, subject) for method in SHOWN],
                labels=[LAYOUT.segmentation(dataset, subject, method, scale) for method in SHOWN],
                overlap=[cell["path"] for cell in CELLS if not cell["skipped"]],
            output:
                png=report(
                    LAYOUT.figure(f"segmentation_{dataset}", "png"),
                    caption="../report/segmentation_figure.rst",
                    category="Figures",
                ),
                pdf=LAYOUT.figure(f"segmentation_{dataset}", "pdf"),
            log:
                LAYOUT.log(f"{LAYOUT.root}/figures/segmentation_{dataset}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/figures/segmentation_{dataset}")
            conda:
                ENV
            resources:
                mem_mb=4000,
                runtime=20,
            params:
                cells=CELLS,
                subject=subject,
                dataset=STUDY.datasets[dataset].label,
                code=code_digest("mrisr.figure_segmentation"),
            message:
                f"Drawing the segmentations of {dataset}"
            script:
                "../scripts/figure_segmentation.py"


for dataset in map(STUDY.datasets.get, STUDY.real_datasets):
    REAL_SUBJECT = dataset.subjects["test"][0]

    rule:
        name:
            f"figure_real_{dataset.name}"
        input:
            lr=LAYOUT.lr(dataset.name, scale_name(STUDY.scales(dataset.name)[0]), REAL_SUBJECT),
            sr=[
                LAYOUT.sr(dataset.name, cell.method.name, scale_name(cell.scale), REAL_SUBJECT)
                for cell in STUDY.cells(dataset.name)
                if not cell.skipped
            ],
            reference=reference_files(dataset.name)[:1],
        output:
            png=report(
                LAYOUT.figure(f"real_{dataset.name}", "png"),
                caption="../report/real.rst",
                category="Figures",
            ),
            pdf=LAYOUT.figure(f"real_{dataset.name}", "pdf"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/figures/real_{dataset.name}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/figures/real_{dataset.name}")
        conda:
            ENV
        resources:
            mem_mb=4000,
            runtime=20,
        params:
            cells=[c for c in summary.cells(STUDY, dataset.name) if not c["reference"]],
            subject=REAL_SUBJECT,
            dataset=dataset.label,
            code=code_digest("mrisr.figure_real"),
        message:
            f"Drawing the real scans of {dataset.name}"
        script:
            "../scripts/figure_real.py"


ALL_FIGURES = FIGURES + SEGMENTATION_FIGURES + REAL_FIGURES


rule figures:
    input:
        [LAYOUT.figure(name, suffix) for name in ALL_FIGURES + CURVES for suffix in ("png", "pdf")],
