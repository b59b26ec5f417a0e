# Real LR scans: no ground truth, nothing simulated. Raw scan -> LR input and its SR grid, one for
# each scale; HR references beside them; metrics without reference.


for dataset in map(STUDY.datasets.get, STUDY.real_datasets):

    if dataset.stacked:

        rule:
            name:
                f"prepare_{dataset.name}_stacks"
            input:
                sources=LAYOUT.sources(dataset.name, "test"),
                given=LOCAL_MASKS[dataset.name, "test"],
            output:
                lr=FILES.lr(dataset.name),
                masks=FILES.stack_masks(dataset.name),
                grids=FILES.sr_grids(dataset.name),
            log:
                LAYOUT.log(f"{LAYOUT.root}/lr/{dataset.name}/x{{scale}}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/lr/{dataset.name}/x{{scale}}")
            conda:
                ENV
            threads: REQUESTS["prepare_stacks"].threads
            resources:
                **REQUESTS["prepare_stacks"].resources,
            params:
                subjects={item: STUDY.stacks(dataset.name, item) for item in dataset.stacks},
                stacks=dataset.spec["stacks"],
                given=given(
                    f"{LAYOUT.root}/lr/{dataset.name}/x{{scale}}",
                    LOCAL_MASKS[dataset.name, "test"],
                ),
                seed=STUDY.seed,
                staging=LAYOUT.staging("lr", dataset.name, "x{scale}"),
                code=code_digest("mrisr.prepare.real_stacks"),
            message:
                f"Bringing the stacks of {dataset.name} into one space (x{{wildcards.scale}})"
            script:
                "../scripts/real_stacks.py"

    else:

        rule:
            name:
                f"prepare_{dataset.name}_real"
            input:
                sources=LAYOUT.sources(dataset.name, "test"),
            output:
                lr=FILES.lr(dataset.name),
                masks=FILES.sr_grids(dataset.name),
            log:
                LAYOUT.log(f"{LAYOUT.root}/lr/{dataset.name}/x{{scale}}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/lr/{dataset.name}/x{{scale}}")
            conda:
                ENV
            threads: REQUESTS["prepare_real"].threads
            resources:
                **REQUESTS["prepare_real"].resources,
            params:
                **SLICE_AXIS,
                subjects=dataset.subjects["test"],
                crop=dataset.spec["crop"],
                mask=dataset.spec["mask"],
                intensity=dataset.spec["intensity"],
                min_size=lambda wildcards: STUDY.min_lr_size(float(wildcards.scale)),
                staging=LAYOUT.staging("lr", dataset.name, "x{scale}"),
                code=code_digest("mrisr.prepare.real_volumes"),
            message:
                f"Preparing the real LR scans of {dataset.name} (x{{wildcards.scale}})"
            script:
                "../scripts/real_lr.py"

    rule:
        name:
            f"evaluate_{dataset.name}"
        input:
            images=FILES.sr(dataset.name, "{method}"),
            masks=FILES.sr_grids(dataset.name),
        output:
            metrics=LAYOUT.metrics(dataset.name, "{method}", "{scale}"),
        log:
            LAYOUT.log(LAYOUT.metrics_stem(dataset.name, "{method}", "{scale}")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.metrics_stem(dataset.name, "{method}", "{scale}"))
        conda:
            ENV
        threads: REQUESTS["evaluate"].threads
        resources:
            **REQUESTS["evaluate"].resources,
        params:
            **evaluation_params(dataset.name),
            staging=LAYOUT.staging("metrics", dataset.name, "{method}", "x{scale}"),
        message:
            f"Scoring {{wildcards.method}} on {dataset.name} (x{{wildcards.scale}})"
        script:
            "../scripts/real_scores.py"

    if dataset.reference:

        rule:
            name:
                f"fetch_{dataset.name}_reference"
            input:
                LOCAL_REFERENCES[dataset.name],
            output:
                sources=LAYOUT.sources(dataset.name, "reference"),
            log:
                LAYOUT.log(LAYOUT.sources(dataset.name, "reference")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.sources(dataset.name, "reference"))
            localrule: True
            conda:
                ENV
            threads: REQUESTS["fetch"].threads
            resources:
                **REQUESTS["fetch"].resources,
            params:
                dataset=dataset.name,
                split="test",
                beside="reference",
                source=dataset.spec["reference"],
                given=given(
                    LAYOUT.sources(dataset.name, "reference"), LOCAL_REFERENCES[dataset.name]
                ),
                seed=STUDY.seed,
                overrides=STUDY.dataset_overrides(dataset.name, "test"),
                plugins=STUDY.plugins_of(dataset.path),
                downloads=STUDY.config["downloads"],
            message:
                f"Fetching and checking the HR references of {dataset.name}"
            script:
                "../scripts/fetch.py"

        rule:
            name:
                f"prepare_{dataset.name}_reference"
            input:
                sources=LAYOUT.sources(dataset.name, "reference"),
                # The scan is the same at every scale; of stacks, the one that stays.
                lr=FILES.fixed_lr(dataset.name),
            output:
                references=FILES.hr_references(dataset.name),
                masks=FILES.hr_reference_masks(dataset.name),
            log:
                LAYOUT.log(f"{LAYOUT.root}/references/{dataset.name}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/references/{dataset.name}")
            conda:
                ENV
            threads: REQUESTS["prepare_reference"].threads
            resources:
                **REQUESTS["prepare_reference"].resources,
            params:
                subjects=dataset.subjects["test"],
                mask=dataset.spec["mask"],
                intensity=dataset.spec["intensity"],
                register=dataset.register,
                min_size=STUDY.min_lr_size(),
                seed=STUDY.seed,
                staging=LAYOUT.staging("references", dataset.name),
                code=code_digest("mrisr.prepare.real_volumes"),
            message:
                f"Preparing the HR references of {dataset.name}"
            script:
                "../scripts/real_reference.py"

        rule:
            name:
                f"reference_scores_{dataset.name}"
            input:
                images=FILES.hr_references(dataset.name),
                masks=FILES.hr_reference_masks(dataset.name),
            output:
                metrics=LAYOUT.hr_reference_scores(dataset.name),
            log:
                LAYOUT.log(LAYOUT.hr_reference_scores(dataset.name)),
            benchmark:
                LAYOUT.benchmark(LAYOUT.hr_reference_scores(dataset.name))
            conda:
                ENV
            threads: REQUESTS["evaluate"].threads
            resources:
                **REQUESTS["evaluate"].resources,
            params:
                **evaluation_params(dataset.name),
                staging=LAYOUT.staging("metrics", dataset.name, "reference"),
            message:
                f"Scoring the HR references of {dataset.name}"
            script:
                "../scripts/real_scores.py"
