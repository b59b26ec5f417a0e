"""Volumes for the report's slice viewer: on one grid, cropped, 8-bit, small enough to send.

All volumes of a dataset, subject and scale lie on the grid of the ground truth (for a real LR scan:
on its SR grid). So the viewer changes methods by exchanging only voxels. Its axes are turned to the
nearest RAS+ orientation, so that the page needs no affine.
"""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.common.layout import HR_REFERENCE_LABEL
from mrisr.figures.comparison import upper_end
from mrisr.figures.scene import window_top
from mrisr.figures.view import choose_view, take
from mrisr.volumes.io import Volume, canonical, load

#: Voxels around the mask that are kept; least number of axial slices worth showing.
MARGIN, LEAST = 4, 8
#: The quantile of a real scan's intensities inside the mask that becomes white.
WHITE = 0.999
#: Axes along which voxels may become differences from the voxel before; the smallest is taken.
DIFFERENCES = ((), (0,), (0, 1), (0, 1, 2))
#: Slices in the middle of a volume that are packed to choose the axes.
TRIED = 8


@dataclass(frozen=True)
class Gallery:
    """Content of the viewer.

    Attributes:
        sets: One for each dataset, subject and scale: dataset, dataset_label, subject, scale,
            measured (there is a ground truth), white (the intensity that becomes 255), error_top
            (the error at the end of its colours, None without ground truth), shape, voxel_size
            (mm), and images, each with key, label, kind (`truth`, `lr`, `sr`, `reference`) and
            blob.
        blobs: By name, the voxels as `pack` writes them.
        remarks: Sentences on what is shown and what is left out.
    """

    sets: list[dict] = field(default_factory=list)
    blobs: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def megabytes(self) -> float:
        """Size of all blobs in the page."""
        return sum(map(len, self.blobs.values())) / 1e6


@dataclass(frozen=True)
class _Box:
    """The part of a grid that is shown.

    Attributes:
        slices: Slices of the array, first voxel included and last excluded.
        depth: Number of axial slices in the mask's box, all of them if none had to be left out.
    """

    slices: tuple[slice, slice, slice]
    depth: int


def gallery(sets: Sequence[Mapping], megabytes: float) -> Gallery:
    """Prepare volumes for the viewer.

    Missing files (of a study that still runs) are left out, and so are sets without anything to
    compare. If all volumes exceed the budget, fewer axial slices are shown, around the one with the
    largest section of the mask. If that is not enough, the last sets are left out.

    Args:
        sets: See `mrisr.plan.report.viewer_sets`.
        megabytes: Size that the blobs may have in the page, in 10^6 bytes.

    Raises:
        InputError: A volume is damaged, or not on the grid of its set.
    """
    there = [image_set for image_set in map(_existing, sets) if image_set]
    remarks = []
    chosen, depth = _fitting(there, megabytes)
    deepest = max(map(_depth, chosen), default=0)
    estimated = depth is not None
    while True:
        shown = Gallery()
        errors = [_add(shown, image_set, depth) for image_set in chosen]
        if not chosen:
            break
        before = depth or deepest
        fitting = int(0.98 * before * megabytes / shown.megabytes)
        if shown.megabytes <= megabytes:
            if not estimated or fitting < 1.1 * before:
                break
            depth, estimated = min(fitting, deepest), False
        elif before > LEAST:
            depth, estimated = max(LEAST, min(fitting, before - 1)), False
        else:
            chosen = chosen[:-1]
    if depth == deepest:
        depth = None
    _limit_errors(shown.sets, errors)
    if depth is not None and chosen:
        remarks.append(
            f"To keep the page below {megabytes:g} MB of volumes, at most {depth} axial slices"
            " are shown, around the one with the largest section of the mask."
        )
    if len(chosen) < len(there):
        left = "; ".join(
            f"{image_set['dataset_label']}, {image_set['subject']}, {image_set['scale']:g}×"
            for image_set in there[len(chosen) :]
        )
        remarks.append(f"Left out for the same reason: {left}.")
    if len(there) < len(sets):
        remarks.append(f"{len(sets) - len(there)} of {len(sets)} sets are not there yet.")
    return Gallery(shown.sets, shown.blobs, remarks)


