"""The figure of segmentations: three views of one subject, regions in colour over the image.

As Figure 11 of the ArSSR paper (arXiv 2110.14476v1), with its colours. Display is radiological.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mrisr.errors import InputError
from mrisr.figure_comparison import GRAY, MARGIN, View, take
from mrisr.figure_files import Record, plain, write
from mrisr.io import Volume, check_grid, load
from mrisr.layout import scale_name
from mrisr.regions import COLOURS, REGIONS, TITLES

OPACITY = 0.55
TRUTH = "Ground truth"
AXES = {"axial": 2, "sagittal": 0, "coronal": 1}  # rows, in the paper's order
WHOLE = (slice(None), slice(None))


def choose_views(labels: Volume, name: str | Path = "segmentation") -> list[View]:
    """Return an axial, a sagittal and a coronal slice that show the most of all regions.

    A slice's score is the sum over the regions of its share of the region's voxels, so that
    small regions count as much as large ones; of equals the first is taken.

    Args:
        labels: Segmentation of the ground truth, shape (X, Y, Z), RAS.
        name: Of its file, for messages.

    Raises:
        InputError: No voxel has a label.
    """
    if not labels.data.any():
        raise InputError(f"{name}: no voxel has a label; segment the ground truth again")
    views = []
    for axis in AXES.values():
        others = tuple(a for a in range(3) if a != axis)
        score = np.zeros(labels.data.shape[axis])
        for label in REGIONS.values():
            area = (labels.data == label).sum(axis=others)
            score += area / max(1, area.sum())
        index = int(np.argmax(score))
        section = take(labels.data > 0, View(axis, index, WHOLE, 1.0))
        window = tuple(
            slice(max(0, hits[0] - MARGIN), hits[-1] + 1 + MARGIN)
            for hits in (np.flatnonzero(section.any(axis=side)) for side in (1, 0))
        )
        across, up = (labels.voxel_size[a] for a in others)
        views.append(View(axis, index, window, float(up / across)))
    return views


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the segmentations of a ground truth and of its reconstructions at one scale.

    Columns are the ground truth and the methods, rows an axial, a sagittal and a coronal view.

    Args:
        params: dataset, its label, subject, truth (canonical RAS) and labels (its segmentation),
            and cells as in `mrisr.figure_comparison.draw`, each with the `labels` of its image
            and the `path` of the overlaps, whose mean Dice is printed above the columns.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid of the ground truth.
    """
    truth, cells, subject = params["truth"], params["cells"], params["subject"]
    image, labels = load(truth), load(params["labels"])
    if nib.aff2axcodes(image.affine) != ("R", "A", "S"):
        raise InputError(f"{truth}: not in canonical RAS orientation; prepare it again")
    check_grid(labels, params["labels"], image, truth)
    columns: dict[str, tuple[np.ndarray, np.ndarray] | str] = {TRUTH: (image.data, labels.data)}
    values = {}
    for cell in cells:
        method, files = cell["method_label"], (cell["image"], cell["labels"])
        if None in files or not all(Path(path).exists() for path in files):
            columns[method] = "n/a" if None in files else "missing"
            continue
        volumes = [load(path) for path in files]
        for path, volume in zip(files, volumes, strict=True):
            check_grid(volume, path, image, truth)
        columns[method] = tuple(volume.data for volume in volumes)
        if Path(cell["path"]).exists():
            values[method] = _dice(cell["path"], subject)
    scale = scale_name(cells[0]["scale"])
    record = Record(
        title=f"{params['label']}, {subject}, {scale}×",
        caption=caption(subject, params["label"], scale),
        section="Segmentation",
        dataset=params["dataset"],
        subject=subject,
        methods=[cell["method"] for cell in cells],
        scales=[cells[0]["scale"]],
    )
    with plain():
        figure = _draw(columns, choose_views(labels, params["labels"]), values, record.title)
        write(figure, record, outputs)


def _dice(path: str | Path, subject: str) -> float:
    table = pd.read_csv(path, dtype={"subject": str}).set_index(["subject", "region", "metric"])
    return float(table["value"][subject, "mean", "dice"])


