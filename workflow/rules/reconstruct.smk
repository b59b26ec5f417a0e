# LR input and model -> SR on the grid of the ground truth. One rule a method and dataset: all
# subjects in one job with the model loaded once, or a job a subject where a subject takes
# minutes.


# A method with a rules.smk of its own brings its own rules; METHOD tells them who they are for.
for METHOD in filter(lambda method: method.rules, STUDY.methods.values()):

    include: METHOD.rules


for method, dataset in product(STUDY.all_trainings.values(), STUDY.test_datasets):
    if method.rules:
        continue
    for part in KEEP.parts("sr", dataset) if method.granularity == "subject" else [EVERYONE]:

        rule:
            name:
                f"reconstruct_{method.name}_{dataset}{part.suffix}"
            input:
                lr=FILES.reconstruction_input(method, dataset),
                reference=FILES.reconstruction_grids(method, dataset),
                masks=FILES.reconstruction_masks(method, dataset),
                model=FILES.model_behind(method, dataset),
            output:
                sr=marked(part, reconstruction_output(method, dataset)),
                volumes=(
                    [LAYOUT.sr_list(dataset, method.name, "{scale}")] if in_one_job(method) else []
                ),
            log:
                LAYOUT.log(FILES.reconstruction_stem(method, dataset)),
            benchmark:
                LAYOUT.benchmark(FILES.reconstruction_stem(method, dataset))
            wildcard_constraints:
                subject=part.subjects,
            conda:
                ENV
            threads: method.threads("reconstruct")
            resources:
                **method.resources("reconstruct"),
            params:
                method=method.pack("input", "network", "coordinates", "model"),
                degradation=STUDY.degradation_of(dataset),
                staging=LAYOUT.staging(FILES.reconstruction_stem(method, dataset)),
                code=method.code("mrisr.reconstruct.apply"),
            message:
                f"Reconstructing {dataset} with {method.name} (x{{wildcards.scale}})"
            script:
                "../scripts/reconstruct.py"
