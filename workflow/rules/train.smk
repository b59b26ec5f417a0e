# Training set -> model: one rule a method. Methods that optimise a model for each subject get
# one rule a dataset; weights made elsewhere are checked and taken over.


for split in ("train", "val") if STUDY.denoising else ():

    rule:
        name:
            f"denoise_{STUDY.train_dataset}_{split}"
        input:
            hr=LAYOUT.hr_list(STUDY.train_dataset, split),
        output:
            denoised=FILES.denoised(STUDY.train_dataset, "{sigma}", split),
        log:
            LAYOUT.log(f"{LAYOUT.root}/denoised/{STUDY.train_dataset}_{split}/sigma{{sigma}}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/denoised/{STUDY.train_dataset}_{split}/sigma{{sigma}}")
        conda:
            BM3D_ENV
        threads: REQUESTS["denoise"].threads
        resources:
            **REQUESTS["denoise"].resources,
        params:
            **ONE_THREAD,
            cache=f"{STUDY.config['downloads']}/bm3d",
            code=code_digest("mrisr.train.denoise"),
        message:
            f"Denoising {STUDY.train_dataset} ({split}, sigma {{wildcards.sigma}})"
        script:
            "../scripts/denoise.py"


for method in chain.from_iterable(map(STUDY.trainings, STUDY.supervised)):

    rule:
        name:
            f"train_{method.name}"
        input:
            train=[LAYOUT.hr_list(STUDY.train_dataset, "train")],
            val=[LAYOUT.hr_list(STUDY.train_dataset, "val")],
            train_denoised=FILES.denoised_targets(method, "train"),
            val_denoised=FILES.denoised_targets(method, "val"),
            start=method.start,
            checked=ancient(LAYOUT.checked()),
        output:
            model=FILES.model("model.safetensors", method),
            description=FILES.model("model.json", method),
            losses=FILES.model("log.csv", method),
        log:
            LAYOUT.log(LAYOUT.model(method.name, method.trained())),
        benchmark:
            LAYOUT.benchmark(LAYOUT.model(method.name, method.trained()))
        priority: 1  # the longest jobs, and most others wait for them
        conda:
            ENV
        threads: method.threads("train")
        resources:
            **method.resources("train"),
        params:
            method=method.pack_training(),
            scales=method.spec.get("scale_range") if method.models == "all_scales" else None,
            dataset=STUDY.train_dataset,
            degradation=STUDY.degradation,
            seed=STUDY.seed_of(method),
            staging=LAYOUT.staging(LAYOUT.model(method.name, method.trained())),
            code=method.code("mrisr.train.engine"),
        message:
            f"Training {method.name} ({method.trained('{wildcards.scale}')})"
        script:
            "../scripts/train.py"


for method in STUDY.imported:

    rule:
        name:
            f"import_{method.name}"
        input:
            weights=method.spec["weights"],
        output:
            model=FILES.model("model.safetensors", method),
            description=FILES.model("model.json", method),
            losses=FILES.model("log.csv", method),
        log:
            LAYOUT.log(LAYOUT.model(method.name, method.trained())),
        benchmark:
            LAYOUT.benchmark(LAYOUT.model(method.name, method.trained()))
        localrule: True
        conda:
            ENV
        threads: REQUESTS["import"].threads
        resources:
            **REQUESTS["import"].resources,
        params:
            method=method.pack("network", "coordinates", "model", "weights_axes", "authors_axes"),
            scales=method.spec.get("scale_range") if method.models == "all_scales" else None,
            plugins=STUDY.plugins_of(method.folder),
            given=given(FILES.model("model.safetensors", method), [method.spec["weights"]]),
            code=method.code("mrisr.methods.import_weights"),
        message:
            f"Importing weights for {method.name} ({method.trained('{wildcards.scale}')})"
        script:
            "../scripts/import_model.py"


for method, dataset in product(STUDY.all_trainings.values(), STUDY.test_datasets):
    if method.per_subject:

        rule:
            name:
                f"train_{method.name}_{dataset}"
            input:
                train=FILES.lr_of_subject(dataset),
                masks=FILES.stack_masks_of_subject(dataset),
                checked=ancient(LAYOUT.checked()),
            output:
                model=FILES.subject_model("model.safetensors", method, dataset),
                description=FILES.subject_model("model.json", method, dataset),
                losses=FILES.subject_model("log.csv", method, dataset),
            log:
                LAYOUT.log(LAYOUT.model(method.name, method.trained(), dataset, "{subject}")),
            benchmark:
                LAYOUT.benchmark(LAYOUT.model(method.name, method.trained(), dataset, "{subject}"))
            priority: 1  # the longest jobs, and most others wait for them
            conda:
                ENV
            threads: method.threads("train")
            resources:
                **method.resources("train"),
            params:
                method=method.pack("model", "training"),
                scales=None,
                dataset=dataset,
                degradation=STUDY.degradation_of(dataset),
                seed=STUDY.seed_of(method),
                staging=LAYOUT.staging(
                    LAYOUT.model(method.name, method.trained(), dataset, "{subject}")
                ),
                code=method.code("mrisr.train.engine"),
            message:
                f"Training {method.name} for {{wildcards.subject}} (x{{wildcards.scale}})"
            script:
                "../scripts/train.py"
