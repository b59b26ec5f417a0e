# Ground truth and SR -> six regions, one job a volume, and their overlap. Only where the study
# has a segmentation; the files of tables and figures are empty lists otherwise.
OVERLAP_TABLES, SEGMENTATION_FIGURES, SEGMENTATION_ABOUT = [], [], []

if STUDY.segmentation is not None:
    OVERLAP_TABLES = [LAYOUT.table("segmentation", s) for s in ("csv", "md", "tex", "html")]
    SHARED = STUDY.segmentation["registration"] == "shared"

    rule fetch_priors:
        input:
            LOCAL_PRIORS,
        output:
            template=LAYOUT.atlas("template"),
            priors=LAYOUT.atlas("priors"),
        log:
            LAYOUT.log(LAYOUT.atlas("priors")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.atlas("priors"))
        localrule: True
        conda:
            ENV
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            priors=STUDY.segmentation["priors"],
            downloads=STUDY.config["downloads"],
            code=code_digest("mrisr.priors"),
        message:
            f"Fetching and checking the tissue priors ({STUDY.segmentation['priors']})"
        script:
            "../scripts/priors.py"

    for dataset in STUDY.measured_datasets:

        rule:
            name:
                f"align_{dataset}"
            input:
                hr=LAYOUT.hr(dataset, "{subject}"),
                mask=LAYOUT.mask(dataset, "{subject}"),
                template=LAYOUT.atlas("template"),
                priors=LAYOUT.atlas("priors"),
            output:
                priors=LAYOUT.subject_priors(dataset, "{subject}", "priors"),
                mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
            log:
                LAYOUT.log(LAYOUT.subject_priors(dataset, "{subject}", "priors")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.subject_priors(dataset, "{subject}", "priors"))
            conda:
                ENV
            # With more, ANTs does not give the same bytes twice.
            threads: 1
            resources:
                mem_mb=8000,
                runtime=90,
            params:
                dataset=dataset,
                skull_stripped=STUDY.datasets[dataset].brain_known,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment"),
            message:
                f"Registering the template to {{wildcards.subject}} of {dataset}"
            script:
                "../scripts/align.py"

        rule:
            name:
                f"segment_ground_truth_{dataset}"
            input:
                image=LAYOUT.hr(dataset, "{subject}"),
                reference=LAYOUT.hr(dataset, "{subject}"),
                mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
                priors=LAYOUT.subject_priors(dataset, "{subject}", "priors"),
            output:
                labels=LAYOUT.segmentation(dataset, "{subject}"),
            log:
                LAYOUT.log(LAYOUT.segmentation(dataset, "{subject}")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.segmentation(dataset, "{subject}"))
            conda:
                ENV
            threads: 1
            resources:
                mem_mb=8000,
                runtime=60,
            params:
                dataset=dataset,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment"),
            message:
                f"Segmenting the ground truth of {{wildcards.subject}} of {dataset}"
            script:
                "../scripts/segment.py"

        rule:
            name:
                f"segment_{dataset}"
            input:
                image=LAYOUT.sr(dataset, "{method}", "{scale}", "{subject}"),
                reference=LAYOUT.hr(dataset, "{subject}"),
                mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
                priors=(
                    LAYOUT.subject_priors(dataset, "{subject}", "priors")
                    if SHARED
                    else LAYOUT.atlas("priors")
                ),
                template=[] if SHARED else [LAYOUT.atlas("template")],
            output:
                labels=LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}"),
            log:
                LAYOUT.log(LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}"))
            conda:
                ENV
            threads: 1
            resources:
                mem_mb=8000,
                runtime=60 if SHARED else 120,
            params:
                dataset=dataset,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment"),
            message:
                f"Segmenting {{wildcards.subject}} of {dataset} by {{wildcards.method}}"
                " (x{wildcards.scale})"
            script:
                "../scripts/segment.py"

        rule:
            name:
                f"overlap_{dataset}"
            input:
                references=segmentation_files(dataset),
                images=segmentation_files(dataset, "{method}", "{scale}"),
            output:
                overlap=LAYOUT.overlap(dataset, "{method}", "{scale}"),
            log:
                LAYOUT.log(f"{LAYOUT.root}/overlap/{dataset}/{{method}}/x{{scale}}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/overlap/{dataset}/{{method}}/x{{scale}}")
            conda:
                ENV
            resources:
                mem_mb=4000,
                runtime=60,
            params:
                subjects=STUDY.items(dataset, "test"),
                code=code_digest("mrisr.overlap"),
            message:
                f"Overlap of {{wildcards.method}} on {dataset} (x{{wildcards.scale}})"
            script:
                "../scripts/overlap.py"

    rule segmentation_table:
        input:
            overlap=[cell["path"] for cell in summary.segmented_cells(STUDY) if not cell["skipped"]],
            published=[entry["file"] for entry in summary.published_overlap(STUDY)],
            # It says which rows support no conclusion.
            quality=LAYOUT.table("quality", "csv"),
        output:
            csv=report(
                OVERLAP_TABLES[0], caption="../report/segmentation_table.rst", category="Tables"
            ),
            md=OVERLAP_TABLES[1],
            tex=OVERLAP_TABLES[2],
            html=report(
                OVERLAP_TABLES[3], caption="../report/segmentation_table.rst", category="Tables"
            ),
        log:
            LAYOUT.log(OVERLAP_TABLES[0]),
        benchmark:
            LAYOUT.benchmark(OVERLAP_TABLES[0])
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
                    labels=[
                        LAYOUT.segmentation(dataset, subject, method, scale) for method in SHOWN
                    ],
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
