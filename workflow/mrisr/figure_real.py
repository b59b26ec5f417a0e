"""The figure of real LR scans: the scan, its reconstructions, and an HR reference if there is one.

There is no ground truth, so no error is drawn: below each image its centre is enlarged. Display
is radiological.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mrisr.errors import InputError
from mrisr.figure_comparison import GRAY, Key, View, choose_view, take
from mrisr.figure_files import Record, plain, write
from mrisr.io import Volume, load
from mrisr.layout import scale_name
from mrisr.real_lr import foreground, resampled, sr_grid

LR, REFERENCE = "LR scan", "HR reference"
ENLARGED = 0.35  # side of the part that is enlarged, of the shorter side of the image


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a real LR scan, its reconstructions and its HR reference, one slice of each.

    Columns are the scan, the methods and the reference, rows the scales. The reference, which has
    its own voxels, is interpolated linearly to the slice of the SR grid. The scan and its
    reconstructions share one gray window; the reference, another acquisition, has its own.

    Args:
        params: dataset, its label, subject, lr (the scan in canonical RAS; the slice is taken
            where its foreground's section is largest), reference (HR scan of the same subject,
            where it lies in mm, or None), and cells as in `mrisr.figure_comparison.draw`, whose
            images lie on the SR grid.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, or the scan is not RAS or a reconstruction not on its grid.
    """
    lr, reference, cells = params["lr"], params["reference"], params["cells"]
    images = {(cell["scale"], cell["method_label"]): cell["image"] for cell in cells}
    scan = load(lr)
    if nib.aff2axcodes(scan.affine) != ("R", "A", "S"):
        raise InputError(f"{lr}: not in canonical RAS orientation; prepare it again")
    view = choose_view(Volume(foreground(scan.data), scan.affine), lr)
    shown = {(0.0, LR): take(scan.data, view)}
    hr = None if reference is None else load(reference)
    scales = list(dict.fromkeys(scale for scale, _ in images))
    for scale in scales:
        shape, affine = sr_grid(scan, scale)
        finer = refined(view, scan.data.shape, shape)
        for (its, label), path in images.items():
            if its == scale and path is not None and Path(path).exists():
                volume = load(path)
                if volume.data.shape != shape:
                    raise InputError(
                        f"{path}: shape {volume.data.shape}, where the scan refined by"
                        f" {scale_name(scale)} has {shape}; make it again"
                    )
                shown[its, label] = take(volume.data, finer)
        if hr is not None:
            shown[scale, REFERENCE] = _slice(hr, shape, affine, finer)
    record = Record(
        title=f"{params['label']}, {params['subject']}, "
        + ", ".join(f"{scale_name(k)}×" for k in scales),
        caption=caption(params["subject"], params["label"], hr is not None),
        section="Real scans",
        dataset=params["dataset"],
        subject=params["subject"],
        methods=list(dict.fromkeys(cell["method"] for cell in cells)),
        scales=scales,
    )
    with plain():
        write(_draw(shown, images, hr is not None, view, record.title), record, outputs)


def caption(subject: str, dataset: str, reference: bool) -> str:
    """Return the figure's caption.

    Args:
        subject: Name of the subject shown.
        dataset: Label of its dataset.
        reference: Whether it has an HR reference.
    """
    beside = (
        " The HR reference is another acquisition of the same subject, interpolated to the slice"
        " and with a gray window of its own: noise, contrast and position differ, so no error is"
        " drawn."
        if reference
        else " No ground truth exists, so no error is drawn."
    )
    return (
        f"{dataset}, {subject}: the axial slice through the largest section of a real"
        " low-resolution scan, and the same slice of every reconstruction; below each image its"
        f" centre, enlarged. The scan and its reconstructions share one gray window.{beside}"
        " Radiological display: anterior is up, the patient's right is on the left."
    )


def refined(view: View, lr_shape: Sequence[int], sr_shape: Sequence[int]) -> View:
    """Return the view of the SR grid that shows what a view of the LR grid does.

    Args:
        view: Of the LR grid, of which the SR grid has the field of view.
        lr_shape: Shape of the LR volume.
        sr_shape: Shape of the SR volume.
    """
    ratio = [n / m for n, m in zip(sr_shape, lr_shape, strict=True)]
    across, up = (ratio[axis] for axis in range(3) if axis != view.axis)
    # The SR slice whose centre is nearest to the LR slice's.
    index = round((view.index + 0.5) * ratio[view.axis] - 0.5)
    rows, columns = (
        slice(round(side.start * k), round(side.stop * k))
        for side, k in zip(view.window, (up, across), strict=True)
    )
    index = min(max(index, 0), sr_shape[view.axis] - 1)
    return View(view.axis, index, (rows, columns), view.aspect * across / up)


