"""The part of a volume that a figure shows, chosen by rule or by the config.

Display is radiological: anterior (superior) up, the patient's right (sagittal: anterior) left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.volumes.io import Volume, check_grid, load

MARGIN = 4  # voxels shown around the mask
ENLARGED = 0.3  # side of the enlarged part, as a share of the shorter side of the image
LINE = 0.4  # length of a profile, as a share of the shorter side of the image
RIM = 3  # voxels at the mask's edge, whose contrast with the background is not a detail
PLANES = ("sagittal", "coronal", "axial")

Place = tuple[float, float]  # x to the right and y down from the image's corner, in voxel widths


@dataclass(frozen=True)
class View:
    """The part of a volume that is shown, on the grid of the ground truth.

    Attributes:
        axis: Axis across the slice: 2 (axial), or the one that is a single voxel thick.
        index: Index of the slice.
        window: Rows and columns of the displayed image.
        aspect: Height of a voxel over its width, in mm.
        width: Width of a voxel in mm.
    """

    axis: int
    index: int
    window: tuple[slice, slice]
    aspect: float
    width: float = 1.0

    @property
    def plane(self) -> str:
        """Name of the plane."""
        return PLANES[self.axis]

    @property
    def sides(self) -> tuple[str, str]:
        """The letters of the sides on the left and on the right of the image."""
        return ("A", "P") if self.plane == "sagittal" else ("R", "L")

    @property
    def orientation(self) -> str:
        """The caption's sentence on the display."""
        up = "anterior" if self.plane == "axial" else "superior"
        left = "anterior" if self.plane == "sagittal" else "the patient's right"
        return (
            f"Radiological display: {up} is up, {left} is on the left. Voxels are"
            f" {self.width:.3g} mm wide and {self.width * self.aspect:.3g} mm high; the bar is to"
            " scale."
        )

    def place(self, voxel: Sequence[float], shape: Sequence[int]) -> Place:
        """Return the place of a voxel in the displayed image of a volume of this shape."""
        across, up = (a for a in range(3) if a != self.axis)
        rows, columns = self.window
        column = shape[across] - 1 - voxel[across] - columns.start
        row = shape[up] - 1 - voxel[up] - rows.start
        return column + 0.5, (row + 0.5) * self.aspect


@dataclass(frozen=True)
class Box:
    """A square part of an image, in voxel widths from its upper left corner."""

    left: float
    top: float
    side: float


def load_truth(path: str | Path) -> Volume:
    """Load a ground truth.

    Raises:
        InputError: The volume is unusable or not in canonical RAS.
    """
    truth = load(path)
    if nib.aff2axcodes(truth.affine) != ("R", "A", "S"):
        raise InputError(f"{path}: not in canonical RAS orientation; prepare it again")
    return truth


def load_like(path: str | Path, truth: Volume, truth_path: str | Path) -> Volume:
    """Load a volume that must lie on the grid of the ground truth.

    Raises:
        InputError: The volume is unusable or off that grid.
    """
    volume = load(path)
    check_grid(volume, path, truth, truth_path)
    return volume


def choose_view(mask: Volume, name: str | Path = "mask") -> View:
    """Return the slice where the mask's section is largest (of equals, the first), cropped to it.

    Args:
        mask: Nonzero inside, shape (X, Y, Z), RAS.
        name: Name of the mask's file, for messages.

    Raises:
        InputError: The mask is empty.
    """
    inside = mask.data != 0
    if not inside.any():
        raise InputError(f"{name}: no voxel is inside; make the mask again")
    axis = slice_axis(inside.shape)
    others = tuple(a for a in range(3) if a != axis)
    return view_at(mask, axis, int(np.argmax(inside.sum(axis=others))))


def slice_axis(shape: Sequence[int]) -> int:
    """Return the axis that is a single voxel thick, else the axis of axial slices."""
    thin = [axis for axis, size in enumerate(shape) if size == 1]
    return thin[0] if thin else 2


def view_at(mask: Volume, axis: int, index: int) -> View:
    """Return a slice, cropped to the mask's section and a margin; whole if that is empty."""
    section = displayed(mask.data != 0, axis, index)
    across, up = (mask.voxel_size[a] for a in range(3) if a != axis)
    window = tuple(
        slice(max(0, hits[0] - MARGIN), min(hits[-1] + 1 + MARGIN, section.shape[side]))
        if (hits := np.flatnonzero(section.any(axis=1 - side))).size
        else slice(0, section.shape[side])
        for side in (0, 1)
    )
    return View(axis, index, window, float(up / across), float(across))


def take(data: np.ndarray, view: View) -> np.ndarray:
    """Return the displayed slice of a RAS volume: first row on top, patient's left on the right."""
    return displayed(data, view.axis, view.index)[view.window]


