"""The figure of segmentations: three views of one subject, regions in colour over the image.

As Figures 9 and 11 of the ArSSR paper, versions 2 and 1 (arXiv 2110.14476), in its hues.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.evaluate.read_table import read_table
from mrisr.figures.canvas import Canvas, column_width, detail, lines_of, show, sides, word
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import MISSING, NOT_APPLICABLE, marks, measured_rows, remarks, text
from mrisr.figures.style import SMALL, TEXT
from mrisr.figures.view import View, extent, load_like, load_truth, take, view_at
from mrisr.segment.labels import load_labels
from mrisr.volumes.io import Volume, check_grid
from mrisr.volumes.regions import COLOURS, REGIONS, TITLES

OPACITY = 0.55
TRUTH = "Ground truth"
AXES = {"axial": 2, "sagittal": 0, "coronal": 1}  # rows, in the paper's order

Shown = tuple[np.ndarray, np.ndarray] | str  # image and labels, or a word in their place


def choose_views(labels: Volume, name: str | Path = "segmentation") -> list[View]:
    """Return an axial, a sagittal and a coronal slice that show the most of all regions.

    A slice's score is the sum over the regions of its share of the region's voxels, so that
    small regions count as much as large ones. The first of several equal slices is taken.

    Args:
        labels: Segmentation of the ground truth, shape (X, Y, Z), RAS.
        name: Name of its file, for messages.

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
        views.append(view_at(labels, axis, int(np.argmax(score))))
    return views


def _labels(path: str | Path, truth: Volume, truth_path: str | Path) -> Volume:
    """Load a segmentation on the grid of the ground truth; InputError if its labels changed."""
    labels = load_labels(path)
    check_grid(labels, path, truth, truth_path)
    return labels


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the segmentations of a ground truth and of its reconstructions at one scale.

    Columns are the ground truth and the methods, rows an axial, a sagittal and a coronal view.

    Args:
        params: dataset, its label, subject, truth (canonical RAS) and labels (its segmentation),
            baseline, held, and cells. Each cell has `image`, its `labels`, and the file of its
            `overlap`, whose mean Dice stands above the column.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid of the ground truth.
    """
    name, cells, subject = params["truth"], params["cells"], params["subject"]
    truth = load_truth(name)
    labels = _labels(params["labels"], truth, name)
    rows = measured_rows(params)
    columns: dict[str, Shown] = {TRUTH: (truth.data, labels.data)}
    above = {}
    for cell in cells:
        method, files = cell["method"], (cell["image"], cell["labels"])
        if None in files or not all(Path(path).exists() for path in files):
            columns[method] = NOT_APPLICABLE if None in files else MISSING
            continue
        image, found = load_like(files[0], truth, name), _labels(files[1], truth, name)
        columns[method] = image.data, found.data
        dice = f"Dice {_dice(cell['overlap'], subject):.3f}" if _there(cell["overlap"]) else ""
        above[method] = f"{dice} {marks(rows[cell['scale'], method])}".strip()
    names = {TRUTH: TRUTH} | {cell["method"]: cell["method_label"] for cell in cells}
    views = choose_views(labels, params["labels"])
    scale = f"{scale_name(cells[0]['scale'])}×"
    slices = ", ".join(f"{view.plane} {view.index}" for view in views)
    record = Record(
        title=f"{params['label']}, {subject}, {scale}",
        caption=text(
            f"{params['label']}, {subject}, {scale}: the same automatic segmentation of the ground"
            " truth and of every reconstruction, laid over it, with the mean Dice of this"
            f" subject's six regions above. Slices ({slices}, counted from 0) are those that show"
            " most of all regions; bars are to scale. Radiological display: the patient's right"
            " (sagittal: anterior) is on the left.",
            remarks(columns.values(), rows.values()),
            "As Figure 9 of Wu et al. (arXiv 2110.14476, version 2; 11 in version 1), in"
            " colours of the same hues that the colour-blind can tell apart.",
        ),
        section="Segmentation",
        dataset=params["dataset"],
        subject=subject,
        methods=[cell["method"] for cell in cells],
        scales=[cells[0]["scale"]],
    )
    with plain():
        canvas, more = _draw(columns, names, views, above, record.title)
        write(canvas.figure, record, outputs, more)


def _there(path: str | Path | None) -> bool:
    return path is not None and Path(path).exists()


def _dice(path: str | Path, subject: str) -> float:
    seals.check(path)
    table = read_table(path).set_index(["subject", "region", "metric"])
    return float(table["value"][subject, "mean", "dice"])


def overlay(labels: np.ndarray) -> np.ndarray:
    """Return labels as colours, RGBA in [0, 1], shape (..., 4); transparent outside the regions."""
    table = np.zeros((1 + max(REGIONS.values()), 4))
    for name, label in REGIONS.items():
        table[label] = (*COLOURS[name], OPACITY)
    return table[np.asarray(labels, dtype=int)]


def drawn(name: str) -> tuple[float, ...]:
    """Return the colour of a region as it is drawn: laid over a middle gray."""
    return tuple(OPACITY * share + (1 - OPACITY) * 0.5 for share in COLOURS[name])


def _draw(
    columns: Mapping[str, Shown],
    names: Mapping[str, str],
    views: Sequence[View],
    above: Mapping[str, str],
    title: str,
) -> tuple[Canvas, float]:
    truth = columns[TRUTH][0]
    top = float(np.percentile(truth[truth > 0], 99.5)) if (truth > 0).any() else 1.0
    # Inches; rows are as tall as their view at one width of the columns.
    gap, left, right = 0.03, 0.22, 0.05
    wide = column_width(len(columns), left + right, gap, 1.9)
    wholes = [extent(take(truth, view), view.aspect) for view in views]
    talls = [wide * bottom / width for _, width, bottom, _ in wholes]
    head = 0.45 + TEXT * 1.2 / 72 * lines_of(list(names.values()), wide)
    # The width of three columns does not hold six names in one line.
    in_line = 6 if len(columns) * wide > 5 else 3
    foot = 0.22 if in_line == 6 else 0.36
    width = max(left + len(columns) * (wide + gap) + right, 3.4)
    canvas = Canvas(width, head + sum(talls) + gap * len(views) + foot)
    canvas.heading(left, title)
    for column, (method, shown) in enumerate(columns.items()):
        x, y = left + column * (wide + gap), head
        canvas.label(x, head - 0.14, wide, names[method])
        canvas.text(x + wide / 2, head - 0.02, above.get(method, ""), SMALL, ha="center",
                    va="bottom")  # fmt: skip
        for view, tall in zip(views, talls, strict=True):
            axes = canvas.panel(x, y, wide, tall)
            if column == 0:
                axes.set_ylabel(view.plane, fontsize=TEXT, labelpad=2)
            _panel(axes, shown, view, top)
            if column == 0:
                sides(axes, view)
            y += tall + gap
    canvas.figure.legend(
        handles=[Patch(facecolor=drawn(name), label=TITLES[name]) for name in REGIONS],
        ncols=in_line, loc="lower center", fontsize=TEXT, frameon=False, handlelength=1.2,
        columnspacing=1.2, borderaxespad=0.1,
    )  # fmt: skip
    return canvas, detail(wide)


def _panel(axes: Axes, shown: Shown, view: View, top: float) -> None:
    if isinstance(shown, str):
        word(axes, shown)
        return
    image, labels = (take(data, view) for data in shown)
    show(axes, image, view.aspect, top)
    axes.imshow(overlay(labels), extent=extent(image, view.aspect), aspect=1,
                interpolation="nearest")  # fmt: skip
