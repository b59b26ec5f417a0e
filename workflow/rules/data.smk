# Raw scans -> ground truth and mask. One job a dataset and split, so that a subject added to
# the test set does not touch the training set.
for dataset in STUDY.datasets.values():
    for split in STUDY.splits(dataset.name):

        rule:
            name:
                f"fetch_{dataset.name}_{split}"
            input:
                LOCAL_FILES[dataset.name, split],
            output:
                sources=LAYOUT.sources(dataset.name, split),
            log:
                LAYOUT.log(LAYOUT.sources(dataset.name, split)),
            benchmark:
                LAYOUT.benchmark(LAYOUT.sources(dataset.name, split))
            priority: 2  # trainings wait for them
            localrule: True
            conda:
                ENV
            threads: REQUESTS["fetch"].threads
            resources:
                **REQUESTS["fetch"].resources,
            params:
                dataset=dataset.name,
                split=split,
                source=dataset.spec["source"],
                formats=[dataset.format(name) for name in dataset.subjects[split]],
                checksums=[dataset.checksums.get(name) for name in dataset.subjects[split]],
                seed=STUDY.seed,
                overrides=STUDY.dataset_overrides(dataset.name, split),
                given=given(LAYOUT.sources(dataset.name, split), LOCAL_FILES[dataset.name, split]),
                plugins=STUDY.plugins_of(dataset.path),
                downloads=STUDY.config["downloads"],
                code=code_digest(dataset.code) if dataset.code else "",
            message:
                f"Fetching and checking the scans of {dataset.name} ({split})"
            script:
                "../scripts/fetch.py"

        if not dataset.has_ground_truth:
            continue  # real.smk prepares it

        rule:
            name:
                f"prepare_{dataset.name}_{split}"
            input:
                sources=LAYOUT.sources(dataset.name, split),
                masks=LOCAL_MASKS[dataset.name, split],
            output:
                hr=FILES.hr(dataset.name, split),
                masks=FILES.masks(dataset.name, split),
                volumes=LAYOUT.hr_list(dataset.name, split),
            log:
                LAYOUT.log(f"{LAYOUT.root}/hr/{dataset.name}_{split}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/hr/{dataset.name}_{split}")
            priority: 2  # trainings wait for them
            conda:
                ENV
            threads: REQUESTS["prepare"].threads
            resources:
                **REQUESTS["prepare"].resources,
            params:
                **ONE_THREAD,
                subjects=dataset.subjects[split],
                crop=dataset.spec["crop"],
                mask=dataset.spec["mask"],
                intensity=dataset.spec["intensity"],
                formats=[dataset.format(name) for name in dataset.subjects[split]],
                slices=STUDY.slices,
                multiple=STUDY.multiple(dataset.name),
                holds_patches=dataset.holds_patches,
                min_size=STUDY.min_size(split),
                seed=STUDY.seed,
                staging=LAYOUT.staging("hr", dataset.name, split),
                given=given(LAYOUT.hr_list(dataset.name, split), LOCAL_MASKS[dataset.name, split]),
                code=code_digest(*preparation_code(dataset)),
            message:
                f"Preparing the ground truth of {dataset.name} ({split})"
            script:
                "../scripts/prepare.py"


# Bad scans are refused before anything is trained, and so are priors that are not there and
# weights that do not fit. What trains takes this mark as `ancient`, so that another test subject
# does not train again.
rule check_scans:
    input:
        FILES.checked(),
        FILES.atlas(),
        FILES.imported_models(),
        **FILES.lists_by_split(),
    output:
        touch(LAYOUT.checked()),
    log:
        LAYOUT.log(LAYOUT.checked()),
    localrule: True
    conda:
        ENV
    message:
        "All scans are prepared; are training and test apart?"
    script:
        "../scripts/check_scans.py"


# What others need to repeat a study with their own access to the scans.
rule dataset_terms:
    output:
        splits=[LAYOUT.split(dataset) for dataset in STUDY.datasets],
        licences=LAYOUT.licences(),
    log:
        LAYOUT.log(LAYOUT.licences()),
    localrule: True
    conda:
        ENV
    params:
        subjects=[
            {split: dataset.subjects[split] for split in STUDY.splits(name)}
            for name, dataset in STUDY.datasets.items()
        ],
        datasets=cells.datasets(STUDY),
        code=code_digest("mrisr.data.licences"),
    message:
        "Writing licences and splits"
    script:
        "../scripts/terms.py"
