"""The figure of real LR scans: the scan, its reconstructions, an HR reference if there is one.

As Figures 8 and 10 of the ArSSR paper, versions 2 and 1 (arXiv 2110.14476). Without a ground truth
no error is drawn. Below each image are its enlarged centre and the intensity along a line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mrisr.common.errors import InputError
from mrisr.common.layout import HR_REFERENCE_LABEL, scale_name
from mrisr.figures.canvas import enlarge, frame, sides, stroke, word
from mrisr.figures.files import Record, plain, write
from mrisr.figures.grid import Grid
from mrisr.figures.scene import (
    MISSING,
    NOT_APPLICABLE,
    Key,
    first_of_several,
    remarks,
    text,
    times,
    title,
    window_top,
)
from mrisr.figures.style import GRAY, SMALL, look
from mrisr.figures.view import (
    Box,
    Place,
    View,
    along,
    choose_view,
    extent,
    load_truth,
    most_varied,
    take,
)
from mrisr.prepare.real_volumes import foreground, resampled, sr_grid
from mrisr.volumes.io import Volume, load

LR, REFERENCE = "LR scan", HR_REFERENCE_LABEL
ENLARGED = 0.35  # side of the enlarged part, as a share of the shorter side of the image
PROFILE = 0.6  # height of a profile, as a share of its width


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a real LR scan, its reconstructions and its HR reference, one slice of each.

    Columns are the scan, the methods and the reference, rows the scales. The reference, which has
    its own voxels, is interpolated linearly to the slice of the SR grid. The scan and its
    reconstructions share one gray window; the reference, another acquisition, has its own.

    Args:
        params: dataset, its label, subject, lr, reference and cells. lr is the scan in canonical
            RAS; the slice shown is where its foreground's section is largest. reference is an HR
            scan of the same subject, placed in mm, or None. Each cell has `look`, and `image` on
            the SR grid (None where the method does not apply).
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, or the scan is not RAS or a reconstruction not on its grid.
    """
    cells, reference = params["cells"], params["reference"]
    scan = load_truth(params["lr"])
    inside = foreground(scan.data)
    view = choose_view(Volume(inside, scan.affine), params["lr"])
    shown: dict[Key, np.ndarray | str] = {(0.0, LR): take(scan.data, view)}
    hr = load(reference) if reference is not None and Path(reference).exists() else None
    scales = list(dict.fromkeys(cell["scale"] for cell in cells))
    for scale in scales:
        shape, affine = sr_grid(scan, scale)
        finer = refined(view, scan.data.shape, shape)
        for cell in cells:
            if cell["scale"] == scale:
                shown[scale, cell["method"]] = _reconstruction(cell, shape, finer)
        if reference is not None:
            shown[scale, REFERENCE] = MISSING if hr is None else _slice(hr, shape, affine, finer)
    box = _middle(shown[0.0, LR], view)
    line = most_varied(shown[0.0, LR], take(inside, view), view.aspect, box)
    record = Record(
        title=title(params, scales),
        caption=_caption(params, scales, shown, view, line),
        section="Real scans",
        dataset=params["dataset"],
        subject=params["subject"],
        methods=list(dict.fromkeys(cell["method"] for cell in cells)),
        scales=scales,
    )
    with plain():
        grid = _draw(params, shown, scales, view, box, line, record.title)
        write(grid.figure, record, outputs, grid.detail)


def _reconstruction(cell: Mapping, shape: Sequence[int], view: View) -> np.ndarray | str:
    if cell["image"] is None:
        return NOT_APPLICABLE
    if not Path(cell["image"]).exists():
        return MISSING
    volume = load(cell["image"])
    if volume.data.shape != tuple(shape):
        raise InputError(
            f"{cell['image']}: shape {volume.data.shape}, where the scan refined by"
            f" {scale_name(cell['scale'])} has {shape}; make it again"
        )
    return take(volume.data, view)


def _middle(image: np.ndarray, view: View) -> Box:
    """Return the middle of an image, the part that is enlarged."""
    _, right, bottom, _ = extent(image, view.aspect)
    side = ENLARGED * min(right, bottom)
    return Box((right - side) / 2, (bottom - side) / 2, side)


def _caption(
    params: Mapping,
    scales: Sequence[float],
    shown: Mapping[Key, np.ndarray | str],
    view: View,
    line: tuple[Place, Place],
) -> str:
    length = float(np.hypot(*np.subtract(line[1], line[0])) * view.width)
    return text(
        f"{params['label']}, {params['subject']}: {view.plane} slice {view.index} (counted from 0)"
        " through the largest section of a real low-resolution scan, and the same slice of every"
        f" reconstruction at {times(scales)}; below each image its centre, enlarged, and the"
        f" intensity along the marked line of {length:.0f} mm, the horizontal or vertical one"
        " in it along which the scan varies most, from its left or upper end on: the scan's own"
        " (wide, gray), the reconstruction's (coloured), in units of the end of the gray window.",
        "The scan and its reconstructions share one gray window.",
        "The HR reference is another acquisition of the same subject, interpolated to the slice"
        " and with a gray window of its own: noise, contrast and position differ, so no error is"
        " drawn."
        if params["reference"] is not None
        else "No ground truth exists, so no error is drawn.",
        view.orientation,
        remarks(shown.values(), []),
        first_of_several(params["cells"]),
        "As Figure 8 of Wu et al. (arXiv 2110.14476, version 2; 10 in version 1).",
    )


