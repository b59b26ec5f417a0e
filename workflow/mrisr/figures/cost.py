"""Quality against cost: seconds for a volume, and parameters of the model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import Row
from mrisr.evaluate.read_table import read_table
from mrisr.figures import measured as shown
from mrisr.figures.canvas import LETTER, Canvas, word
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import Key, measured_rows, text
from mrisr.figures.style import PAPER, SMALL, TEXT, Look, look
from mrisr.metrics import metadata

#: Line of a reconstruction's log that names device and threads.
RAN = re.compile(r"on (?P<device>.+), (?P<threads>\d+) threads?$", re.MULTILINE)
AXES = {"seconds": "Seconds a volume (job's wall time)", "parameters": "Parameters of the model"}


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw PSNR and a perceptual metric against seconds a volume and against parameters.

    Args:
        params: dataset, its label, baseline, held, and cells of one scale as
            `mrisr.figures.scene.measured_rows` takes them. Each cell also has `look`, `runs`
            (benchmark and log of every reconstruction job, which may be missing) and `volumes` (the
            number of volumes of each job).
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    rows = measured_rows(params)
    metrics = shown.perceptual(rows.values())
    cells = {cell["method"]: cell for cell in params["cells"]}
    costs = {
        "seconds": {method: _seconds(cell) for method, cell in cells.items()},
        "parameters": {
            row.cell["method"]: (row.cell["model"] or {}).get("parameters") for row in rows.values()
        },
    }
    (scale,) = {cell["scale"] for cell in params["cells"]}
    record = Record(
        title=f"{params['label']}: quality against cost at {scale_name(scale)}×",
        caption=text(
            f"{params['label']}, {scale_name(scale)}×: mean"
            f" {' and '.join(metadata(m).label for m in metrics)} of the whole volume with its"
            f" {shown.INTERVALS}, {shown.subjects(rows.values())}, against the seconds that one"
            " volume took (wall time of the reconstruction job, reading and writing included, by"
            " Snakemake's benchmark) and against the parameters of the model. Both axes of cost"
            " are logarithmic.",
            _where(cells.values()),
            _without(cells, costs),
            shown.hollow(rows.values()),
        ),
        section="Measures",
        dataset=params["dataset"],
        methods=list(cells),
        scales=[scale],
    )
    with plain():
        canvas = _draw(rows, metrics, cells, costs, scale, record.title)
        write(canvas.figure, record, outputs)


def _seconds(cell: Mapping) -> float | None:
    """Return the mean seconds a volume over the jobs with a benchmark; None if there are none."""
    found = []
    for run in cell["runs"]:
        try:
            table = read_table(run["benchmark"], separator="\t", missing=("-", "NA"))
            found.append(float(table["s"].mean()))
        except (OSError, KeyError, ValueError, pd.errors.ParserError):
            continue
    return float(np.mean(found)) / cell["volumes"] if found else None


def _where(cells: Sequence[Mapping]) -> str:
    """Return the devices and threads that the logs name."""
    devices: dict[str, list[str]] = {}
    for cell in cells:
        for run in cell["runs"][:1]:
            log = Path(run["log"])
            try:
                said = RAN.search(log.read_text(errors="replace"))
            except OSError:
                said = None
            if said:
                count = said["threads"]
                where = f"{said['device']}, {count} thread{'' if count == '1' else 's'}"
                devices.setdefault(where, []).append(cell["method_label"])
    if not devices:
        return "Devices and threads were not recorded."
    if len(devices) == 1:
        return f"Timed on {next(iter(devices))}."
    said = (f"{where}: {', '.join(names)}" for where, names in devices.items())
    return f"Timed on {'; '.join(said)}."


def _without(cells: Mapping[str, Mapping], costs: Mapping[str, Mapping]) -> str:
    """Return the methods without a point, and why they have none."""
    timed = [cell["method_label"] for method, cell in cells.items()
             if costs["seconds"][method] is None]  # fmt: skip
    bare = [cell["method_label"] for method, cell in cells.items()
            if costs["parameters"][method] is None]  # fmt: skip
    parts = []
    if len(timed) == len(cells):
        parts.append("No benchmark is there, so nothing stands against seconds.")
    elif timed:
        parts.append(f"Without a benchmark: {', '.join(timed)}.")
    if bare:
        parts.append(f"Without parameters, so a line across: {', '.join(bare)}.")
    return " ".join(parts)


def _draw(
    rows: Mapping[Key, Row],
    metrics: Sequence[str],
    cells: Mapping[str, Mapping],
    costs: Mapping[str, Mapping[str, float | None]],
    scale: float,
    title: str,
) -> Canvas:
    labels = [shown.label(cell["method_label"], method, rows) for method, cell in cells.items()]
    # Inches.
    left, gap, head, foot, between = 0.5, 0.2, 0.3, 0.4, 0.15
    right = 0.35 + LETTER * TEXT / 72 * max(map(len, labels))
    wide, tall = (PAPER - left - gap - right) / 2, 1.7
    canvas = Canvas(PAPER, head + max(1, len(metrics)) * (tall + between) + foot)
    canvas.heading(left, title)
    if not metrics:
        canvas.text(PAPER / 2, head + tall / 2, "nothing is measured yet", ha="center", color="0.4")
    for line, metric in enumerate(metrics):
        first = None
        for column, (cost, name) in enumerate(AXES.items()):
            share = {"sharey": first} if first is not None else {}
            axes = canvas.axes(
                left + column * (wide + gap), head + line * (tall + between), wide, tall, **share
            )
            shown.frame(axes)
            for method, cell in cells.items():
                row = rows[scale, method]
                _point(axes, row, metric, look(cell["look"]), costs[cost][method], cost)
            if any(value is not None for value in costs[cost].values()):
                axes.set_xscale("log")
                axes.margins(x=0.12)
            else:
                word(axes, "no benchmark" if cost == "seconds" else "no model")
                axes.set_xticks([])
            last = line == len(metrics) - 1
            axes.tick_params(labelbottom=last, which="both", labelsize=SMALL)
            if last:
                axes.set_xlabel(name, fontsize=TEXT, labelpad=2)
            if first is None:
                first = axes
                axes.set_ylabel(shown.heading(metric, shown.REGION), fontsize=TEXT, labelpad=2,
                                parse_math=False)  # fmt: skip
            else:
                axes.tick_params(labelleft=False)
    handles = [
        Line2D([], [], label=label, linestyle="", markersize=5, **shown.marker(look(cell["look"]),
               rows[scale, method]))
        for label, (method, cell) in zip(labels, cells.items(), strict=True)
    ]  # fmt: skip
    legend = canvas.figure.legend(
        handles=handles, loc="upper left", fontsize=TEXT, frameon=False, handlelength=1.0,
        bbox_to_anchor=((left + 2 * wide + gap + 0.05) / canvas.width, 1 - head / canvas.height),
        borderaxespad=0.0,
    )  # fmt: skip
    shown.plain_labels(legend.get_texts())
    return canvas


def _point(
    axes: Axes, row: Row, metric: str, method_look: Look, cost: float | None, kind: str
) -> None:
    found = shown.values(row, metric)
    if not found.size or not np.isfinite(found).all():
        return
    if cost is None:
        if kind == "parameters":
            axes.axhline(found.mean(), linewidth=0.8, zorder=1, **method_look.line)
        return
    shown.interval(axes, cost, found, method_look)
    axes.plot(cost, found.mean(), markersize=5, zorder=3, **shown.marker(method_look, row))
