"""Every metric against the up-sampling scale: one line a method, with intervals of the means."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import DOUBTFUL, Row
from mrisr.figures import measured as shown
from mrisr.figures.canvas import LETTER, Canvas
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import Key, means_over_trainings, measured_rows, text, times
from mrisr.figures.style import PAPER, TEXT, look

COLUMNS = 3
SPREAD = 0.22  # share of the least distance of two scales, over which intervals are spread


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a panel for each metric: means over the subjects at every scale, with 95 % intervals.

    Args:
        params: dataset, its label, baseline, held, metrics in the order shown, and cells as
            `mrisr.figures.scene.measured_rows` takes them, each with `look`. Controls, including
            the ground truth, are drawn in gray as bounds.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    rows = measured_rows(params)
    metrics = shown.ranked_metrics(rows.values(), params["metrics"])
    scales = list(dict.fromkeys(scale for scale, _ in rows))
    record = Record(
        title=f"{params['label']}: quality against scale",
        caption=_caption(params, rows, metrics, scales),
        section="Measures",
        dataset=params["dataset"],
        methods=list(dict.fromkeys(method for _, method in rows)),
        scales=scales,
    )
    with plain():
        canvas = _draw(params, rows, metrics, scales, record.title)
        write(canvas.figure, record, outputs)


def _caption(
    params: Mapping, rows: Mapping[Key, Row], metrics: Sequence[str], scales: Sequence[float]
) -> str:
    unseen = any(
        np.isinf(shown.values(row, metric)).any() for row in rows.values() for metric in metrics
    ) or any(row.cell["control"] for row in rows.values())
    return text(
        f"{params['label']}: mean of every metric over the whole volume (on slices where it is"
        f" defined on slices) at {times(scales)}, {shown.subjects(rows.values())}, with the"
        f" {shown.INTERVALS} of the mean. Arrows say which way is better. Means stand at their"
        " scale and lines join them; intervals lie side by side so that all can be seen.",
        "Gray: controls, the bounds of what can be measured."
        if any(row.cell["control"] for row in rows.values())
        else "",
        "Infinite values and controls far from all methods are outside the panels."
        if unseen
        else "",
        shown.hollow(rows.values()),
        means_over_trainings(rows.values()),
    )


def _draw(
    params: Mapping,
    rows: Mapping[Key, Row],
    metrics: Sequence[str],
    scales: Sequence[float],
    title: str,
) -> Canvas:
    names = {cell["method"]: cell["method_label"] for cell in params["cells"]}
    looks = {cell["method"]: cell["look"] for cell in params["cells"]}
    labels = [shown.label(name, method, rows) for method, name in names.items()]
    # Inches.
    left, gap, head, between, foot = 0.4, 0.42, 0.5, 0.45, 0.34
    wide = (PAPER - left - 0.05 - (COLUMNS - 1) * gap) / COLUMNS
    tall, lines = 1.45, max(1, -(-len(metrics) // COLUMNS))
    in_line = max(1, int(PAPER / (0.5 + LETTER * TEXT / 72 * max(map(len, labels)))))
    legend = 0.14 * -(-len(labels) // in_line) + 0.05
    height = head + lines * tall + (lines - 1) * between + foot + legend
    canvas = Canvas(PAPER, height)
    canvas.heading(left, title)
    if not metrics:
        canvas.text(PAPER / 2, head + tall / 2, "nothing is measured yet", ha="center", color="0.4")
    for place, metric in enumerate(metrics):
        x = left + place % COLUMNS * (wide + gap)
        y = head + place // COLUMNS * (tall + between)
        axes = canvas.axes(x, y, wide, tall)
        shown.frame(axes, metric)
        _panel(axes, rows, metric, looks, scales)
        if place + COLUMNS >= len(metrics):
            axes.set_xlabel("Up-sampling scale", fontsize=TEXT, labelpad=2)
    handles = [
        Line2D([], [], label=label, linewidth=1.0, **look(looks[method]).line,
               **_legend_mark(method, looks[method], rows), markersize=4)
        for method, label in zip(names, labels, strict=True)
    ]  # fmt: skip
    chart_legend = canvas.figure.legend(
        handles=handles, ncols=in_line, loc="lower center", fontsize=TEXT, frameon=False,
        handlelength=3.0, columnspacing=1.2, borderaxespad=0.1, labelspacing=0.3,
    )  # fmt: skip
    shown.plain_labels(chart_legend.get_texts())
    return canvas


def _legend_mark(method: str, number: int | str, rows: Mapping[Key, Row]) -> dict:
    """Return a method's marker in the legend: hollow where all its markers are."""
    measured = [row for (_, name), row in rows.items() if name == method and row.values]
    style = look(number)
    if measured and all(set(DOUBTFUL) & set(row.remarks) for row in measured):
        return shown.marker(style, measured[0])
    return style.mark


def _panel(
    axes: Axes,
    rows: Mapping[Key, Row],
    metric: str,
    looks: Mapping[str, int | str],
    scales: Sequence[float],
) -> None:
    gaps = np.diff(sorted(scales))
    step = SPREAD * float(gaps.min() if gaps.size else 1.0)
    beside = [method for method in looks if not isinstance(looks[method], str)]
    offsets = dict(zip(beside, np.linspace(-step / 2, step / 2, len(beside)), strict=True))
    limits: list[float] = []
    bounds: list[float] = []
    for method, number in looks.items():
        style, points = look(number), []
        for scale in scales:
            row = rows.get((scale, method))
            if row is None or not (found := shown.values(row, metric)).size:
                continue
            mean = float(found.mean())
            if not np.isfinite(mean):
                continue
            x = scale + offsets.get(method, 0.0)
            points.append((scale, mean))
            if isinstance(number, str):
                bounds.append(mean)
            else:
                limits += [mean, *shown.interval(axes, x, found, style)]
                axes.plot(scale, mean, markersize=4, zorder=3, **shown.marker(style, row))
        if points:
            axes.plot(*zip(*points, strict=True), linewidth=0.9, zorder=1, **style.line)
    if limits:
        # Bounds farther from the methods than the methods' own range would squeeze them.
        reach = float(np.ptp(limits)) or 1e-3
        inside = [bound for bound in bounds if min(limits) - reach <= bound <= max(limits) + reach]
        axes.set_ylim(min(limits + inside) - 0.08 * reach, max(limits + inside) + 0.08 * reach)
    axes.set_xticks(list(scales), [f"{scale_name(scale)}×" for scale in scales])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(scales) - 0.9 * step - 0.05, max(scales) + 0.9 * step + 0.05)
