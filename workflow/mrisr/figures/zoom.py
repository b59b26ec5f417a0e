"""Images of every method and scale, with an enlarged part below each.

As Figures 5 and 7 (zoom), 10 and 13 (encoders) and 7 and 9 (a lesion, with an arrow) of the ArSSR
paper, versions 2 and 1 (arXiv 2110.14476).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from mrisr.common.layout import scale_name
from mrisr.figures import lesions
from mrisr.figures.canvas import enlarge, frame, scale_bar, show, sides, word
from mrisr.figures.files import plain, write
from mrisr.figures.grid import Grid
from mrisr.figures.low import LR, Low, place_low, read_low, told
from mrisr.figures.scene import Scene, chosen_view, read_scene, record, text, times, title
from mrisr.figures.style import SMALL
from mrisr.figures.view import (
    Box,
    Place,
    box_around,
    enlarged_side,
    load_like,
    load_truth,
    most_detail,
)

PAPER = {
    "zoom": "As Figure 5 of Wu et al. (arXiv 2110.14476, version 2; 7 in version 1).",
    "lesion": "As Figure 7 of Wu et al. (arXiv 2110.14476, version 2; 9 in version 1).",
    "encoders": "As Figure 10 of Wu et al. (arXiv 2110.14476, version 2; 13 in version 1).",
}


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a slice of the ground truth and of every cell, with an enlarged part below each.

    Args:
        params: `kind` (zoom, lesion or encoders), dataset, its label, `inset`, and what
            `mrisr.figures.scene.read_scene` takes. `inset` has `centre`, a voxel of the ground
            truth, and `size` in mm; either may be absent. A figure of a lesion also has `lesions`,
            a list of raw scans as `mrisr.data.fetch.fetch` writes it.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid; the config's voxel is outside; or
            there is no lesion.
    """
    inset = params.get("inset") or {}
    params = {"at": inset.get("centre"), **params}
    target = None
    if params["kind"] == "lesion":
        scene, target, about = _lesion_scene(params)
    else:
        scene = read_scene(params)
        about = f"slice {scene.view.index} (counted from 0)" + (
            "" if inset.get("centre") else " through the largest section of the mask"
        )
    box, where = _box(scene, inset, target)
    low = read_low(params, scene)
    shown = record(
        params,
        scene,
        title(params, scene.scales),
        _caption(params, scene, about, where, target is not None, low),
    )
    with plain():
        grid = _draw(scene, low, box, target, shown.title)
        write(grid.figure, shown, outputs, grid.detail)


def _lesion_scene(params: Mapping) -> tuple[Scene, lesions.Target, str]:
    """Return the slice of the largest lesion's largest section, the lesion, and words for it."""
    truth = load_truth(params["truth"])
    mask = load_like(params["mask"], truth, params["truth"])
    path = lesions.listed(params["lesions"], params["subject"])
    given = lesions.on_grid(path, truth, params["truth"])
    chosen = chosen_view(mask, params) if params["at"] is not None else None
    target = lesions.largest(given, mask, path, chosen)
    scene = read_scene(params, target.view)
    return (
        scene,
        target,
        (
            f"slice {target.view.index} (counted from 0) through the largest section of the"
            f" {'' if chosen else 'largest '}lesion ({target.millilitres:.2f} ml)"
        ),
    )


def _box(scene: Scene, inset: Mapping, target: lesions.Target | None) -> tuple[Box, str]:
    """Return the enlarged part, and how it was chosen."""
    image, view = scene.wanted, scene.view
    side = enlarged_side(image, view.aspect)
    if "size" in inset:
        side = inset["size"] / view.width
    if inset.get("centre"):
        place = view.place(inset["centre"], scene.truth.data.shape)
        return box_around(place, side, image, view.aspect), "chosen in the config"
    if target is not None:
        return box_around(target.place, side, image, view.aspect), "around the lesion"
    box = most_detail(image, scene.inside, view.aspect)
    if "size" in inset:
        middle = (box.left + box.side / 2, box.top + box.side / 2)
        box = box_around(middle, side, image, view.aspect)
    return box, "where the ground truth has the most local detail"


def _caption(
    params: Mapping,
    scene: Scene,
    about: str,
    where: str,
    arrow: bool,
    low: Mapping[float, Low] | None,
) -> str:
    shown = "of the ArSSR encoders" if params["kind"] == "encoders" else "of every method"
    return text(
        f"{params['label']}, {params['subject']}: {scene.view.plane} {about},"
        f" {shown} at {times(scene.scales)}, and below each image the part in the box"
        f" ({where}), enlarged.",
        "The arrow points at the edge of the lesion, as the dataset's mask has it."
        if arrow
        else "",
        "Above each image the PSNR in dB of this subject's whole volume. Images share one"
        f" gray window. {scene.view.orientation}",
        told(low),
        scene.remarks,
        PAPER[params["kind"]],
    )


def _draw(
    scene: Scene,
    low: Mapping[float, Low] | None,
    box: Box,
    target: lesions.Target | None,
    title: str,
) -> Grid:
    aspect = scene.view.aspect
    ratio = scene.wanted.shape[0] * aspect / scene.wanted.shape[1]
    columns = ["Ground truth", *([LR] if low else []), *scene.methods.values()]
    rows = [f"{scale_name(scale)}×" for scale in scene.scales]
    grid = Grid(title, columns, rows, ratio, [1.0])
    for row, scale in enumerate(scene.scales):
        if low:
            place_low(grid.image(row, 1), low[scale], scene)
            if not isinstance(low[scale], str):
                frame(grid.figure.axes[-1], box)
                part = grid.image(row, 1, 1)
                place_low(part, low[scale], scene)
                enlarge(part, box)
        for place, method in enumerate([None, *scene.methods]):
            column = place + (bool(low) if place else 0)
            image = scene.wanted if method is None else scene.images[scale, method]
            whole = grid.image(row, column)
            if isinstance(image, str):
                word(whole, image)
                continue
            show(whole, image, aspect, scene.top)
            frame(whole, box)
            if method is None:
                sides(whole, scene.view)
            else:
                grid.note(row, column, scene.above[scale, method])
            part = grid.image(row, column, 1)
            show(part, image, aspect, scene.top)
            enlarge(part, box)
            if method is None:
                scale_bar(part, scene.view)
            if target is not None:
                _point(part, target.place, target.edge, box)
    return grid


def _point(axes: Axes, place: Place, edge: Place, box: Box) -> None:
    """Draw an arrow from outside to the lesion's edge."""
    across, down = edge[0] - place[0], edge[1] - place[1]
    length = max((across**2 + down**2) ** 0.5, 1e-6)
    reach = 0.25 * box.side
    start = (edge[0] + across / length * reach, edge[1] + down / length * reach)
    axes.annotate(
        "", xy=edge, xytext=start, annotation_clip=False,
        arrowprops={"arrowstyle": "simple,head_length=0.5,head_width=0.5,tail_width=0.18",
                    "facecolor": "white", "edgecolor": "black", "linewidth": 0.5,
                    "shrinkA": 0, "shrinkB": 0, "mutation_scale": SMALL},
    )  # fmt: skip
