"""The LR input in figures of images: its own voxels, where they lie."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mrisr.common.layout import scale_name
from mrisr.figures.canvas import word
from mrisr.figures.scene import MISSING, Scene
from mrisr.figures.view import displayed, extent
from mrisr.volumes.io import Volume, load

LR = "LR"  # heading of the column
Low = tuple[np.ndarray, tuple[float, float, float, float]] | str


def read_low(params: Mapping, scene: Scene) -> dict[float, Low] | None:
    """Return the LR slice of every scale, or a word in its place; None if the figure has none.

    Args:
        params: Optionally `lr`: the LR volume's file, by name of the scale.
        scene: The scene whose slice is shown.
    """
    files = params.get("lr")
    if not files:
        return None
    return {
        scale: low_slice(load(file), scene)
        if Path(file := files[scale_name(scale)]).exists()
        else MISSING
        for scale in scene.scales
    }


def told(low: Mapping[float, Low] | None) -> str:
    """Return the caption's sentence on the LR column; empty without one."""
    if not low:
        return ""
    return "LR: the nearest slice of the input, on its own voxels and where they lie."


def place_low(axes: Axes, low: Low, scene: Scene) -> None:
    """Draw an LR slice in the window of the scene, or the word in its place."""
    if isinstance(low, str):
        word(axes, low)
        return
    place(axes, *low, scene.top)
    left, right, bottom, top = extent(scene.wanted, scene.view.aspect)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def low_slice(volume: Volume, scene: Scene) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Return the LR slice nearest to the view, and its extent in the view's image.

    Args:
        volume: The LR volume, RAS.
        scene: The scene whose slice is shown.

    Returns:
        The slice on its own voxels, shape (rows, columns), and its left, right, bottom and top end.
    """
    view, shape = scene.view, scene.truth.data.shape
    onto = np.linalg.inv(scene.truth.affine) @ volume.affine  # LR voxels to the ground truth's
    middle = (np.asarray(volume.data.shape) - 1) / 2
    middle[view.axis] = 0
    first = onto @ [*middle, 1]
    index = round((view.index - first[view.axis]) / onto[view.axis, view.axis])
    index = min(max(index, 0), volume.data.shape[view.axis] - 1)
    image = displayed(volume.data, view.axis, index)
    corners = [
        view.place((onto @ [*corner, 1])[:3], shape)
        for corner in (np.full(3, -0.5), np.asarray(volume.data.shape) - 0.5)
    ]
    (right, bottom), (left, top) = corners
    return image, (left, right, bottom, top)


def place(
    axes: Axes, image: np.ndarray, where: tuple[float, float, float, float], top: float
) -> None:
    """Draw an LR slice where its voxels lie."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=top, extent=where, aspect=1,
                interpolation="nearest")  # fmt: skip
