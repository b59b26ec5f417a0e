"""The comparison figure: one slice of the ground truth and of every method and scale.

Display is radiological: anterior up and the patient's left on the right of an axial slice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mrisr.errors import InputError
from mrisr.figure_files import Record, plain, write
from mrisr.io import Volume, load
from mrisr.layout import scale_name

# Colour maps of increasing lightness, so that the figure also reads in gray.
GRAY, ERROR = "gray", "inferno"
MARGIN = 4  # voxels shown around the mask
PLANES = ("sagittal", "coronal", "axial")

Key = tuple[float, str]  # scale, method label


@dataclass(frozen=True)
class View:
    """What is shown of a volume on the grid of the ground truth.

    Attributes:
        axis: Axis across the slice: 2 (axial), or the one that is a single voxel thick.
        index: Index of the slice.
        window: Rows and columns of the displayed image.
        aspect: Height of a voxel over its width, in mm.
    """

    axis: int
    index: int
    window: tuple[slice, slice]
    aspect: float

    @property
    def plane(self) -> str:
        """Name of the plane."""
        return PLANES[self.axis]


def choose_view(mask: Volume, name: str | Path = "mask") -> View:
    """Return the slice where the mask's section is largest (of equals, the first), cropped to it.

    Args:
        mask: Nonzero inside, shape (X, Y, Z), RAS.
        name: Of its file, for messages.

    Raises:
        InputError: The mask is empty.
    """
    inside = mask.data != 0
    if not inside.any():
        raise InputError(f"{name}: no voxel is inside; make the mask again")
    thin = [axis for axis, size in enumerate(inside.shape) if size == 1]
    axis = thin[0] if thin else 2
    others = tuple(a for a in range(3) if a != axis)
    index = int(np.argmax(inside.sum(axis=others)))
    section = _displayed(inside, axis, index)
    window = tuple(
        slice(max(0, hits[0] - MARGIN), hits[-1] + 1 + MARGIN)
        for hits in (np.flatnonzero(section.any(axis=side)) for side in (1, 0))
    )
    across, up = (mask.voxel_size[a] for a in others)
    return View(axis, index, window, float(up / across))


def take(data: np.ndarray, view: View) -> np.ndarray:
    """Return the displayed slice of a RAS volume: first row on top, patient's left on the right."""
    return _displayed(data, view.axis, view.index)[view.window]


def _displayed(data: np.ndarray, axis: int, index: int) -> np.ndarray:
    return np.take(data, index, axis=axis).T[::-1, ::-1]


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw ground truth and reconstructions, and below each the error |SR - GT|.

    Columns are the ground truth and the methods, rows the scales, both in the order of the cells.
    All images share one gray window, all errors one colour scale, in units of the ground truth.

    Args:
        params: dataset, its label, subject, truth and mask (NIfTI in canonical RAS; the slice is
            taken where the mask's section is largest), and cells, as `mrisr.figure_plan` makes
            them: `image` is None where the method does not apply (shown as n/a), and a file that
            is not there shows as missing. PSNR is printed above the images that have one.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid of the ground truth.
    """
    ground_truth, mask = params["truth"], params["mask"]
    truth = load(ground_truth)
    if nib.aff2axcodes(truth.affine) != ("R", "A", "S"):
        raise InputError(f"{ground_truth}: not in canonical RAS orientation; prepare it again")
    view = choose_view(_on_grid(mask, truth, ground_truth), mask)
    wanted = take(truth.data, view)
    cells = params["cells"]
    images = {(cell["scale"], cell["method_label"]): cell["image"] for cell in cells}
    shown = {
        key: take(_on_grid(path, truth, ground_truth).data, view)
        for key, path in images.items()
        if path is not None and Path(path).exists()
    }
    values = {
        (cell["scale"], cell["method_label"]): value
        for cell in cells
        if (value := _psnr(cell["path"], params["subject"])) is not None
    }
    errors = {key: np.abs(image - wanted) for key, image in shown.items()}
    top = _upper_end(errors.values())
    scales = list(dict.fromkeys(cell["scale"] for cell in cells))
    record = Record(
        title=f"{params['label']}, {params['subject']}, "
        + ", ".join(f"{scale_name(k)}×" for k in scales),
        caption=caption(params["subject"], params["label"], view.plane),
        section="Reconstructions",
        dataset=params["dataset"],
        subject=params["subject"],
        methods=list(dict.fromkeys(cell["method"] for cell in cells)),
        scales=scales,
    )
    with plain():
        figure = _draw(wanted, shown, errors, images, values, view, top, record.title)
        write(figure, record, outputs)


def _psnr(path: str | Path | None, subject: str) -> float | None:
    """Return the PSNR of a subject's volume in dB, None if it has not been measured."""
    if path is None or not Path(path).exists():
        return None
    values = pd.read_csv(path, dtype={"subject": str}).set_index(["subject", "metric", "region"])
    found = values["value"].get((subject, "psnr", "volume"))
    return None if found is None else float(found)


def caption(subject: str, dataset: str, plane: str = "axial") -> str:
    """Return the comparison's caption.

    Args:
        subject: Name of the subject shown.
        dataset: Label of its dataset.
        plane: axial, coronal or sagittal.
    """
    up = "anterior" if plane == "axial" else "superior"
    left = "anterior" if plane == "sagittal" else "the patient's right"
    return (
        f"{dataset}, {subject}: the {plane} slice through the largest section of the mask, for"
        " every method and scale, with the PSNR of this subject's whole volume above it. Below"
        " each image, its absolute error |SR − GT| in units of the ground truth's maximum; all"
        " errors share the colour bar, which ends at their 99.5th percentile. Images share one"
        f" gray window. Radiological display: {up} is up, {left} is on the left."
    )


def _on_grid(path: str | Path, truth: Volume, reference: str | Path) -> Volume:
    volume = load(path)
    if volume.data.shape != truth.data.shape or not np.allclose(
        volume.affine, truth.affine, atol=1e-4
    ):
        raise InputError(
            f"{path}: not on the grid of {reference} (shape {volume.data.shape}, expected"
            f" {truth.data.shape}, or another affine); make it again"
        )
    return volume


def _upper_end(errors: Sequence[np.ndarray]) -> float:
    """Return the 99.5th percentile of all errors in view, rounded up to two digits."""
    pooled = [error[np.isfinite(error)] for error in errors if error.any()]
    top = float(np.percentile(np.concatenate(pooled), 99.5)) if pooled else 0.0
    if top <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(top)) - 1)
    return float(f"{math.ceil(top / unit) * unit:.2g}")


