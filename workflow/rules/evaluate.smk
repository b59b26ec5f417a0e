# SR against the ground truth -> metrics: one job a method, dataset and scale.
for dataset in STUDY.test_datasets:

    rule:
        name:
            f"evaluate_{dataset}"
        input:
            sr=sr_files(dataset, "{method}", "{scale}"),
            hr=hr_files(dataset, "test"),
            masks=mask_files(dataset, "test"),
        output:
            metrics=LAYOUT.metrics(dataset, "{method}", "{scale}"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/metrics/{dataset}/{{method}}/x{{scale}}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/metrics/{dataset}/{{method}}/x{{scale}}")
        conda:
            ENV
        threads: 2
        resources:
            mem_mb=8000,
            runtime=240,
        params:
            subjects=STUDY.items(dataset, "test"),
            metrics=STUDY.config["metrics"],
            regions=STUDY.config["regions"],
            code=code_digest(
                "mrisr.evaluate", *(f"mrisr.metrics.{name}" for name in STUDY.config["metrics"])
            ),
        message:
            f"Evaluating {{wildcards.method}} on {dataset} (x{{wildcards.scale}})"
        script:
            "../scripts/evaluate.py"