def pack(voxels: np.ndarray) -> str:
    """Return voxels as the page holds them: gzipped, in base64.

    The first byte tells along which axes the voxels are differences (modulo 256) from the voxel
    before: the sum of 1, 2 and 4 for the first, second and third axis. The voxels follow, first
    axis fastest.

    Args:
        voxels: Shape (X, Y, Z), uint8.
    """
    middle = max(0, voxels.shape[2] // 2 - TRIED // 2)
    few = voxels[:, :, middle : middle + TRIED]
    axes = min(DIFFERENCES, key=lambda axes: len(_gzipped(few, axes)))
    return base64.b64encode(_gzipped(voxels, axes)).decode("ascii")


def _gzipped(voxels: np.ndarray, axes: Sequence[int]) -> bytes:
    for axis in axes:
        voxels = np.diff(voxels, axis=axis, prepend=np.uint8(0))
    head = bytes([sum(1 << axis for axis in axes)])
    # No time and no name inside, so that the same volumes give the same page.
    return gzip.compress(head + voxels.tobytes(order="F"), compresslevel=9, mtime=0)


def _existing(image_set: Mapping) -> dict | None:
    """Return a set without the files that are missing; None if too few are left."""

    def there(file: str | None) -> str | None:
        return file if file and Path(file).exists() else None

    found = {
        **image_set,
        **{key: there(image_set[key]) for key in ("mask", "truth", "lr", "reference")},
    }
    found["images"] = [image for image in image_set["images"] if there(image["file"])]
    if image_set["truth"] and not found["truth"]:
        return None
    return found if found["mask"] and found["images"] else None


def _fitting(sets: Sequence[Mapping], megabytes: float) -> tuple[list[Mapping], int | None]:
    """Estimate from one volume how many slices and sets fit; None for all slices."""
    if not sets:
        return [], None
    trial = Gallery()
    first = {**sets[0], "images": sets[0]["images"][:1], "lr": None, "reference": None}
    _add(trial, first, None)
    voxels = np.prod(trial.sets[0]["shape"]) * len(trial.blobs)
    rate = trial.megabytes / voxels
    planes = [_plane(image_set) * _count(sets, i) for i, image_set in enumerate(sets)]
    depths = [_depth(image_set) for image_set in sets]
    if rate * sum(p * d for p, d in zip(planes, depths, strict=True)) <= megabytes:
        return list(sets), None
    kept = len(sets)
    while kept > 1 and rate * sum(planes[:kept]) * LEAST > megabytes:
        kept -= 1
    depth = max(LEAST, int(megabytes / (rate * sum(planes[:kept]))))
    return list(sets[:kept]), depth if depth < max(depths[:kept]) else None


def _count(sets: Sequence[Mapping], index: int) -> int:
    """Return the number of blobs that a set adds; one ground truth serves all scales."""
    image_set = sets[index]
    new = image_set["truth"] and image_set["truth"] not in [
        other["truth"] for other in sets[:index]
    ]
    return (
        len(image_set["images"]) + bool(new) + bool(image_set["lr"]) + bool(image_set["reference"])
    )


def _plane(image_set: Mapping) -> int:
    box = _box(image_set, None)
    return int(np.prod([s.stop - s.start for s in box.slices[:2]]))


def _depth(image_set: Mapping) -> int:
    return _box(image_set, None).depth


def _box(image_set: Mapping, depth: int | None) -> _Box:
    """Return the box of a set's mask and a margin, in `depth` axial slices."""
    mask = load(image_set["mask"]).data > 0
    if not mask.any():
        mask = np.ones_like(mask)
    slices = []
    for axis, size in enumerate(mask.shape):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = int(inside[0]), int(inside[-1])
        slices.append(slice(max(0, first - MARGIN), min(size, last + 1 + MARGIN)))
    low, high = slices[2].start, slices[2].stop
    if depth is not None and depth < high - low:
        middle = int(np.argmax(mask.sum(axis=(0, 1))))
        start = min(max(low, middle - depth // 2), high - depth)
        slices[2] = slice(start, start + depth)
    return _Box(tuple(slices), high - low)


def _limit_errors(sets: Sequence[dict], errors: Sequence[Sequence[np.ndarray]]) -> None:
    """Give all scales of a subject one upper end of errors, that of the figure of comparison."""
    pooled: dict[tuple, list[np.ndarray]] = {}
    for image_set, slices in zip(sets, errors, strict=True):
        pooled.setdefault((image_set["dataset"], image_set["subject"]), []).extend(slices)
    for image_set in sets:
        if image_set["measured"]:
            of_subject = pooled[image_set["dataset"], image_set["subject"]]
            image_set["error_top"] = upper_end(of_subject)


def _add(shown: Gallery, image_set: Mapping, depth: int | None) -> list[np.ndarray]:
    """Add a set and its blobs; return the errors in the slice of the figures."""
    box = _box(image_set, depth).slices
    first = image_set["truth"] or image_set["images"][0]["file"]
    base, mask = load(first), load(image_set["mask"])
    inside = mask.data > 0
    view = choose_view(mask, image_set["mask"]) if image_set["truth"] and inside.any() else None
    white = _white(base.data, inside) if view is None else window_top(take(base.data, view))
    errors = []
    affine = base.affine @ nib.affines.from_matvec(np.eye(3), [s.start for s in box])
    images = []

    def add(key: str, label: str, kind: str, blob: str, voxels: np.ndarray) -> None:
        if blob not in shown.blobs:
            packed = pack(canonical(Volume(voxels, affine)).data)
            # Nearest-neighbour interpolation is LR in its own voxels, for most grids.
            blob = next((name for name, other in shown.blobs.items() if other == packed), blob)
            shown.blobs[blob] = packed
        images.append({"key": key, "label": label, "kind": kind, "blob": blob})

    name = f"{image_set['dataset']}-{image_set['subject']}"
    at = f"{name}-x{image_set['scale']:g}"
    if image_set["truth"]:
        add("truth", "Ground truth", "truth", f"{name}-truth", _bytes(base.data[box], white))
    for image in image_set["images"]:
        volume = load(image["file"])
        if volume.data.shape != base.data.shape:
            raise InputError(
                f"{image['file']}: {volume.data.shape} voxels, but {first} has {base.data.shape};"
                " delete it and run again"
            )
        if view is not None:
            errors.append(np.abs(take(volume.data, view) - take(base.data, view)))
        blob = f"{at}-{image['method']}"
        add(image["method"], image["label"], "sr", blob, _bytes(volume.data[box], white))
    shape = [s.stop - s.start for s in box]
    if image_set["lr"]:
        lr = load(image_set["lr"])
        voxels = _moved(lr, affine, shape, order=0)
        add("lr", "LR input (its own voxels)", "lr", f"{at}-lr", _bytes(voxels, white))
    if image_set["reference"]:
        reference = load(image_set["reference"])
        white_level = _white(reference.data, reference.data > 0)
        voxels = _moved(reference, affine, shape, order=1)
        add(
            "reference",
            HR_REFERENCE_LABEL,
            "reference",
            f"{at}-reference",
            _bytes(voxels, white_level),
        )
    turned = canonical(Volume(np.empty(shape, np.uint8), affine))
    shown.sets.append(
        {
            **{key: image_set[key] for key in ("dataset", "dataset_label", "subject", "scale")},
            "measured": bool(image_set["truth"]),
            "white": white,
            "error_top": white if image_set["truth"] else None,
            "shape": list(turned.data.shape),
            "voxel_size": [round(float(s), 4) for s in nib.affines.voxel_sizes(turned.affine)],
            "images": images,
        }
    )
    return errors


def _white(data: np.ndarray, inside: np.ndarray) -> float:
    """Return the intensity that becomes 255."""
    inside_data = data[inside] if inside.any() else data
    return float(np.quantile(inside_data, WHITE)) or 1.0


def _bytes(data: np.ndarray, white: float) -> np.ndarray:
    return np.round(255 * np.clip(np.nan_to_num(data) / white, 0, 1)).astype(np.uint8)


def _moved(volume: Volume, affine: np.ndarray, shape: Sequence[int], order: int) -> np.ndarray:
    """Sample a volume at the voxels of another grid."""
    matrix = np.linalg.inv(volume.affine) @ affine
    mode = "nearest" if order == 0 else "constant"
    return ndimage.affine_transform(
        volume.data, matrix[:3, :3], matrix[:3, 3], tuple(shape), order=order, mode=mode
    )