def _draw(
    wanted: np.ndarray,
    shown: Mapping[Key, np.ndarray],
    errors: Mapping[Key, np.ndarray],
    images: Mapping[Key, object],
    values: Mapping[Key, float],
    view: View,
    top: float,
    title: str,
) -> Figure:
    scales = list(dict.fromkeys(scale for scale, _ in images))
    methods = list(dict.fromkeys(method for _, method in images))
    columns = 1 + len(methods)
    shape = wanted.shape[0] * view.aspect / wanted.shape[1]
    # Inches: panels shrink a little in wide studies; the rest is text at a fixed size.
    wide = 1.7 if columns <= 7 else 1.4
    tall, gap, pair_gap, left, right = wide * shape, 0.04, 0.24, 0.45, 0.85
    head = 0.45 + (0.35 if title else 0.0)
    width = left + columns * (wide + gap) + right
    height = head + len(scales) * (2 * tall + gap + pair_gap) + 0.05
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)

    def panel(row: int, column: int):
        x = left + column * (wide + gap)
        y = head + (row // 2) * (2 * tall + gap + pair_gap) + (row % 2) * (tall + gap)
        axes = figure.add_axes(
            (x / width, 1 - (y + tall) / height, wide / width, tall / height), frame_on=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def show(axes, image: np.ndarray, cmap: str, ceiling: float):
        return axes.imshow(image, cmap=cmap, vmin=0, vmax=ceiling, aspect=view.aspect)

    ceiling = float(np.percentile(wanted, 99.9)) or 1.0
    bar = None
    for i, scale in enumerate(scales):
        first = panel(2 * i, 0)
        show(first, wanted, GRAY, ceiling)
        first.set_ylabel(f"{scale_name(scale)}×", fontsize=11, fontweight="bold")
        for letter, x, side in zip(_sides(view), (0.02, 0.98), ("left", "right"), strict=True):
            first.text(
                *(x, 0.02, letter), ha=side, va="bottom", color="white", fontsize=7,
                transform=first.transAxes,
            )  # fmt: skip
        for j, method in enumerate(methods, start=1):
            key = (scale, method)
            axes = panel(2 * i, j)
            if key not in shown:
                word = "n/a" if images.get(key) is None else "missing"
                axes.text(
                    *(0.5, 0.5, word), ha="center", va="center", color="0.4", fontsize=9,
                    transform=axes.transAxes,
                )  # fmt: skip
                continue
            show(axes, shown[key], GRAY, ceiling)
            if key in values:
                axes.set_title(_decibel(values[key]), fontsize=8, pad=3)
            bar = show(panel(2 * i + 1, j), errors[key], ERROR, top)
    for j, name in enumerate(["Ground truth", *methods]):
        x = left + j * (wide + gap) + wide / 2
        size = min(10, 72 * wide / (0.6 * len(name)))  # a letter is about 0.6 of its size wide
        _text(figure, x / width, 1 - (head - 0.32) / height, name, size, ha="center")
    if title:
        _text(figure, left / width, 1 - 0.12 / height, title, 12, ha="left", weight="bold")
    if bar is not None:
        x = left + columns * (wide + gap) + 0.08
        y = head + tall + gap
        axes = figure.add_axes((x / width, 1 - (y + tall) / height, 0.1 / width, tall / height))
        figure.colorbar(bar, cax=axes, extend="max")
        axes.tick_params(labelsize=7)
        axes.set_ylabel("|SR − GT|", fontsize=8)
    return figure


def _sides(view: View) -> tuple[str, str]:
    return ("A", "P") if view.plane == "sagittal" else ("R", "L")


def _decibel(value: float) -> str:
    return "PSNR ∞" if math.isinf(value) else f"PSNR {value:.2f} dB"


def _text(figure: Figure, x: float, y: float, text: str, size: float, **style: object) -> None:
    # Labels come from files of users: a dollar sign is no formula.
    figure.text(x, y, text, fontsize=size, va="top", parse_math=False, **style)
