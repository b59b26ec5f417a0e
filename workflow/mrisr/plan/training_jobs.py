"""Jobs that train models of the training set and of single subjects."""

from collections.abc import Sequence
from itertools import product

from mrisr.common.layout import scale_name
from mrisr.methods.method import Method
from mrisr.plan.job_list import JobList, method_request


def add_training(jobs: JobList) -> None:
    """Add the jobs that train models, and the jobs that make their targets."""
    study, layout = jobs.study, jobs.layout
    targets = _denoise(jobs)
    for method, trained in study.models():
        if not method.imported:
            after = ["check_scans", *(targets if method.denoising else [])]
            for each in study.trainings(method):
                _training(jobs, each, f"train_{each.name}", [], None, trained, after)
    for name, about in study.early_stopping.items():
        method = study.methods[name]
        trained = method.trained(scale_name(about["scale"]))
        files = [layout.early_stopping(name, trained, n) for n in ("curve.csv", "images.npz")]
        jobs.add(
            *("train", f"early_stopping_{name}", "train", files),
            layout.early_stopping(name, trained, "curve"),
            variant=name,
            size=jobs.sizes.train_macs(method, about["scale"], about["steps"]),
            after=["check_scans", *(targets if method.denoising else [])],
            **method_request(method, "train"),
        )
    for cell in study.measured_cells():
        if cell.method.per_subject and not cell.skipped:
            scale = scale_name(cell.scale)
            where = [cell.dataset, "{item}"]
            _training(
                jobs,
                cell.method,
                f"train_{cell.method.name}_{cell.dataset}",
                where,
                study.items(cell.dataset, "test"),
                cell.method.trained(scale),
                ["check_scans", *jobs.lr(cell.dataset, scale)],
                jobs.sizes.subject_macs(cell.method, cell.dataset, cell.scale),
            )


def _denoise(jobs: JobList) -> list[str]:
    """Add the jobs that denoise targets for losses that need them; return their names."""
    study, layout = jobs.study, jobs.layout
    name, made = study.train_dataset, []
    if name is None:
        return []
    for sigma, split in product(map(scale_name, study.denoising), ("train", "val")):
        made.append(
            jobs.add(
                *("train", f"denoise_{name}_{split}", "denoise"),
                jobs.files.denoised(name, sigma, split),
                f"{layout.root}/denoised/{name}_{split}/sigma{sigma}",
                wildcards=sigma,
                size=len(study.items(name, split)) * jobs.sizes.hr_voxels(name),
                voxels=jobs.sizes.hr_voxels(name),
                after=[f"prepare_{name}_{split}"],
            )
        )
    return made


def _training(
    jobs: JobList,
    method: Method,
    rule: str,
    where: Sequence[str],
    items: Sequence[str] | None,
    trained: str,
    after: Sequence[str],
    macs: float | None = None,
) -> None:
    """Add the job that trains a model, or one for each item (`where` then names `{item}`)."""
    folder = jobs.layout.model(method.name, trained, *where)
    minutes = method.spec.get("training", {}).get("minutes")
    if macs is None:
        scale = float(trained.removeprefix("x")) if method.models == "per_scale" else 1
        macs = jobs.sizes.train_macs(method, scale)
    jobs.add(
        *("train", rule, "train"),
        [f"{folder}/{file}" for file in ("model.safetensors", "model.json", "log.csv")],
        folder,
        items=items,
        wildcards=trained,
        variant=method.listed_name,
        size=macs,
        after=after,
        **method_request(method, "train"),
        model=None if where else folder,
        most_seconds=60 * minutes if minutes else None,
    )
