"""How much work jobs have: voxels of volumes, multiplications of networks."""

import math
from functools import cache
from pathlib import Path

from mrisr.common.errors import MrisrError
from mrisr.data.datasets import Dataset
from mrisr.methods.method import Method
from mrisr.methods.training_length import steps_per_epoch, total_steps
from mrisr.study.study import Study

#: Edges of an adult's brain in mm, for crops whose size depends on the scans.
BRAIN = (145, 185, 150)


class JobSizes:
    """The sizes of a study's jobs.

    Attributes:
        study: The study.
    """

    def __init__(self, study: Study):
        self.study = study

    def hr_voxels(self, dataset: str) -> float:
        """Return the voxels of a prepared item, from the file on disk or from crop and scan."""
        return math.prod(self._shape(dataset))

    def lr_voxels(self, dataset: str, scale: float) -> float:
        """Return the voxels of an item's LR input, all stacks together."""
        kind, real = self.study.degradation["kind"], dataset in self.study.real_datasets
        reduced = {"volume": (3, 1), "stacks": (1, 3), "slice": (2, 1), "through_plane": (1, 1)}
        axes, copies = reduced[kind]
        if real and kind != "through_plane":
            axes = 3
        return (
            copies
            * self.hr_voxels(dataset)
            / scale ** (3 if real and kind != "through_plane" else axes)
        )

    def raw_voxels(self, dataset: str) -> float:
        """Return the voxels of a scan as published; as prepared if the dataset does not say."""
        shape = self.study.datasets[dataset].spec.get("scan", {}).get("shape")
        return math.prod(shape) if shape else self.hr_voxels(dataset)

    def raw_bytes(self, dataset: str) -> float:
        """Return the bytes of a downloaded or simulated scan; 0 for scans of a folder."""
        about = self.study.datasets[dataset]
        if about.folder is not None:
            return 0
        return 1e6 * about.spec.get("scan", {}).get("megabytes", 0)

    @cache  # noqa: B019, one for each plan
    def _shape(self, dataset: str) -> tuple[float, ...]:
        about, study = self.study.datasets[dataset], self.study
        if about.has_ground_truth:
            for split in study.splits(dataset):
                for item in study.items(dataset, split)[:1]:
                    if Path(file := study.layout.hr(dataset, item)).exists():
                        return _header_shape(file)
        shape = _expected_shape(about)
        if not about.has_ground_truth:
            largest, only = max(study.scales(dataset)), study.slice_axis
            return tuple(n * largest if only in (None, axis) else n for axis, n in enumerate(shape))
        if study.slices is not None:
            axis = ("sagittal", "coronal", "axial").index(study.slices.get("axis", "axial"))
            return (*(n for i, n in enumerate(shape) if i != axis), 1)
        return shape

    def macs(self, method: Method, lr: float, hr: float) -> float:
        """Return the multiplications that a method needs to make `hr` voxels from `lr`."""
        lr_weights, hr_weights = weights(method)
        return lr_weights * lr + hr_weights * hr

    def train_macs(self, method: Method, scale: float, steps: int | None = None) -> float:
        """Return the multiplications of a training's forward passes (default all steps)."""
        training, study = method.spec.get("training", {}), self.study
        training = {"batch": 1, "epochs": 1, **training}
        if steps is None:
            subjects = len(study.items(study.train_dataset, "train")) if study.train_dataset else 1
            patches = subjects * training.get("patches_per_subject", 1)
            steps = total_steps(training, steps_per_epoch(training, patches))
        network, axes = method.spec.get("network"), 3 if study.slices is None else 2
        if network in ("query", "upscale"):
            sample = self.macs(method, training["lr_patch"] ** axes, training.get("queries", 0))
        else:
            edge = method.patch_size(scale) if network == "grid" else 1
            sample = self.macs(method, 0, edge**axes)
        return sample * steps * training["batch"]

    def subject_macs(self, method: Method, dataset: str, scale: float) -> float:
        """Return the multiplications of training a subject's model on all stacks of the subject."""
        epochs = method.spec.get("training", {}).get("epochs", 1)
        return self.macs(method, 0, self.lr_voxels(dataset, scale)) * epochs

    def working_voxels(self, dataset: str) -> float:
        """Return the number of voxels on which a dataset is segmented."""
        edge, hr = self.study.segmentation["voxel_size"], self.hr_voxels(dataset)
        sizes = self.study.datasets[dataset].spec.get("scan", {}).get("voxel_size")
        return hr * math.prod(min(1, s / edge) for s in sizes) if edge and sizes else hr


@cache
def weights(method: Method) -> tuple[float, float]:
    """Return the multiplications that a method needs for a voxel of LR, and for a voxel of HR.

    A method without a network has 1 and 1: its cost follows its voxels.
    """
    if not method.learned or method.kind == "external" or method.function("build") is None:
        return 1.0, 1.0
    import torch

    with torch.device("meta"):  # only shapes are needed
        network = method.build()
    every = sum(p.numel() for p in network.parameters())
    if method.spec.get("network") == "upscale":  # only its last layer is on the HR grid
        return float(every), 0.0
    if method.spec.get("network") != "query":
        return 0.0, float(every)
    decoder = getattr(network, "decoder", None)
    queried = sum(p.numel() for p in decoder.parameters()) if decoder is not None else 0
    return float(every - queried), float(queried)


def _expected_shape(dataset: Dataset) -> tuple[float, ...]:
    """Return the shape of a ground truth as the dataset's file states it."""
    crop, scan = dataset.spec["crop"], dataset.spec.get("scan", {})
    if crop["kind"] == "shape":
        return tuple(crop["shape"])
    shape, size = scan.get("shape"), scan.get("voxel_size")
    if shape is None:
        raise MrisrError(
            f"dataset '{dataset.name}': how large its volumes are is not known before they are"
            f" prepared; add scan: {{shape: [...], voxel_size: [...]}} to {dataset.path}"
        )
    if crop["kind"] == "brain" and size is not None:
        box = [mm / s + 2 * crop["margin"] for mm, s in zip(BRAIN, size, strict=True)]
        # Axes as stored may be in any order; a box of about the same size fits all the same.
        return tuple(min(n, edge) for n, edge in zip(shape, box, strict=True))
    return tuple(shape)


def _header_shape(file: str | Path) -> tuple[int, ...]:
    import nibabel as nib

    return nib.load(file).shape[:3]