def refined(view: View, lr_shape: Sequence[int], sr_shape: Sequence[int]) -> View:
    """Return the view of the SR grid that shows the same as a view of the LR grid.

    Args:
        view: View of the LR grid; the SR grid has the same field of view.
        lr_shape: Shape of the LR volume.
        sr_shape: Shape of the SR volume.
    """
    ratio = [n / m for n, m in zip(sr_shape, lr_shape, strict=True)]
    across, up = (ratio[axis] for axis in range(3) if axis != view.axis)
    # The SR slice whose centre is nearest to the centre of the LR slice.
    index = round((view.index + 0.5) * ratio[view.axis] - 0.5)
    rows, columns = (
        slice(round(side.start * k), round(side.stop * k))
        for side, k in zip(view.window, (up, across), strict=True)
    )
    index = min(max(index, 0), sr_shape[view.axis] - 1)
    return View(view.axis, index, (rows, columns), view.aspect * across / up, view.width / across)


def _slice(volume: Volume, shape: Sequence[int], affine: np.ndarray, view: View) -> np.ndarray:
    """Return the slice of a volume in a view of another grid."""
    shift, thin = np.eye(4), list(shape)
    shift[view.axis, 3], thin[view.axis] = view.index, 1
    data = resampled(volume, thin, affine @ shift)
    return take(data, View(view.axis, 0, view.window, view.aspect, view.width))


def _draw(
    params: Mapping,
    shown: Mapping[Key, np.ndarray | str],
    scales: Sequence[float],
    view: View,
    box: Box,
    line: tuple[Place, Place],
    title: str,
) -> Grid:
    looks = {cell["method"]: cell["look"] for cell in params["cells"]}
    names = {LR: LR} | {cell["method"]: cell["method_label"] for cell in params["cells"]}
    if params["reference"] is not None:
        names[REFERENCE] = REFERENCE
    scan = shown[0.0, LR]
    # In widths of LR voxels, so that a part is the same on every grid.
    whole = extent(scan, view.aspect)
    rows = [f"{scale_name(scale)}×" for scale in scales]
    ratio = whole[2] / whole[1]
    grid = Grid(title, list(names.values()), rows, ratio, [1.0, PROFILE], above=False, foot=0.25)
    tops = {LR: window_top(scan)}
    pooled = [image_there for (_, name), image_there in shown.items() if name == REFERENCE]
    if pooled and not isinstance(pooled[0], str):
        tops[REFERENCE] = window_top(np.concatenate(pooled, axis=None))
    profiles = {
        key: _along(image, scan, view, line) / tops.get(key[1], tops[LR])
        for key, image in shown.items()
        if not isinstance(image, str)
    }
    most = 1.05 * max(float(values.max()) for values in profiles.values())
    for row, scale in enumerate(scales):
        for column, name in enumerate(names):
            key = (0.0 if name == LR else scale, name)
            axes = grid.image(row, column)
            if isinstance(shown[key], str):
                word(axes, shown[key])
                continue
            for below in (0, 1):
                axes = grid.image(row, column, 1) if below else axes
                axes.imshow(
                    shown[key], cmap=GRAY, vmin=0, vmax=tops.get(name, tops[LR]), extent=whole,
                    aspect=1, interpolation="nearest",
                )  # fmt: skip
                axes.autoscale(False)
                if below:
                    stroke(axes, *zip(*line, strict=True))
                    enlarge(axes, box)
                else:
                    frame(axes, box)
                    if column == 0:
                        sides(axes, view)
            plot = grid.plot(row, column, 2)
            _profile(plot, profiles, key, looks.get(name, "lower"), view, line)
            plot.set_ylim(0, most)
            plot.tick_params(labelleft=column == 0, labelbottom=row == len(scales) - 1)
            if row == len(scales) - 1:
                plot.set_xlabel("mm", fontsize=SMALL, labelpad=1)
    return grid


def _along(
    image: np.ndarray, scan: np.ndarray, view: View, line: tuple[Place, Place]
) -> np.ndarray:
    """Return the intensity of an image along a line of the scan, every half image voxel."""
    finer = image.shape[1] / scan.shape[1]
    aspect = view.aspect * finer * scan.shape[0] / image.shape[0]
    return along(image, aspect, tuple((x * finer, y * finer) for x, y in line))


def _profile(
    axes: Axes,
    profiles: Mapping[tuple[float, str], np.ndarray],
    key: tuple[float, str],
    number: int | str,
    view: View,
    line: tuple[Place, Place],
) -> None:
    length = float(np.hypot(*np.subtract(line[1], line[0])) * view.width)
    lines = {(0.0, LR): {"color": "0.72", "linewidth": 2.0}}
    if key[1] != LR:
        lines[key] = {"color": look(number).colour, "linewidth": 0.9}
    for line_name, style in lines.items():
        axes.plot(np.linspace(0, length, len(profiles[line_name])), profiles[line_name], **style)
    axes.set_xlim(0, length)
    axes.tick_params(labelsize=SMALL, length=1.5, width=0.5, pad=1)
    axes.locator_params(nbins=3)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
