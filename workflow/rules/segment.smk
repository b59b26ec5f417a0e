# Ground truth and SR -> six regions, one job a volume; their overlap, and errors by tissue. Only
# where the study has a segmentation.
if STUDY.segmentation is not None:
    SHARED = STUDY.segmentation["registration"] == "shared"
    REQUEST = REQUESTS["segment" if SHARED else "segment_with_registration"]

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
        priority: 2  # trainings wait until everything is checked
        localrule: True
        conda:
            ENV
        threads: REQUESTS["fetch_priors"].threads
        resources:
            **REQUESTS["fetch_priors"].resources,
        params:
            priors=STUDY.segmentation["priors"],
            downloads=STUDY.config["downloads"],
            given=given(LAYOUT.atlas("priors"), LOCAL_PRIORS),
            code=code_digest("mrisr.segment.priors"),
        message:
            f"Fetching and checking the tissue priors ({STUDY.segmentation['priors']})"
        script:
            "../scripts/priors.py"

    for dataset in STUDY.segmented_datasets:

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
            threads: REQUESTS["align"].threads
            resources:
                **REQUESTS["align"].resources,
            params:
                dataset=dataset,
                skull_stripped=STUDY.datasets[dataset].brain_known,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment.atropos"),
            message:
                f"Registering the template to {{wildcards.subject}} of {dataset}"
            script:
                "../scripts/align.py"

        rule:
            name:
                f"segment_ground_truth_{dataset}"
            input:
                image=LAYOUT.hr(dataset, "{subject}"),
                priors=LAYOUT.subject_priors(dataset, "{subject}", "priors"),
            output:
                labels=LAYOUT.segmentation(dataset, "{subject}"),
            log:
                LAYOUT.log(LAYOUT.segmentation(dataset, "{subject}")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.segmentation(dataset, "{subject}"))
            conda:
                ENV
            threads: REQUESTS["segment"].threads
            resources:
                **REQUESTS["segment"].resources,
            params:
                dataset=dataset,
                # Made with the priors.
                mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
                engine=STUDY.segmentation["engine"],
                ground_truth=True,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment.atropos"),
            message:
                f"Segmenting the ground truth of {{wildcards.subject}} of {dataset}"
            script:
                "../scripts/segment.py"

        # The ground truth with a little noise: which differences of overlap mean nothing?
        rule:
            name:
                f"segment_noisy_{dataset}"
            input:
                image=LAYOUT.hr(dataset, "{subject}"),
                priors=(
                    LAYOUT.subject_priors(dataset, "{subject}", "priors")
                    if SHARED
                    else LAYOUT.atlas("priors")
                ),
                mask=[] if SHARED else [LAYOUT.subject_priors(dataset, "{subject}", "mask")],
                template=[] if SHARED else [LAYOUT.atlas("template")],
            output:
                labels=LAYOUT.noisy_segmentation(dataset, "{subject}"),
            log:
                LAYOUT.log(LAYOUT.noisy_segmentation(dataset, "{subject}")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.noisy_segmentation(dataset, "{subject}"))
            conda:
                ENV
            threads: REQUEST.threads
            resources:
                **REQUEST.resources,
            params:
                dataset=dataset,
                mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
                engine=STUDY.segmentation["engine"],
                ground_truth=True,
                noisy=True,
                transform=STUDY.segmentation["transform"],
                voxel_size=STUDY.segmentation["voxel_size"],
                seed=STUDY.seed,
                code=code_digest("mrisr.segment.atropos"),
            message:
                f"Segmenting the ground truth of {{wildcards.subject}} of {dataset} with noise"
            script:
                "../scripts/segment.py"

        rule:
            name:
                f"noise_floor_{dataset}"
            input:
                references=[
                    LAYOUT.segmentation(dataset, item) for item in STUDY.perturbed_items(dataset)
                ],
                noisy=[
                    LAYOUT.noisy_segmentation(dataset, item)
                    for item in STUDY.perturbed_items(dataset)
                ],
            output:
                overlap=LAYOUT.noise_floor(dataset),
            log:
                LAYOUT.log(LAYOUT.noise_floor(dataset)),
            benchmark:
                LAYOUT.benchmark(LAYOUT.noise_floor(dataset))
            conda:
                ENV
            threads: REQUESTS["overlap"].threads
            resources:
                **REQUESTS["overlap"].resources,
            params:
                subjects=STUDY.perturbed_items(dataset),
                code=code_digest("mrisr.segment.overlap"),
            message:
                f"Noise floor of the segmentation of {dataset}"
            script:
                "../scripts/noise_floor.py"

        for part in KEEP.parts("segmentation", dataset):

            rule:
                name:
                    f"segment_{dataset}{part.suffix}"
                input:
                    image=LAYOUT.sr(dataset, "{method}", "{scale}", "{subject}"),
                    priors=(
                        LAYOUT.subject_priors(dataset, "{subject}", "priors")
                        if SHARED
                        else LAYOUT.atlas("priors")
                    ),
                    # Made with the shared priors; each input of so many jobs takes time.
                    mask=[] if SHARED else [LAYOUT.subject_priors(dataset, "{subject}", "mask")],
                    template=[] if SHARED else [LAYOUT.atlas("template")],
                output:
                    labels=marked(
                        part, LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}")
                    ),
                log:
                    LAYOUT.log(LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}")),
                benchmark:
                    LAYOUT.benchmark(
                        LAYOUT.segmentation(dataset, "{subject}", "{method}", "{scale}")
                    )
                wildcard_constraints:
                    subject=part.subjects,
                conda:
                    ENV
                threads: REQUEST.threads
                resources:
                    **REQUEST.resources,
                params:
                    dataset=dataset,
                    mask=LAYOUT.subject_priors(dataset, "{subject}", "mask"),
                    engine=STUDY.segmentation["engine"],
                    ground_truth=False,
                    transform=STUDY.segmentation["transform"],
                    voxel_size=STUDY.segmentation["voxel_size"],
                    seed=STUDY.seed,
                    code=code_digest("mrisr.segment.atropos"),
                message:
                    f"Segmenting {{wildcards.subject}} of {dataset} by {{wildcards.method}}"
                    " (x{wildcards.scale})"
                script:
                    "../scripts/segment.py"

        rule:
            name:
                f"list_ground_truth_{dataset}"
            input:
                FILES.segmentations(dataset),
            output:
                LAYOUT.segmentation_list(dataset),
            log:
                LAYOUT.log(LAYOUT.segmentation_list(dataset)),
            localrule: True
            conda:
                ENV
            message:
                f"Listing the segmentations of the ground truth of {dataset}"
            script:
                "../scripts/volume_list.py"

        rule:
            name:
                f"overlap_{dataset}"
            input:
                references=[LAYOUT.segmentation_list(dataset)],
                images=FILES.segmentations(dataset, "{method}", "{scale}"),
                hr=LAYOUT.hr_list(dataset, "test"),
                sr=reconstructed(dataset),
            output:
                overlap=LAYOUT.overlap(dataset, "{method}", "{scale}"),
                tissues=LAYOUT.tissues(dataset, "{method}", "{scale}"),
            log:
                LAYOUT.log(f"{LAYOUT.root}/overlap/{dataset}/{{method}}/x{{scale}}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/overlap/{dataset}/{{method}}/x{{scale}}")
            conda:
                ENV
            threads: REQUESTS["overlap"].threads
            resources:
                **REQUESTS["overlap"].resources,
            params:
                subjects=STUDY.items(dataset, "test"),
                code=code_digest("mrisr.segment.overlap", "mrisr.segment.tissues"),
            message:
                f"Overlap and tissues of {{wildcards.method}} on {dataset} (x{{wildcards.scale}})"
            script:
                "../scripts/overlap.py"
