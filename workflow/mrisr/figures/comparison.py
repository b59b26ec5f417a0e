"""One slice of the ground truth and of every method and scale, with errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mrisr.common.layout import scale_name
from mrisr.figures.canvas import show, sides, word
from mrisr.figures.files import plain, write
from mrisr.figures.grid import GAP, LEFT, Grid
from mrisr.figures.low import LR, Low, place_low, read_low, told
from mrisr.figures.scene import Key, Scene, read_scene, record, text, times, title
from mrisr.figures.style import ERROR, SMALL


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw ground truth and reconstructions, and below each the error |SR - GT|.

    Columns are the ground truth, the LR volume where there is one, and the methods, rows the
    scales, both in the order of the cells.
    All images share one gray window, all errors one colour scale, in units of the ground truth.

    Args:
        params: dataset, its label, and what `mrisr.figures.scene.read_scene` and
            `mrisr.figures.low.read_low` take.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid of the ground truth.
    """
    scene = read_scene(params)
    errors = {
        key: np.abs(image - scene.wanted)
        for key, image in scene.images.items()
        if not isinstance(image, str)
    }
    low = read_low(params, scene)
    shown = record(params, scene, title(params, scene.scales), _caption(params, scene, low))
    with plain():
        grid = _draw(scene, low, errors, upper_end(errors.values()), shown.title)
        write(grid.figure, shown, outputs, grid.detail)


def _caption(params: Mapping, scene: Scene, low: Mapping[float, Low] | None) -> str:
    return text(
        f"{params['label']}, {params['subject']}: {scene.view.plane} slice {scene.view.index}"
        " (counted from 0) through the largest section of the mask, for every method at"
        f" {times(scene.scales)}; above each image the PSNR in dB of this subject's whole volume."
        " Below each image, its absolute error |SR − GT| in units of the ground truth's maximum;"
        " all errors share the colour bar, which ends at their 99.5th percentile. Images share one"
        f" gray window. {scene.view.orientation}",
        told(low),
        scene.remarks,
    )


def upper_end(errors: Sequence[np.ndarray]) -> float:
    """Return the 99.5th percentile of all errors in view, rounded up to two digits."""
    pooled = [error[np.isfinite(error)] for error in errors if error.any()]
    top = float(np.percentile(np.concatenate(pooled), 99.5)) if pooled else 0.0
    if top <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(top)) - 1)
    return float(f"{math.ceil(top / unit) * unit:.2g}")


def _draw(
    scene: Scene,
    low: Mapping[float, Low] | None,
    errors: Mapping[Key, np.ndarray],
    top: float,
    title: str,
) -> Grid:
    aspect = scene.view.aspect
    ratio = scene.wanted.shape[0] * aspect / scene.wanted.shape[1]
    columns = ["Ground truth", *([LR] if low else []), *scene.methods.values()]
    rows = [f"{scale_name(scale)}×" for scale in scene.scales]
    grid = Grid(title, columns, rows, ratio, [ratio], right=0.5)
    bar = None
    for row, scale in enumerate(scene.scales):
        axes = grid.image(row, 0)
        show(axes, scene.wanted, aspect, scene.top)
        sides(axes, scene.view)
        if low:
            place_low(grid.image(row, 1), low[scale], scene)
        for column, method in enumerate(scene.methods, start=1 + bool(low)):
            key = scale, method
            axes, image = grid.image(row, column), scene.images[key]
            if isinstance(image, str):
                word(axes, image)
                continue
            show(axes, image, aspect, scene.top)
            grid.note(row, column, scene.above[key])
            bar = show(grid.image(row, column, 1), errors[key], aspect, top, ERROR)
    if bar is not None:
        x = LEFT + len(columns) * (grid.wide + GAP) + 0.04
        axes = grid.axes(x, grid.y(0, 1), 0.07, grid.talls[1])
        grid.figure.colorbar(bar, cax=axes, extend="max")
        axes.tick_params(labelsize=SMALL, length=2, pad=1)
        axes.set_ylabel("|SR − GT|", fontsize=SMALL, labelpad=2)
    return grid
