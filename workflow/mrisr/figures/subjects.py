"""Every subject's value, and its difference from the baseline: one column a scale."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, mean_interval
from mrisr.evaluate.measured import DOUBTFUL, Row, heading
from mrisr.figures import measured as shown
from mrisr.figures.canvas import LETTER, Canvas
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import (
    MISSING,
    NOT_APPLICABLE,
    Key,
    marks,
    measured_rows,
    remarks,
    text,
    times,
)
from mrisr.figures.style import PAPER, SMALL, TEXT, Look, look
from mrisr.metrics import metadata

LABEL = 18  # letters in a line of a method's name
JITTER = 0.5  # share of a method's place over which its subjects spread, in the order of the split


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the values of PSNR and of a perceptual metric, with paired differences below each.

    Args:
        params: dataset, its label, baseline, held, and cells as
            `mrisr.figures.scene.measured_rows` takes them, each with `look`.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    rows = measured_rows(params)
    scales = list(dict.fromkeys(scale for scale, _ in rows))
    metrics = shown.perceptual(rows.values())
    names = {cell["method"]: cell["method_label"] for cell in params["cells"]}
    base = params["baseline"] if params["baseline"] in names else None
    parts = [
        (metric, paired)
        for metric in metrics
        for paired in (False, True)
        if not paired or _differs(rows, metric, base)
    ]
    against = names[base] if base and any(paired for _, paired in parts) else None
    record = Record(
        title=f"{params['label']}: every subject",
        caption=text(
            f"{params['label']}: {' and '.join(metadata(m).label for m in metrics)} of every test"
            f" subject at {times(scales)}, {shown.subjects(rows.values())}, a point a subject in"
            " the order of the split; lines join the points of a subject. Boxes: quartiles and"
            " median, whiskers to the last point within 1.5 of their distance; bars alone: the"
            f" median, of fewer than {FEWEST} subjects.",
            f"Below, each subject's difference to {against}, with its mean (diamond) and the 95 % t"
            f" interval of it, which fewer than {FEWEST} subjects have not."
            if against
            else "",
            shown.hollow(rows.values()),
            remarks(shown.words(rows.values()), rows.values()),
        ),
        section="Measures",
        dataset=params["dataset"],
        methods=list(names),
        scales=scales,
    )
    with plain():
        canvas, points = _draw(params, rows, parts, scales, names, record.title)
        write(canvas.figure, replace(record, points=points), outputs)


def _differs(rows: Mapping[Key, Row], metric: str, base: str | None) -> bool:
    """Say whether any method has subjects to compare with the baseline's."""
    key = (metric, shown.REGION)
    return any(
        method != base and key in row.values and key in rows[scale, base].values
        for (scale, method), row in rows.items()
        if base is not None
    )


def _draw(
    params: Mapping,
    rows: Mapping[Key, Row],
    parts: Sequence[tuple[str, bool]],
    scales: Sequence[float],
    names: Mapping[str, str],
    title: str,
) -> tuple[Canvas, dict[str, list[tuple[float, float]]]]:
    """Return the figure, and where the points of each subject lie, see `Record`."""
    drawn: list[tuple[Axes, pd.Series, pd.Series]] = []
    base = params["baseline"] if params["baseline"] in names else None
    looks = {cell["method"]: look(cell["look"]) for cell in params["cells"]}
    labels = ["\n".join(textwrap.wrap(name, LABEL)) for name in names.values()]
    # Inches; labels stand upright below the last panel.
    left, gap, head, between, tall = 0.5, 0.38, 0.5, 0.1, 1.1
    longest = max(len(line) for label in labels for line in label.splitlines())
    foot = 0.12 + LETTER * SMALL / 72 * longest
    wide = (PAPER - left + gap - 0.05) / len(scales) - gap
    canvas = Canvas(PAPER, head + max(1, len(parts)) * (tall + between) + foot)
    canvas.heading(left, title)
    if not parts:
        canvas.text(PAPER / 2, head + tall / 2, "nothing is measured yet", ha="center", color="0.4")
    for line, (metric, paired) in enumerate(parts):
        for column, scale in enumerate(scales):
            x, y = left + column * (wide + gap), head + line * (tall + between)
            axes = canvas.axes(x, y, wide, tall)
            shown.frame(axes)
            in_panel = []
            for place, method in enumerate(names):
                row = rows[scale, method]
                baseline_row = rows[scale, base] if paired else None
                found = _method(axes, place, row, metric, looks[method], baseline_row)
                in_panel += [] if found is None else [found]
                _say(axes, place, row)
            _join(axes, in_panel)
            drawn += [(axes, *found) for found in in_panel]
            if paired:
                axes.axhline(0, color="0.4", linewidth=0.6, zorder=1)
            axes.margins(y=0.12)
            axes.set_xlim(-0.6, len(names) - 0.4)
            last = line == len(parts) - 1
            axes.set_xticks(range(len(names)), labels if last else [], rotation=90)
            shown.plain_labels(axes.get_xticklabels())
            if line == 0:
                axes.set_title(f"{scale_name(scale)}×", fontsize=TEXT + 1, pad=2.5, weight="bold")
            if column == 0:
                what = heading(metric, shown.REGION)
                what = f"{metadata(metric).label} − {names[base]}" if paired else what
                canvas.text(0.04, y + tall / 2, what, SMALL, va="center", ha="left", rotation=90)
    return canvas, _points(canvas, drawn)