def displayed(data: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Return a whole slice of a RAS volume as it is displayed."""
    return np.take(data, index, axis=axis).T[::-1, ::-1]


def extent(image: np.ndarray, aspect: float) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of an image in voxel widths."""
    return 0.0, float(image.shape[1]), image.shape[0] * aspect, 0.0


def enlarged_side(image: np.ndarray, aspect: float) -> float:
    """Return the side of the part to enlarge, in voxel widths."""
    _, right, bottom, _ = extent(image, aspect)
    return ENLARGED * min(right, bottom)


def box_around(centre: Place, side: float, image: np.ndarray, aspect: float) -> Box:
    """Return the box around a place, moved so that it lies in the image."""
    _, right, bottom, _ = extent(image, aspect)
    side = min(side, right, bottom)
    left, top = (
        min(max(at - side / 2, 0.0), end - side)
        for at, end in zip(centre, (right, bottom), strict=True)
    )
    return Box(left, top, side)


def most_detail(image: np.ndarray, inside: np.ndarray, aspect: float) -> Box:
    """Return the box with the most local detail: the energy that a Gaussian of 2 voxels removes.

    Only boxes count that lie in the mask to nine tenths, or as far as any box does. The rim of the
    mask is not a detail.

    Args:
        image: Slice of the ground truth, shape (rows, columns).
        inside: The mask there.
        aspect: Height of a voxel over its width.
    """
    side = enlarged_side(image, aspect)
    size = [max(1, round(side / aspect)), max(1, round(side))]
    inner = ndimage.binary_erosion(inside != 0, iterations=RIM)
    detail = (image - ndimage.gaussian_filter(image, 2)) ** 2 * inner
    energy, covered = (_window_sums(x, size) for x in (detail, (inside != 0).astype(float)))
    enough = covered >= min(0.9 * size[0] * size[1], covered.max())
    row, column = np.unravel_index(np.argmax(np.where(enough, energy, -1.0)), energy.shape)
    centre = (column + size[1] / 2, (row + size[0] / 2) * aspect)
    return box_around(centre, side, image, aspect)


def most_varied(
    image: np.ndarray, inside: np.ndarray, aspect: float, box: Box | None = None
) -> tuple[Place, Place]:
    """Return the horizontal or vertical line inside the mask along which an image varies most.

    Args:
        image: Slice of the ground truth, shape (rows, columns).
        inside: The mask there.
        aspect: Height of a voxel over its width.
        box: A part of the image that the line must stay well inside of.

    Returns:
        The line's ends, at centres of voxels.
    """
    _, right, bottom, _ = extent(image, aspect)
    length = LINE * min(right, bottom)
    inner = (inside != 0).astype(float)
    if box is not None:
        # Not at the edge of the box, where the line would not be seen.
        length, rim = min(length, 0.8 * box.side), 0.08 * box.side
        y, x = np.indices(image.shape) + 0.5
        for at, low in ((x, box.left), (y * aspect, box.top)):
            inner *= (at > low + rim) & (at < low + box.side - rim)
    best, ends = -1.0, ((0.5, 0.5 * aspect), (right - 0.5, 0.5 * aspect))
    for axis, voxel in ((1, 1.0), (0, aspect)):
        count = max(1, round(length / voxel))
        size = [1, 1]
        size[axis] = count + 1
        if count + 1 > image.shape[axis]:
            continue
        covered = _window_sums(inner, size)
        size[axis] = count
        change = _window_sums(np.abs(np.diff(image, axis=axis)), size)
        change = np.where(covered >= covered.max() - 0.5, change, -1.0)
        if change.max() > best:
            best = change.max()
            row, column = np.unravel_index(np.argmax(change), change.shape)
            first = (column + 0.5, (row + 0.5) * aspect)
            last = (first[0] + count, first[1]) if axis else (first[0], first[1] + count * aspect)
            ends = (first, last)
    return ends


def along(image: np.ndarray, aspect: float, line: tuple[Place, Place]) -> np.ndarray:
    """Return the intensity along a line every half voxel width, by linear interpolation."""
    (x0, y0), (x1, y1) = line
    count = 1 + max(1, round(2 * np.hypot(x1 - x0, y1 - y0)))
    rows = np.linspace(y0, y1, count) / aspect - 0.5
    columns = np.linspace(x0, x1, count) - 0.5
    return ndimage.map_coordinates(image.astype(np.float64), [rows, columns], order=1,
                                   mode="nearest")  # fmt: skip


def _window_sums(detail: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return the sums of all windows of this size that lie inside, by their first voxel."""
    sums = np.pad(detail.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = (min(n, m) for n, m in zip(size, detail.shape, strict=True))
    return (
        sums[rows:, columns:]
        - sums[:-rows, columns:]
        - sums[rows:, :-columns]
        + sums[:-rows, :-columns]
    )
