"""PSNR and SSIM against one hyper-parameter of a method (IREM, Fig. 3: 2L)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import heading, read_rows
from mrisr.figures.files import Record, plain, write
from mrisr.figures.measured import values as subject_values

METRICS = ("psnr", "ssim")
LABELS = {"encoding": "Dimension 2L of the Fourier features"}
COLOURS, MARKERS = ("#000000", "#D55E00", "#0072B2", "#009E73"), "osD^"


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the mean over the test subjects against a hyper-parameter: one line a scale.

    Args:
        params: dataset, its label, method (label), parameter (its name), cells as
            `mrisr.plan.figures` makes them, each with the `value` of the parameter.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    cells = [cell for cell in params["cells"] if not cell["skipped"]]
    scales = list(dict.fromkeys(cell["scale"] for cell in cells))
    label = LABELS.get(params["parameter"], params["parameter"])
    points = {scale: _points([c for c in cells if c["scale"] == scale]) for scale in scales}
    missing = [c["method_label"] for c in cells if not Path(c["path"]).exists()]
    count = max(
        [0, *(len(measured["psnr"]) for line in points.values() for measured in line.values())]
    )
    title = f"{params['method']} on {params['label']}"
    caption = (
        f"{title}: mean PSNR and SSIM of the whole volume over {count} test"
        f" subject{'s' * (count != 1)} against the hyper-parameter {params['parameter']}"
        f" ({label[0].lower()}{label[1:]}), at {', '.join(f'{scale_name(k)}×' for k in scales)};"
        " whiskers are one sample standard deviation (as in Fig. 3 of the IREM paper)."
        + (f" Missing: {', '.join(missing)}." if missing else "")
    )
    record = Record(
        title=title,
        caption=caption,
        section="Stacks",
        dataset=params["dataset"],
        methods=list(dict.fromkeys(cell["method"] for cell in cells)),
        scales=scales,
    )
    with plain():
        write(_draw(points, label, title, missing), record, outputs)


def _points(cells: Sequence[Mapping]) -> dict[float, dict[str, np.ndarray]]:
    """Return the values of all subjects, by the parameter's value and by metric."""
    # This figure has no marks, so the descriptions of the models are not needed.
    ordered = sorted(cells, key=lambda cell: cell["value"])
    rows = read_rows(
        [
            {
                **cell,
                "model": None,
                "repeats": [{**repeat, "model": None} for repeat in cell.get("repeats", ())],
            }
            for cell in ordered
        ]
    )
    return {
        row.cell["value"]: {name: subject_values(row, name) for name in METRICS}
        for row in rows
        if row.values
    }


def _draw(points: Mapping, label: str, title: str, missing: Sequence[str]) -> Figure:
    figure = Figure(figsize=(6.6, 2.6), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
        values = sorted({value for line in points.values() for value in line})
        for number, (scale, line) in enumerate(points.items()):
            means = [float(measured[metric].mean()) for measured in line.values()]
            spreads = [
                float(measured[metric].std(ddof=1)) if len(measured[metric]) > 1 else 0.0
                for measured in line.values()
            ]
            axes.errorbar(
                list(line), means, yerr=spreads if any(spreads) else None,
                color=COLOURS[number % 4], marker=MARKERS[number % 4], markersize=5, capsize=2,
                linewidth=1.3, elinewidth=0.8, label=f"{scale_name(scale)}×",
            )  # fmt: skip
        if values and min(values) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
        axes.set_xlabel(label, fontsize=8)
        axes.set_ylabel(heading(metric, "volume"), fontsize=8.5)
        axes.tick_params(labelsize=8)
        axes.margins(x=0.12, y=0.25)
        axes.grid(True, color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(fontsize=7.5, frameon=False)
        if missing:
            axes.text(0.98, 0.03, f"missing: {len(missing)}", transform=axes.transAxes, ha="right",
                      color="0.4", fontsize=7)  # fmt: skip
    figure.suptitle(title, fontsize=10, fontweight="bold", parse_math=False)
    return figure
