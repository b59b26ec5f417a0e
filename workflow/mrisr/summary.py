"""What tables, figures and the report need to know of a study, as plain values."""

from pathlib import Path

from mrisr.layout import scale_name
from mrisr.study import Study

PUBLISHED = Path(__file__).parents[2] / "config" / "published"


def cells(study: Study, dataset: str | None = None) -> list[dict]:
    """Return a description of every cell of the tables, see `mrisr.measured.read_rows`.

    `model` is the folder of the model behind the cell, None for methods without, and for those
    with a model for each subject.
    """
    described = []
    for cell in study.cells(dataset):
        method, scale = cell.method, scale_name(cell.scale)
        shared = method.kind == "supervised" and not cell.skipped
        path = study.layout.metrics(cell.dataset, method.name, scale)
        described.append(
            {
                "dataset": cell.dataset,
                "dataset_label": study.datasets[cell.dataset].label,
                "simulated": study.datasets[cell.dataset].spec["simulated"],
                "scale": cell.scale,
                "method": method.name,
                "method_label": method.label,
                "control": method.control,
                "ground_truth": method.input == "ground_truth",
                "learned": method.learned,
                "skipped": cell.skipped,
                "path": None if cell.skipped else path,
                "model": study.layout.model(method.name, method.trained(scale)) if shared else None,
                "published_steps": method.spec.get("published_steps"),
            }
        )
    return described


def notes(study: Study) -> dict[str, str]:
    """Return the footnotes that say how every number of the study was made, by topic."""
    low = study.degradation
    how = {
        "volume": "all three axes",
        "stacks": "each axis in turn, which gives three orthogonal stacks",
        "slice": "the two in-plane axes",
    }[low["kind"]]
    kernel = (
        "a Gaussian slice profile whose FWHM is the slice thickness"
        if low["kernel"] == "slice_profile"
        else "cubic B-splines"
    )
    grid = (
        "first and last voxel centres kept (published)"
        if low["grid"] == "corners"
        else "field of view kept"
    )
    blur = (
        f"after a Gaussian of FWHM {low['antialias']:g} LR voxels"
        if low["antialias"]
        else "without anti-alias filter"
    )
    crops = "; ".join(
        f"{study.datasets[name].label}: {_crop(study.datasets[name].spec['crop'])}"
        for name in study.test_datasets
    )
    found = {
        "Degradation": f"{kernel} along {how}, {blur}, {grid}.",
        "Ground truth": f"one gain to [0, 1] for each subject, LR made from it. Crop: {crops}.",
        "Data range": "maximum minus minimum of the ground truth.",
        "Mask": "voxels with signal, closed and filled.",
        "Seed": str(study.seed),
    }
    if study.config["preset"] == "demo":
        found["Demo"] = "networks and training are shrunk; no row tells how good a method is."
    return found


def _crop(crop: dict) -> str:
    if crop["kind"] == "brain":
        return f"box of the mask and {crop['margin']} voxels around it"
    if crop["kind"] == "shape":
        return "cropped or padded to " + " x ".join(map(str, crop["shape"]))
    return "none"


def published(study: Study) -> list[dict]:
    """Return which published values stand beside which dataset: file, dataset, source."""
    return [
        {**entry, "file": str(PUBLISHED / entry["file"])} for entry in study.config["published"]
    ]


def models(study: Study) -> list[dict]:
    """Return label, folder name and folder of every model of the training set."""
    return [
        {
            "label": method.label,
            "trained": trained,
            "folder": study.layout.model(method.name, trained),
            "published_steps": method.spec.get("published_steps"),
        }
        for method, trained in study.models()
    ]


def datasets(study: Study) -> list[dict]:
    """Return what the report says of every dataset, with the numbers of subjects by split."""
    keys = ("description", "licence", "citation", "doi", "url", "simulated")
    return [
        {
            "label": dataset.spec["label"],
            **{key: dataset.spec.get(key) for key in keys},
            "subjects": {s: len(dataset.subjects[s]) for s in study.splits(name)},
        }
        for name, dataset in study.datasets.items()
    ]