def caption(subject: str, dataset: str, scale: str) -> str:
    """Return the figure's caption.

    Args:
        subject: Name of the subject shown.
        dataset: Label of its dataset.
        scale: The scale as it prints.
    """
    return (
        f"{dataset}, {subject}, {scale}×: the same automatic segmentation of the ground truth and"
        " of every reconstruction, laid over it, with the mean Dice of this subject's six regions"
        " above. Slices are those that show most of all regions. Radiological display: the"
        " patient's right (sagittal: anterior) is on the left."
    )


def overlay(labels: np.ndarray) -> np.ndarray:
    """Return labels as colours, RGBA in [0, 1], shape (..., 4); transparent outside the regions."""
    table = np.zeros((1 + max(REGIONS.values()), 4))
    for name, label in REGIONS.items():
        table[label] = (*COLOURS[name], OPACITY)
    return table[np.asarray(labels, dtype=int)]


def _draw(
    columns: Mapping[str, tuple[np.ndarray, np.ndarray] | str],
    views: Sequence[View],
    values: Mapping[str, float],
    title: str,
) -> Figure:
    truth = columns[TRUTH][0]
    ceiling = float(np.percentile(truth[truth > 0], 99.5)) if (truth > 0).any() else 1.0
    shapes = [take(truth, view).shape for view in views]
    # Inches; rows are as tall as their view at one width of the columns.
    wide, gap, left = 1.9, 0.04, 0.3
    # Three columns are too narrow for six names in one line.
    legend_columns = 6 if len(columns) > 3 else 3
    foot = 0.3 if legend_columns == 6 else 0.48
    heights = [wide * rows * v.aspect / n for (rows, n), v in zip(shapes, views, strict=True)]
    head = 0.5 + (0.35 if title else 0.0)
    width = left + len(columns) * (wide + gap)
    height = head + sum(heights) + gap * len(views) + foot
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)

    for j, (name, shown) in enumerate(columns.items()):
        x = left + j * (wide + gap)
        y = head
        for view, tall in zip(views, heights, strict=True):
            axes = figure.add_axes(
                (x / width, 1 - (y + tall) / height, wide / width, tall / height), frame_on=False
            )
            axes.set_xticks([])
            axes.set_yticks([])
            if j == 0:
                axes.set_ylabel(view.plane, fontsize=9)
            _panel(axes, shown, view, ceiling)
            y += tall + gap
        middle = (x + wide / 2) / width
        size = min(10, 72 * wide / (0.6 * len(name)))  # a letter is about 0.6 of its size wide
        _write(figure, middle, 1 - (head - 0.42) / height, name, size, ha="center")
        if name in values:
            text = f"Dice {values[name]:.3f}"
            _write(figure, middle, 1 - (head - 0.2) / height, text, 8, ha="center")
    if title:
        _write(figure, left / width, 1 - 0.12 / height, title, 12, ha="left", weight="bold")
    figure.legend(
        handles=[Patch(facecolor=COLOURS[name], label=TITLES[name]) for name in REGIONS],
        ncols=legend_columns,
        loc="lower center",
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.1,
    )
    return figure


def _panel(
    axes: Axes, shown: tuple[np.ndarray, np.ndarray] | str, view: View, ceiling: float
) -> None:
    if isinstance(shown, str):
        axes.text(
            *(0.5, 0.5, shown), ha="center", va="center", color="0.4", fontsize=9,
            transform=axes.transAxes,
        )  # fmt: skip
        return
    image, labels = (take(data, view) for data in shown)
    axes.imshow(image, cmap=GRAY, vmin=0, vmax=ceiling, aspect=view.aspect)
    axes.imshow(overlay(labels), aspect=view.aspect, interpolation="nearest")


def _write(figure: Figure, x: float, y: float, text: str, size: float, **style: object) -> None:
    # Labels come from files of users: a dollar sign is no formula.
    figure.text(x, y, text, fontsize=size, va="top", parse_math=False, **style)