def _join(axes: Axes, drawn: Sequence[tuple[pd.Series, pd.Series]]) -> None:
    """Join the points of each subject, from one method to the next."""
    for (x, points), (next_x, next_points) in pairwise(drawn):
        shared = points.index.intersection(next_points.index)
        axes.plot(
            [x[shared], next_x[shared]], [points[shared], next_points[shared]],
            color="0.8", linewidth=0.4, zorder=1.5,
        )  # fmt: skip


def _points(
    canvas: Canvas, drawn: Sequence[tuple[Axes, pd.Series, pd.Series]]
) -> dict[str, list[tuple[float, float]]]:
    """Return where the points of each subject lie, as shares of the figure."""
    found: dict[str, list[tuple[float, float]]] = {}
    for axes, x, points in drawn:
        axes.get_ylim()  # the limits follow the data
        pixels = axes.transData.transform(np.column_stack([x, points]))
        shares = canvas.figure.transFigure.inverted().transform(pixels)
        for subject, (right, up) in zip(points.index, shares.round(4).tolist(), strict=True):
            found.setdefault(str(subject), []).append((right, round(1 - up, 4)))
    return found


def _say(axes: Axes, place: int, row: Row) -> None:
    """Write a row's marks where its points are, or why it has no points."""
    word = NOT_APPLICABLE if row.cell["skipped"] else MISSING if not row.values else marks(row)
    high = 0.97 if row.values else 0.5
    axes.text(
        *(place, high, word), transform=axes.get_xaxis_transform(), fontsize=SMALL, ha="center",
        va="top" if row.values else "center", color="black" if row.values else "0.4",
        rotation=0 if row.values else 90,
    )  # fmt: skip


def _method(
    axes: Axes,
    place: int,
    row: Row,
    metric: str,
    look: Look,
    baseline_row: Row | None,
) -> tuple[pd.Series, pd.Series] | None:
    """Draw a method's subjects: the values, or differences from the baseline's row if given.

    Returns:
        Places and points by subject; None where nothing is drawn.
    """
    found = row.values.get((metric, shown.REGION))
    if found is None:
        return None
    if baseline_row is not None:
        if row is baseline_row or (metric, shown.REGION) not in baseline_row.values:
            return None
        found = (found - baseline_row.values[metric, shown.REGION]).dropna()
    points = found.to_numpy(np.float64)
    if not points.size or not np.isfinite(points).all():
        return None
    x = place + JITTER * (np.linspace(-0.5, 0.5, len(points)) if len(points) > 1 else np.zeros(1))
    hollow = bool(set(DOUBTFUL) & set(row.remarks))
    size = 3.2 if len(points) <= 30 else 1.5
    axes.plot(
        x, points, linestyle="", marker=look.marker or "o", markersize=size,
        markerfacecolor="white" if hollow else look.colour, markeredgecolor=look.colour,
        markeredgewidth=0.6, zorder=2,
    )  # fmt: skip
    line = {"color": "black", "linewidth": 0.8}
    if baseline_row is not None:
        low, high = mean_interval(points)
        axes.plot([place, place], [low, high], zorder=3, **line)
        axes.plot(place, points.mean(), marker="D", markersize=3, color="black", zorder=4)
    elif len(points) < FEWEST:
        axes.plot([place - 0.35, place + 0.35], [np.median(points)] * 2, zorder=3, **line)
    else:
        axes.boxplot(
            [points], positions=[place], widths=0.7, showfliers=False, manage_ticks=False,
            boxprops=line, whiskerprops=line, capprops=line, medianprops=line | {"linewidth": 1.2},
            zorder=3,
        )  # fmt: skip
    return pd.Series(x, found.index), found
