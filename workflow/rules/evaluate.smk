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
            # A file that is put in place later is a reason to look again.
            offered=metric_candidates(metric),
        message:
            f"Getting what {metric} needs"
        script:
            "../scripts/fetch_metric.py"


for dataset in STUDY.measured_datasets:
    if STUDY.slice_metrics:

        rule:
            name:
                f"ground_truth_scores_{dataset}"
            input:
                hr=LAYOUT.hr_list(dataset, "test"),
            output:
                scores=LAYOUT.ground_truth_scores(dataset),
            log:
                LAYOUT.log(LAYOUT.ground_truth_scores(dataset)),
            benchmark:
                LAYOUT.benchmark(LAYOUT.ground_truth_scores(dataset))
            conda:
                ENV
            threads: REQUESTS["ground_truth_scores"].threads
            resources:
                **REQUESTS["ground_truth_scores"].resources,
            params:
                **evaluation_params(dataset),
                staging=LAYOUT.staging("metrics", dataset, "ground_truth"),
            message:
                f"Scoring the ground truth of {dataset}"
            script:
                "../scripts/ground_truth.py"

    rule:
        name:
            f"evaluate_{dataset}"
        input:
            sr=reconstructed(dataset),
            hr=LAYOUT.hr_list(dataset, "test"),
            scores=[LAYOUT.ground_truth_scores(dataset)] if STUDY.slice_metrics else [],
            fetched=FILES.fetched_metrics(),
        output:
            metrics=LAYOUT.metrics(dataset, "{method}", "{scale}"),
        log:
            LAYOUT.log(LAYOUT.metrics_stem(dataset, "{method}", "{scale}")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.metrics_stem(dataset, "{method}", "{scale}"))
        conda:
            ENV
        threads: REQUESTS["evaluate"].threads
        resources:
            **REQUESTS["evaluate"].resources,
        params:
            **evaluation_params(dataset),
            staging=LAYOUT.staging("metrics", dataset, "{method}", "x{scale}"),
            # Features of the ground truth, for all jobs of a run.
            features=LAYOUT.staging("features", dataset) if shared_features() else None,
        message:
            f"Evaluating {{wildcards.method}} on {dataset} (x{{wildcards.scale}})"
        script:
            "../scripts/evaluate.py"
