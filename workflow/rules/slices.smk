# Of 2-D studies: metrics of longer trainings, the ground truth itself super-resolved, and blinded
# pairs of it for readers.
EARLY_STOPPING = []
for method in map(STUDY.methods.get, STUDY.early_stopping):
    ABOUT = STUDY.early_stopping[method.name]
    TRAINED = method.trained(scale_name(ABOUT["scale"]))
    CURVE = LAYOUT.early_stopping(method.name, TRAINED, "curve.csv")
    EARLY_STOPPING.append(CURVE)

    rule:
        name:
            f"early_stopping_{method.name}"
        input:
            train=hr_files(STUDY.train_dataset, "train"),
            val=hr_files(STUDY.train_dataset, "val"),
            train_denoised=denoised_files(method, "train"),
            val_denoised=denoised_files(method, "val"),
            checked=ancient(LAYOUT.checked()),
        output:
            curve=CURVE,
            images=LAYOUT.early_stopping(method.name, TRAINED, "images.npz"),
        log:
            LAYOUT.log(LAYOUT.early_stopping(method.name, TRAINED, "curve")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.early_stopping(method.name, TRAINED, "curve"))
        conda:
            ENV
        threads: method.threads("train")
        resources:
            **method.resources("train"),
        params:
            method=method.pack("input", "network", "coordinates", "model", "training"),
            scales=method.spec.get("scale_range", [ABOUT["scale"]]),
            degradation=STUDY.degradation,
            seed=STUDY.seed,
            about=ABOUT,
            staging=LAYOUT.staging("early_stopping", method.name),
            code=method.code("mrisr.early_stopping"),
        message:
            f"Training {method.name} on, to see when it should stop"
        script:
            "../scripts/early_stopping.py"


# Real use: there is nothing to compare the result with.
for method, dataset in product(STUDY.methods.values(), STUDY.measured_datasets):
    if STUDY.slices and not method.rules and method.input == "slice":

        rule:
            name:
                f"beyond_{method.name}_{dataset}"
            input:
                lr=hr_files(dataset, "test"),
                model=model_of(method, dataset),
            output:
                sr=[
                    LAYOUT.beyond(dataset, method.name, "{scale}", item)
                    for item in STUDY.items(dataset, "test")
                ],
            log:
                LAYOUT.log(f"{LAYOUT.root}/beyond/{dataset}/{method.name}/x{{scale}}"),
            benchmark:
                LAYOUT.benchmark(f"{LAYOUT.root}/beyond/{dataset}/{method.name}/x{{scale}}")
            conda:
                ENV
            threads: method.threads("reconstruct")
            resources:
                **method.resources("reconstruct"),
            params:
                method=method.pack("input", "network", "coordinates", "model"),
                degradation=STUDY.degradation,
                staging=LAYOUT.staging("beyond", dataset, method.name, "x{scale}"),
                code=method.code("mrisr.reconstruct"),
            message:
                f"Super-resolving the ground truth of {dataset} with {method.name}"
                " (x{wildcards.scale})"
            script:
                "../scripts/reconstruct.py"


if STUDY.reader_study:
    READERS = STUDY.reader_study
    (READ,) = STUDY.measured_datasets

    rule reader_pairs:
        input:
            images=[
                LAYOUT.beyond(READ, name, scale_name(READERS["scale"]), item)
                for name in READERS["methods"]
                for item in STUDY.items(READ, "test")
            ],
        output:
            pairs=LAYOUT.reader_study("pairs.csv"),
            images=directory(LAYOUT.reader_study("pairs")),
            key=LAYOUT.reader_key(),
        log:
            LAYOUT.log(LAYOUT.reader_study("pairs")),
        conda:
            ENV
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            methods=READERS["methods"],
            slices=STUDY.items(READ, "test"),
            number=READERS["pairs"],
            seed=STUDY.seed,
            code=code_digest("mrisr.reader_pairs"),
        message:
            "Writing blinded pairs for readers"
        script:
            "../scripts/reader_pairs.py"


rule reader_study:
    input:
        [rules.reader_pairs.output.pairs] if STUDY.reader_study else [],
