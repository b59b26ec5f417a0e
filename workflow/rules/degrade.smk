# Ground truth -> simulated LR input, for the test subjects. Training simulates its own.
for dataset in STUDY.measured_datasets:

    rule:
        name:
            f"degrade_{dataset}"
        input:
            hr=LAYOUT.hr_list(dataset, "test"),
        output:
            lr=FILES.lr(dataset),
            sidecars=FILES.lr_sidecars(dataset),
            volumes=LAYOUT.lr_list(dataset, "{scale}"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/lr/{dataset}/x{{scale}}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/lr/{dataset}/x{{scale}}")
        conda:
            ENV
        threads: REQUESTS["degrade"].threads
        resources:
            **REQUESTS["degrade"].resources,
        params:
            **ONE_THREAD,
            **({"seed": [STUDY.seed, dataset]} if STUDY.degradation.get("noise") else {}),
            degradation=STUDY.degradation,
            code=code_digest("mrisr.degrade.subjects"),
        message:
            f"Degrading {dataset} by {{wildcards.scale}}"
        script:
            "../scripts/degrade.py"
