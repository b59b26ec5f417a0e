# SR against the ground truth -> metrics: one job a method, dataset and scale. What concerns the
# ground truth alone is made once a dataset.


# A metric may need a file from the network, which only the machine that runs Snakemake may have.
for metric in STUDY.metrics_with("fetch"):

    rule:
        name:
            f"fetch_metric_{metric}"
        output:
            LAYOUT.metric_file(metric),
        log:
            LAYOUT.log(LAYOUT.metric_file(metric)),
        localrule: True
        conda:
            ENV
        params:
            metric=metric,
            settings=STUDY.metric_settings[metric],
            # A file that was put in place later is looked at.
            offered=metric_candidates(metric),
        message:
            f"Getting what {metric} needs"
        script:
            "../scripts/fetch_metric.py"


for dataset in STUDY.test_datasets:
    if STUDY.slice_metrics:

        rule:
            name:
                f"ground_truth_scores_{dataset}"
            input:
                hr=hr_files(dataset, "test"),
            output:
                scores=LAYOUT.ground_truth_scores(dataset),
            log:
                LAYOUT.log(LAYOUT.ground_truth_scores(dataset)),
            benchmark:
                LAYOUT.benchmark(LAYOUT.ground_truth_scores(dataset))
            conda:
                ENV
            threads: 4
            resources:
                mem_mb=8000,
                runtime=240,
            params:
                **evaluation_params(dataset),
                staging=LAYOUT.staging("metrics", dataset, "ground_truth"),
            message:
                f"Scoring the ground truth of {dataset}"
            script:
                "../scripts/ground_truth.py"

    if shared_features():

        rule:
            name:
                f"ground_truth_features_{dataset}"
            input:
                hr=hr_files(dataset, "test"),
                fetched=fetched_metrics(),
            output:
                features=[temp(file) for file in feature_files(dataset)],
            log:
                LAYOUT.log(f"{LAYOUT.root}/features/{dataset}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/features/{dataset}")
            conda:
                ENV
            threads: 4
            resources:
                mem_mb=12000,
                runtime=240,
            params:
                **evaluation_params(dataset),
            message:
                f"Computing features of the ground truth of {dataset}"
            script:
                "../scripts/ground_truth.py"

    rule:
        name:
            f"evaluate_{dataset}"
        input:
            sr=sr_files(dataset, "{method}", "{scale}"),
            hr=hr_files(dataset, "test"),
            masks=mask_files(dataset, "test"),
            scores=[LAYOUT.ground_truth_scores(dataset)] if STUDY.slice_metrics else [],
            fetched=fetched_metrics(),
            # They are deleted at the end and made again for another method; nothing else is.
            features=ancient(feature_files(dataset)),
        output:
            metrics=LAYOUT.metrics(dataset, "{method}", "{scale}"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/metrics/{dataset}/{{method}}/x{{scale}}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/metrics/{dataset}/{{method}}/x{{scale}}")
        conda:
            ENV
        threads: 4
        resources:
            mem_mb=8000,
            runtime=240,
        params:
            **evaluation_params(dataset),
            staging=LAYOUT.staging("metrics", dataset, "{method}", "x{scale}"),
        message:
            f"Evaluating {{wildcards.method}} on {dataset} (x{{wildcards.scale}})"
        script:
            "../scripts/evaluate.py"
