"""PSNR and SSIM of every method as bars, in groups by scale (IREM, Fig. 4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import Row, heading
from mrisr.figures.files import Record, plain, write
from mrisr.figures.measured import values as subject_values
from mrisr.figures.scene import MISSING, NOT_APPLICABLE, marks, measured_rows, remarks, text
from mrisr.metrics import metadata

METRICS = ("psnr", "ssim")
# From dark to light, so that neighbours differ in gray too; hatches also tell them apart.
FILLS = ["#1b1b1b", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999"]
HATCHES = ["", "///", "...", "\\\\\\", "xx", "--", "++", "oo"]


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the mean over the test subjects as a bar from 0, with the standard deviation as whisker.

    Args:
        params: dataset, its label, and cells (without controls), held and baseline, as
            `mrisr.plan.figures` makes them. Marked methods have their marks in the legend. A
            skipped method has no bar (n/a), and the figure names methods that are not measured yet.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    cells, rows = params["cells"], measured_rows(params)
    values = {(k, row.cell["method_label"]): _values(row) for (k, _), row in rows.items()}
    shown = list(dict.fromkeys(cell["method_label"] for cell in cells if not cell["skipped"]))
    scales = list(dict.fromkeys(cell["scale"] for cell in cells))
    count = max(
        [
            0,
            *(
                len(measured["psnr"])
                for measured in values.values()
                if not isinstance(measured, str)
            ),
        ]
    )
    title = f"{params['label']}, n = {count}"
    caption = (
        f"{params['label']}: mean PSNR and SSIM of the whole volume over {count} test"
        f" subject{'s' * (count != 1)}, whiskers one sample standard deviation, for the scales"
        f" {', '.join(f'{scale_name(k)}×' for k in scales)} (as in Fig. 4 of the IREM paper, which"
        " prints no values). n/a: the method was not asked for there."
    )
    caption = text(caption, remarks([], rows.values()))
    signs = {
        cell["method_label"]: "".join(
            dict.fromkeys("".join(marks(rows[k, cell["method"]]) for k in scales))
        )
        for cell in cells
    }
    record = Record(
        title=title,
        caption=caption,
        section="Stacks",
        dataset=params["dataset"],
        methods=[c["method"] for c in cells if c["scale"] == scales[0]],
        scales=scales,
    )
    with plain():
        write(_draw(values, shown, scales, title, signs), record, outputs)


def _values(row: Row) -> dict[str, np.ndarray] | str:
    """Return the values of all subjects by metric, or the word that stands in their place."""
    if row.cell["skipped"]:
        return NOT_APPLICABLE
    found = {name: subject_values(row, name) for name in METRICS}
    return found if all(map(len, found.values())) else MISSING


def _draw(
    values: Mapping,
    shown: Sequence[str],
    scales: Sequence[float],
    title: str,
    signs: Mapping[str, str],
) -> Figure:
    figure = Figure(figsize=(7.2, 2.9), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for axes, metric in zip(figure.subplots(1, 2), METRICS, strict=True):
        _panel(axes, metric, values, shown, scales)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    labels = [f"{label} {signs.get(label, '')}".strip() for label in labels]
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=7.5,
        frameon=False,
    )  # fmt: skip
    for entry in legend.get_texts():
        entry.set_parse_math(False)  # labels come from files of users
    figure.suptitle(title, fontsize=10, fontweight="bold", parse_math=False)
    return figure


def _panel(
    axes: Axes, metric: str, values: Mapping, shown: Sequence[str], scales: Sequence[float]
) -> None:
    wide = 0.84 / max(1, len(shown))
    tallest = 0.0
    for i, label in enumerate(shown):
        places, means, spreads = [], [], []
        for group, scale in enumerate(scales):
            measured = values.get((scale, label), NOT_APPLICABLE)
            x = group - 0.42 + (i + 0.5) * wide
            if isinstance(measured, str):
                axes.text(x, 0, f" {measured}", rotation=90, ha="center", va="bottom", fontsize=6.5)
                continue
            places.append(x)
            means.append(float(measured[metric].mean()))
            spreads.append(
                float(measured[metric].std(ddof=1)) if len(measured[metric]) > 1 else 0.0
            )
        style = {"facecolor": FILLS[i % len(FILLS)], "hatch": HATCHES[i % len(HATCHES)]}
        axes.bar(
            places, means, 0.92 * wide, yerr=spreads if any(spreads) else None, label=label,
            edgecolor="white", linewidth=0, error_kw={"elinewidth": 0.8, "ecolor": "0.35"}, **style,
        )  # fmt: skip
        for x, mean, spread in zip(places, means, spreads, strict=True):
            value = f"{mean:.{metadata(metric).digits if metric == 'psnr' else 3}f}"
            axes.text(x, mean + spread, f" {value}", rotation=90, ha="center", va="bottom",
                      fontsize=6.5)  # fmt: skip
            tallest = max(tallest, mean + spread)
    axes.set_ylim(0, 1.25 * tallest or 1)
    axes.set_xticks(range(len(scales)), [f"{scale_name(k)}×" for k in scales])
    axes.tick_params(labelsize=8, length=2)
    axes.set_ylabel(heading(metric, "volume"), fontsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
