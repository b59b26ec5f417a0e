"""Quality against cost: seconds for a volume, and parameters of the model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import Row
from mrisr.figures import measured as shown
from mrisr.figures.canvas import LETTER, Canvas, word
from mrisr.figures.files import Record, plain, write
from mrisr.figures.net_seconds import Seconds, seconds, where
from mrisr.figures.scene import Key, means_over_trainings, measured_rows, text
from mrisr.figures.style import PAPER, SMALL, TEXT, Look, look
from mrisr.metrics import metadata

AXES = {"seconds": "Seconds a volume (CPU: of all cores)", "parameters": "Parameters of the model"}


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw PSNR and a perceptual metric against seconds a volume and against parameters.

    Args:
        params: dataset, its label, baseline, held, and cells of one scale as
            `mrisr.figures.scene.measured_rows` takes them. Each cell also has `look`, and `runs`
            and `volumes`, see `mrisr.figures.net_seconds.seconds`.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    rows = measured_rows(params)
    metrics = shown.perceptual(rows.values())
    cells = {cell["method"]: cell for cell in params["cells"]}
    timed = {method: seconds(cell) for method, cell in cells.items()}
    costs: dict[str, dict] = {
        "seconds": {name: None if its is None else its.volumes for name, its in timed.items()},
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
            " volume took and against the parameters of the model. Seconds are net, measured inside"
            " the reconstruction job after its first volume, without start, reading and writing; on"
            " a CPU summed over its cores, so that the number of threads does not matter. Point:"
            " mean; line across: from the fastest to the slowest volume. Both axes of cost are"
            " logarithmic.",
            _how(cells, timed),
            _where(cells.values()),
            _without(cells, costs),
            shown.hollow(rows.values()),
            means_over_trainings(rows.values()),
        ),
        section="Measures",
        dataset=params["dataset"],
        methods=list(cells),
        scales=[scale],
    )
    with plain():
        canvas = _draw(rows, metrics, cells, costs, scale, record.title)
        write(canvas.figure, record, outputs)


def _where(cells: Sequence[Mapping]) -> str:
    """Return the devices and threads that the logs name."""
    devices: dict[str, list[str]] = {}
    for cell in cells:
        for run in cell["runs"][:1]:
            if place := where(run):
                devices.setdefault(place, []).append(cell["method_label"])
    if not devices:
        return "Devices and threads were not recorded."
    if len(devices) == 1:
        return f"Timed on {next(iter(devices))}."
    said = (f"{place}: {', '.join(names)}" for place, names in devices.items())
    return f"Timed on {'; '.join(said)}."


def _how(cells: Mapping[str, Mapping], timed: Mapping[str, Seconds | None]) -> str:
    """Return which methods were timed otherwise than after a warm-up inside their job."""

    def labels(what: str) -> str:
        chosen = [name for name, its in timed.items() if its is not None and getattr(its, what)]
        return ", ".join(cells[name]["method_label"] for name in chosen)

    parts = []
    if cold := labels("cold"):
        parts.append(f"Of a job's only volume, so with what is done once: {cold}.")
    if whole := labels("whole"):
        parts.append(f"Wall time of the whole job, start included, by its benchmark: {whole}.")
    return " ".join(parts)


def _without(cells: Mapping[str, Mapping], costs: Mapping[str, Mapping]) -> str:
    """Return the methods without a point, and why they have none."""
    timed = [cell["method_label"] for method, cell in cells.items()
             if costs["seconds"][method] is None]  # fmt: skip
    bare = [cell["method_label"] for method, cell in cells.items()
            if costs["parameters"][method] is None]  # fmt: skip
    parts = []
    if len(timed) == len(cells):
        parts.append("Nothing was timed, so nothing stands against seconds.")
    elif timed:
        parts.append(f"Not timed: {', '.join(timed)}.")
    if bare:
        parts.append(f"Without parameters, so a line across: {', '.join(bare)}.")
    return " ".join(parts)


def _draw(
    rows: Mapping[Key, Row],
    metrics: Sequence[str],
    cells: Mapping[str, Mapping],
    costs: Mapping[str, Mapping],
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
                word(axes, "not timed" if cost == "seconds" else "no model")
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
    axes: Axes, row: Row, metric: str, method_look: Look, cost: np.ndarray | None, kind: str
) -> None:
    found = shown.values(row, metric)
    if not found.size or not np.isfinite(found).all():
        return
    if cost is None:
        if kind == "parameters":
            axes.axhline(found.mean(), linewidth=0.8, zorder=1, **method_look.line)
        return
    at = float(np.mean(cost))
    shown.interval(axes, at, found, method_look)
    spread = [np.min(cost), np.max(cost)]
    axes.plot(spread, 2 * [found.mean()], color=method_look.colour, linewidth=0.8, zorder=2)
    axes.plot(at, found.mean(), markersize=5, zorder=3, **shown.marker(method_look, row))
