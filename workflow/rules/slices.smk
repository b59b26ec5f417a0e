# Of 2-D studies: metrics of longer trainings, and the ground truth itself super-resolved.
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
            train=[LAYOUT.hr_list(STUDY.train_dataset, "train")],
            val=[LAYOUT.hr_list(STUDY.train_dataset, "val")],
            train_denoised=FILES.denoised_targets(method, "train"),
            val_denoised=FILES.denoised_targets(method, "val"),
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
            code=method.code("mrisr.evaluate.early_stopping"),
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
                lr=[LAYOUT.hr_list(dataset, "test")],
                model=FILES.model_behind(method, dataset),
            output:
                sr=FILES.beyond(dataset, method.name),
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
                code=method.code("mrisr.reconstruct.apply"),
            message:
                f"Super-resolving the ground truth of {dataset} with {method.name}"
                " (x{wildcards.scale})"
            script:
                "../scripts/reconstruct.py"
