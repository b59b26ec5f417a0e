"""Jobs of the tables' cells: reconstruction, metrics, segmentation."""

from mrisr.common.layout import scale_name
from mrisr.plan.job_list import JobList, method_request


def add_reconstruction(jobs: JobList) -> None:
    """Add the jobs that reconstruct."""
    study, layout = jobs.study, jobs.layout
    for cell in [*study.measured_cells(), *jobs.shown]:
        if cell.skipped:
            continue
        method, scale = cell.method, scale_name(cell.scale)
        single = method.granularity == "subject"
        stem = layout.sr_stem(cell.dataset, method.name, scale, "{item}" if single else None)
        work = jobs.sizes.macs(
            method,
            jobs.sizes.lr_voxels(cell.dataset, cell.scale),
            jobs.sizes.hr_voxels(cell.dataset),
        )
        trained = method.trained(scale)
        models = [f"train_{method.name}", f"import_{method.name}"]
        models = [f"{rule} {trained}" for rule in [*models, f"{models[0]}_{cell.dataset}"]]
        every = study.items(cell.dataset, "test")
        rules = jobs.by_rule("sr", cell.dataset, every) if single else [("", every)]
        for end, items in rules:
            files = [layout.sr(cell.dataset, method.name, scale, i) for i in items]
            jobs.add(
                *("reconstruct", f"reconstruct_{method.name}_{cell.dataset}{end}"),
                "reconstruct",
                [stem + ".nii.gz"] if single else files,
                stem,
                items=items if single else None,
                wildcards=scale,
                variant=method.listed_name,
                size=work if single else work * len(items),
                voxels=jobs.sizes.hr_voxels(cell.dataset),
                after=[
                    *jobs.lr(cell.dataset, scale),
                    *(n for m in models for n in jobs.names(m)),
                ],
                **method_request(method, "reconstruct"),
            )


def add_metrics(jobs: JobList) -> None:
    """Add the jobs that compute metrics of reconstructions and ground truths."""
    study, layout = jobs.study, jobs.layout
    fetched = [
        jobs.add("evaluate", f"fetch_metric_{name}", "fetch_metric", [layout.metric_file(name)], "")
        for name in study.metrics_with("fetch")
    ]

    def about(name: str) -> dict:
        return {
            "variant": jobs.metrics,
            "size": len(study.items(name, "test")) * jobs.sizes.hr_voxels(name),
            "voxels": jobs.sizes.hr_voxels(name),
        }

    truths = {}
    for name in study.measured_datasets if study.slice_metrics else []:
        scores = layout.ground_truth_scores(name)
        truths[name] = jobs.add(
            *("evaluate", f"ground_truth_scores_{name}", "ground_truth_scores"),
            *([scores], scores),
            after=[f"prepare_{name}_test"],
            **about(name),
        )
    for cell in [*study.measured_cells(), *jobs.shown]:
        if cell.skipped:
            continue
        name, method, scale = cell.dataset, cell.method.name, scale_name(cell.scale)
        jobs.add(
            *("evaluate", f"evaluate_{name}", "evaluate"),
            [layout.metrics(name, method, scale)],
            f"{layout.root}/metrics/{name}/{method}/x{scale}",
            wildcards=f"{method} {scale}",
            after=[
                *jobs.sr(method, name, scale),
                *([truths[name]] if name in truths else []),
                *fetched,
            ],
            **about(name),
        )


def add_segmentation(jobs: JobList) -> None:
    """Add the jobs that segment ground truths and reconstructions, and that compare the two."""
    study, layout = jobs.study, jobs.layout
    settings = study.segmentation
    for name in study.segmented_datasets:
        items, voxels = study.items(name, "test"), jobs.sizes.working_voxels(name)
        about = {"size": voxels, "items": items}
        about["voxels"] = jobs.sizes.hr_voxels(name)  # memory holds the scan too
        files = [layout.subject_priors(name, "{item}", what) for what in ("priors", "mask")]
        aligned = jobs.add(
            *("segment", f"align_{name}", "align", files, files[0]),
            variant=settings["transform"] + ("" if study.datasets[name].brain_known else "+brain"),
            after=[f"prepare_{name}_test", "fetch_priors"],
            **about,
        )
        shared = settings["registration"] == "shared"
        variant = "shared" if shared else f"own {settings['transform']}"
        of_truth = "shared"
        if settings["engine"] != "atropos":  # which uses neither priors nor template
            variant = of_truth = settings["engine"]
        request = "segment" if shared else "segment_with_registration"
        truth = layout.segmentation(name, "{item}")
        truth = jobs.add(
            *("segment", f"segment_ground_truth_{name}", "segment", [truth], truth),
            variant=of_truth,
            after=[aligned],
            **about,
        )
        listed = layout.segmentation_list(name)
        listed = jobs.add(
            *("segment", f"list_ground_truth_{name}", "list", [listed], ""), after=[truth]
        )
        chosen = study.perturbed_items(name)
        noisy = layout.noisy_segmentation(name, "{item}")
        noisy = jobs.add(
            *("segment", f"segment_noisy_{name}", "segment", [noisy], noisy),
            variant=variant,
            request=request,
            after=[aligned],
            **{**about, "items": chosen},
        )
        jobs.add(
            *("segment", f"noise_floor_{name}", "overlap"),
            *([layout.noise_floor(name)], layout.noise_floor(name)),
            size=len(chosen) * jobs.sizes.hr_voxels(name),
            voxels=jobs.sizes.hr_voxels(name),
            after=[truth, noisy],
        )
        for cell in study.segmented_cells(name):
            if cell.skipped:
                continue
            method, scale = cell.method.name, scale_name(cell.scale)
            labels = layout.segmentation(name, "{item}", method, scale)
            segmented = [
                jobs.add(
                    *("segment", f"segment_{name}{end}", "segment", [labels], labels),
                    wildcards=f"{method} {scale}",
                    variant=variant,
                    request=request,
                    after=[aligned, *jobs.sr(method, name, scale)],
                    **{**about, "items": chosen},
                )
                for end, chosen in jobs.by_rule("segmentation", name, items)
            ]
            jobs.add(
                *("segment", f"overlap_{name}", "overlap"),
                [layout.overlap(name, method, scale), layout.tissues(name, method, scale)],
                f"{layout.root}/overlap/{name}/{method}/x{scale}",
                wildcards=f"{method} {scale}",
                size=len(items) * jobs.sizes.hr_voxels(name),
                voxels=jobs.sizes.hr_voxels(name),
                after=[listed, *segmented],
            )
