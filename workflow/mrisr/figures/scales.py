"""One model at several scales: LR above, SR below.

As Figure 1 of the ArSSR paper (arXiv 2110.14476): a single model, k = 2, 3.2 and 4.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from mrisr.common.layout import scale_name
from mrisr.figures.canvas import enlarge, frame, show, sides, word
from mrisr.figures.files import plain, write
from mrisr.figures.grid import Grid
from mrisr.figures.low import Low, low_slice, place
from mrisr.figures.scene import MISSING, Scene, read_scene, record, text, times
from mrisr.figures.view import Box, extent, most_detail
from mrisr.volumes.io import load


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw LR and SR of one method at every scale, with a part enlarged below each.

    Args:
        params: dataset, its label, cells of one method, each with `lr`, the LR volume in RAS, and
            what `mrisr.figures.scene.read_scene` takes.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid.
    """
    scene = read_scene(params)
    (label,) = scene.methods.values()
    lr = {
        cell["scale"]: low_slice(load(cell["lr"]), scene) if Path(cell["lr"]).exists() else MISSING
        for cell in params["cells"]
    }
    box = most_detail(scene.wanted, scene.inside, scene.view.aspect)
    shown = record(
        params,
        scene,
        f"{label} at {times(scene.scales)}: {params['label']}, {params['subject']}",
        _caption(params, scene, label),
    )
    with plain():
        grid = _draw(scene, lr, box, shown.title)
        write(grid.figure, shown, outputs, grid.detail)


def _caption(params: Mapping, scene: Scene, label: str) -> str:
    single = all(cell.get("one_model") for cell in params["cells"])
    return text(
        f"{params['label']}, {params['subject']}:"
        f" {'a single model, ' if single else ''}{label}, at {times(scene.scales)},"
        f" {scene.view.plane} slice {scene.view.index} (counted from 0) through the largest section"
        " of the mask. Above, the LR volume's nearest slice, on its own voxels and where they lie;"
        " below, the reconstruction with the PSNR in dB of this subject's whole volume. The part in"
        " the box, where the ground truth has the most local detail, is enlarged. At an isotropic"
        " scale k a voxel's volume shrinks by k³. Images share one gray window."
        f" {scene.view.orientation}",
        scene.remarks,
        "As Figure 1 of Wu et al. (arXiv 2110.14476).",
    )


def _draw(
    scene: Scene,
    lr: Mapping[float, Low],
    box: Box,
    title: str,
) -> Grid:
    aspect = scene.view.aspect
    whole = extent(scene.wanted, aspect)
    columns = ["Ground truth", *[f"{scale_name(scale)}×" for scale in scene.scales]]
    grid = Grid(title, columns, ["LR", "SR"], whole[2] / whole[1], [1.0])
    (method,) = scene.methods

    def pair(row: int, column: int, draw_one: Callable[[Axes], None]) -> None:
        for below in (0, 1):
            axes = grid.image(row, column, below)
            draw_one(axes)
            axes.set_xlim(whole[0], whole[1])
            axes.set_ylim(whole[2], whole[3])
            if below:
                enlarge(axes, box)
            else:
                frame(axes, box)
                sides(axes, scene.view)

    pair(1, 0, lambda axes: show(axes, scene.wanted, aspect, scene.top))
    for column, scale in enumerate(scene.scales, start=1):
        low, high = lr[scale], scene.images[scale, method]
        if isinstance(low, str):
            word(grid.image(0, column), low)
        else:
            pair(0, column, lambda axes, low=low: place(axes, *low, scene.top))
        if isinstance(high, str):
            word(grid.image(1, column), high)
        else:
            pair(1, column, lambda axes, high=high: show(axes, high, aspect, scene.top))
            grid.note(1, column, scene.above[scale, method])
    return grid
