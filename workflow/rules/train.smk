# Training set -> model: one rule a method. Methods that optimise a model for each subject get
# one rule a dataset; weights made elsewhere are checked and taken over.


for split in ("train", "val") if STUDY.denoising else ():

    rule:
        name:
            f"denoise_{STUDY.train_dataset}_{split}"
        input:
            hr=LAYOUT.hr_list(STUDY.train_dataset, split),
        output:
            denoised=[
                LAYOUT.denoised(STUDY.train_dataset, "{sigma}", item)
                for item in STUDY.items(STUDY.train_dataset, split)
            ],
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
            cache=f"{STUDY.config['downloads']}/bm3d",
            code=code_digest("mrisr.train.denoise"),
        message:
            f"Denoising {STUDY.train_dataset} ({split}, sigma {{wildcards.sigma}})"
        script:
            "../scripts/denoise.py"


for method in STUDY.supervised:

    rule:
        name:
            f"train_{method.name}"
        input:
            train=[LAYOUT.hr_list(STUDY.train_dataset, "train")],
            val=[LAYOUT.hr_list(STUDY.train_dataset, "val")],
            train_denoised=denoised_files(method, "train"),
            val_denoised=denoised_files(method, "val"),
            checked=ancient(LAYOUT.checked()),
        output:
            model=trained_file("model.safetensors", method),
            description=trained_file("model.json", method),
            losses=trained_file("log.csv", method),
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
            method=method.pack("network", "coordinates", "model", "training"),
            scales=method.spec.get("scale_range") if method.models == "all_scales" else None,
            dataset=STUDY.train_dataset,
            degradation=STUDY.degradation,
            seed=STUDY.seed,
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
            model=trained_file("model.safetensors", method),
            description=trained_file("model.json", method),
            losses=trained_file("log.csv", method),
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
            method=method.pack("network", "coordinates", "model"),
            scales=method.spec.get("scale_range") if method.models == "all_scales" else None,
            plugins=STUDY.plugins_of(method.folder),
            code=method.code("mrisr.methods.import_weights"),
        message:
            f"Importing weights for {method.name} ({method.trained('{wildcards.scale}')})"
        script:
            "../scripts/import_model.py"


for method, dataset in product(STUDY.methods.values(), STUDY.test_datasets):
    if method.per_subject:

        rule:
            name:
                f"train_{method.name}_{dataset}"
            input:
                train=of_subject(lr_files, dataset),
                masks=of_subject(stack_masks, dataset),
                checked=ancient(LAYOUT.checked()),
            output:
                model=subject_file("model.safetensors", method, dataset),
                description=subject_file("model.json", method, dataset),
                losses=subject_file("log.csv", method, dataset),
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
                seed=STUDY.seed,
                staging=LAYOUT.staging(
                    LAYOUT.model(method.name, method.trained(), dataset, "{subject}")
                ),
                code=method.code("mrisr.train.engine"),
            message:
                f"Training {method.name} for {{wildcards.subject}} (x{{wildcards.scale}})"
            script:
                "../scripts/train.py"
