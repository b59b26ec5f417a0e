"""Masks of lesions that lie beside a dataset's scans, and the choice of the lesion to show."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.figures.view import Place, View, displayed, slice_axis, take, view_at
from mrisr.volumes.io import Volume, canonical
from mrisr.volumes.raw import load_scan


@dataclass(frozen=True)
class Target:
    """A lesion in a slice.

    Attributes:
        view: The slice.
        place: Inmost point of the lesion, in the displayed image.
        edge: Nearest point of its outline, in the displayed image.
        millilitres: Volume of the whole lesion.
    """

    view: View
    place: Place
    edge: Place
    millilitres: float


def listed(sources: str | Path, subject: str) -> Path:
    """Return the file of a subject from a list that `mrisr.data.fetch.fetch` wrote.

    Raises:
        InputError: The list lacks the subject.
    """
    with Path(sources).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["subject"] == subject:
                return Path(row["path"])
    raise InputError(f"{sources}: has no lesions of {subject}; delete it and run again")


def on_grid(path: str | Path, truth: Volume, name: str | Path) -> Volume:
    """Load lesions and cut them as the ground truth was cut from the same scan.

    Args:
        path: NIfTI or MGH on the grid of the raw scan in any orientation, nonzero inside.
        truth: The ground truth, which has the scan's voxels: turned to RAS, cropped or padded.
        name: Name of the lesions' file, for messages.

    Returns:
        0 and 1 on the grid of `truth`, uint8; 0 where the file does not reach.

    Raises:
        InputError: The file is unusable, or its voxels are not the scan's.
    """
    given = canonical(load_scan(path))
    offset = np.linalg.inv(given.affine) @ truth.affine
    shift = offset[:3, 3]
    start = np.round(shift).astype(int)
    if not np.allclose(offset[:3, :3], np.eye(3), atol=1e-3) or np.abs(shift - start).max() > 0.05:
        raise InputError(
            f"{path}: its voxels are not those of {name}; resample the lesions to the grid of the"
            " scan"
        )
    found = np.zeros(truth.data.shape, np.uint8)
    low = np.maximum(start, 0)
    high = np.minimum(start + truth.data.shape, given.data.shape)
    if (high > low).all():
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        here = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        found[here] = np.nan_to_num(given.data[there]) != 0
    return Volume(found, truth.affine)


def largest(lesions: Volume, mask: Volume, name: str | Path, view: View | None = None) -> Target:
    """Return the largest lesion, in the slice where its section is largest.

    Args:
        lesions: 0 and 1, shape (X, Y, Z), RAS.
        mask: Mask of the brain, on the same grid; the view is cropped to it.
        name: Name of the lesions' file, for messages.
        view: A slice to stay in; then the lesion with the largest section there.

    Raises:
        InputError: There is no lesion (in that slice).
    """
    labels, count = ndimage.label(lesions.data, ndimage.generate_binary_structure(3, 3))
    axis = slice_axis(lesions.data.shape) if view is None else view.axis
    seen = labels if view is None else np.take(labels, view.index, axis=axis)
    sizes = np.bincount(seen.ravel(), minlength=count + 1)
    sizes[0] = 0
    if not sizes.any():
        where = "the cropped ground truth" if view is None else f"slice {view.index}"
        raise InputError(
            f"{name}: no lesion lies in {where}; show another subject or slice"
            " (figures.lesion of the config)"
        )
    chosen = labels == np.argmax(sizes)
    if view is None:
        others = tuple(a for a in range(3) if a != axis)
        view = view_at(mask, axis, int(np.argmax(chosen.sum(axis=others))))
    section = take(chosen, view)
    if not section.any():  # outside the mask's section, to which the view is cropped
        whole = displayed(chosen, view.axis, view.index)
        view = View(view.axis, view.index, (slice(0, whole.shape[0]), slice(0, whole.shape[1])),
                    view.aspect, view.width)  # fmt: skip
        section = take(chosen, view)
    place, edge = _inmost(section, view.aspect)
    volume = float(chosen.sum() * np.prod(lesions.voxel_size) / 1000)
    return Target(view, place, edge, volume)


def _inmost(section: np.ndarray, aspect: float) -> tuple[Place, Place]:
    """Return the inmost point of the largest part of a section, and the nearest on its outline.

    The middle of a lesion that winds about a ventricle may lie outside it.
    """
    parts, _ = ndimage.label(section)
    part = np.pad(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]), 1)
    depth, outside = ndimage.distance_transform_edt(
        part, sampling=(aspect, 1.0), return_indices=True
    )
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    place = np.array([column - 0.5, (row - 0.5) * aspect])
    beyond = np.array([outside[1, row, column] - 0.5, (outside[0, row, column] - 0.5) * aspect])
    away = beyond - place
    edge = beyond - min(0.75, 0.5 * float(np.hypot(*away))) * away / np.hypot(*away)
    return (float(place[0]), float(place[1])), (float(edge[0]), float(edge[1]))