def _slice(volume: Volume, shape: Sequence[int], affine: np.ndarray, view: View) -> np.ndarray:
    """Return what a view of a grid shows of a volume that has another grid."""
    shift, thin = np.eye(4), list(shape)
    shift[view.axis, 3], thin[view.axis] = view.index, 1
    data = resampled(volume, thin, affine @ shift)
    return take(data, View(view.axis, 0, view.window, view.aspect))


def _draw(
    shown: Mapping[Key, np.ndarray],
    images: Mapping[Key, object],
    referenced: bool,
    view: View,
    title: str,
) -> Figure:
    scales = list(dict.fromkeys(scale for scale, _ in images))
    methods = list(dict.fromkeys(method for _, method in images))
    names = [LR, *methods, *([REFERENCE] if referenced else [])]
    scan = shown[0.0, LR]
    # Inches: panels shrink a little in wide studies; the rest is text at a fixed size.
    wide = 1.7 if len(names) <= 7 else 1.4
    tall, gap, left = wide * scan.shape[0] * view.aspect / scan.shape[1], 0.04, 0.45
    head = 0.45 + (0.35 if title else 0.0)
    width = left + len(names) * (wide + gap) + 0.05
    height = head + len(scales) * (tall + wide + 3 * gap) + 0.05
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)

    def panel(row: int, column: int, enlarged: bool):
        x = left + column * (wide + gap)
        y = head + row * (tall + wide + 3 * gap) + (tall + gap if enlarged else 0)
        high = wide if enlarged else tall
        axes = figure.add_axes(
            (x / width, 1 - (y + high) / height, wide / width, high / height), frame_on=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    ceilings = {LR: float(np.percentile(scan, 99.9)) or 1.0}
    pooled = [image for (_, name), image in shown.items() if name == REFERENCE]
    if pooled:
        ceilings[REFERENCE] = float(np.percentile(np.concatenate(pooled, axis=None), 99.9)) or 1.0
    for row, scale in enumerate(scales):
        for column, name in enumerate(names):
            axes = panel(row, column, enlarged=False)
            image = shown.get((0.0 if name == LR else scale, name))
            if column == 0:
                axes.set_ylabel(f"{scale_name(scale)}×", fontsize=11, fontweight="bold")
                for letter, x in (("R", 0.02), ("L", 0.98)):
                    axes.text(
                        *(x, 0.02, letter), va="bottom", color="white", fontsize=7,
                        ha="left" if letter == "R" else "right", transform=axes.transAxes,
                    )  # fmt: skip
            if image is None:
                word = "n/a" if images.get((scale, name)) is None else "missing"
                axes.text(
                    *(0.5, 0.5, word), ha="center", va="center", color="0.4", fontsize=9,
                    transform=axes.transAxes,
                )  # fmt: skip
                continue
            # In units of LR voxels' width, so that a part is the same on every grid.
            extent = (0, scan.shape[1], scan.shape[0] * view.aspect, 0)
            for enlarged in (False, True):
                axes = panel(row, column, True) if enlarged else axes
                axes.imshow(
                    *(image, GRAY), vmin=0, vmax=ceilings.get(name, ceilings[LR]),
                    extent=extent, aspect=1, interpolation="nearest",
                )  # fmt: skip
            half = ENLARGED / 2 * min(extent[1], extent[2])
            x, y = extent[1] / 2, extent[2] / 2
            axes.set_xlim(x - half, x + half)
            axes.set_ylim(y + half, y - half)
    for column, name in enumerate(names):
        x = left + column * (wide + gap) + wide / 2
        size = min(10, 72 * wide / (0.6 * len(name)))  # a letter is about 0.6 of its size wide
        _text(figure, x / width, 1 - (head - 0.25) / height, name, size, ha="center")
    if title:
        _text(figure, left / width, 1 - 0.12 / height, title, 12, ha="left", weight="bold")
    return figure


def _text(figure: Figure, x: float, y: float, text: str, size: float, **style: object) -> None:
    # Labels come from files of users: a dollar sign is no formula.
    figure.text(x, y, text, fontsize=size, va="top", parse_math=False, **style)
