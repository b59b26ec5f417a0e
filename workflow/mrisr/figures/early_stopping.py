"""Metrics against the steps of a training that continues: should it have stopped early?

Figures 3 and A1 of Van Veen et al. 2022.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from mrisr import metrics
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.evaluate.read_table import read_table
from mrisr.figures.files import Record, plain, write

COLUMNS = ["step", "metric", "mean", "std", "n", "kept"]
# With more points than this, markers would be a band.
MANY = 60
# Colour, marker and dashes by metric, which also differ in gray.
LINES = {"psnr": ("#0072B2", "o", "-"), "vif": ("#D55E00", "s", "--")}


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw PSNR and VIF against steps; below, reconstructions of one slice during the training.

    Args:
        params: As `mrisr.plan.figures` makes them: method, its label, dataset, scale, and the files
            curve and images of `mrisr.evaluate.early_stopping`.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is missing or damaged.
    """
    curve, images = _read(params["curve"], params["images"])
    kept = sorted(set(curve.loc[curve["kept"] == 1, "step"]))
    pictured = sorted(int(name[5:]) for name in images if name.startswith("step_"))
    steps = _chosen(pictured, kept)
    record = Record(
        title=f"Early stopping of {params['label']}",
        caption=caption(params["label"], params["scale"], curve, kept, steps),
        section="Training",
        dataset=params["dataset"],
        methods=[params["method"]],
        scales=[params["scale"]],
    )
    with plain():
        write(_draw(curve, images, kept, steps, record.title), record, outputs)


def caption(
    label: str, scale: float, curve: pd.DataFrame, kept: Sequence[int], steps: Sequence[int]
) -> str:
    """Return the figure's caption.

    Args:
        label: Label of the method.
        scale: Scale at which slices were reconstructed.
        curve: Content of `curve.csv`.
        kept: The step whose weights are used, if the curve has it.
        steps: Steps whose images are shown.
    """
    n = int(curve["n"].iloc[0])
    best = {
        name: group.loc[group["mean"].idxmax()]
        for name, group in curve.groupby("metric", sort=False)
    }
    found = "; ".join(
        f"{metrics.metadata(name).label} is highest at step {row['step']:,.0f}"
        f" ({row['mean']:.{metrics.metadata(name).digits}f})"
        for name, row in best.items()
    )
    line = f" The vertical line is step {kept[0]:,}, whose weights are used." if kept else ""
    return (
        f"{label}: means over {n} validation slices at {scale_name(scale)}× against the optimiser"
        f" steps of a training that goes on (log axis).{line} {found}. Above, the first of these"
        f" slices, the ground truth and what the network made of it after"
        f" {', '.join(f'{step:,}' for step in steps)} steps, in one gray window. Compare Van Veen"
        " et al. 2022, Fig. 3 (coord) and A1 (conv)."
    )


def _read(curve: str | Path, images: str | Path) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    try:
        table = read_table(curve)[COLUMNS]
        with np.load(images, allow_pickle=False) as opened:
            content = {name: opened[name] for name in opened.files}
        if table.empty or not {"truth", "voxel_size"} <= set(content):
            raise ValueError("nothing in it")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{curve}, {images}: not what an early-stopping run writes ({error}); delete them and"
            " run again"
        ) from None
    return table, content


def _chosen(steps: Sequence[int], kept: Sequence[int]) -> list[int]:
    """Return the steps shown: an early one, the one whose weights are used, and the last."""
    middle = kept[0] if kept else steps[len(steps) // 2]
    early = max([step for step in steps if step <= middle**0.75] or steps[:1])
    return sorted({early, middle, steps[-1]})


def _draw(
    curve: pd.DataFrame,
    images: Mapping[str, np.ndarray],
    kept: Sequence[int],
    steps: Sequence[int],
    title: str,
) -> Figure:
    panels = {"Ground truth": images["truth"]}
    panels |= {f"{step:,} step{'s' if step > 1 else ''}": images[f"step_{step}"] for step in steps}
    shape = images["truth"].shape  # (anterior, superior) of a sagittal slice: shown upright
    wide, gap, left, right, head, foot, tall_axes = 1.7, 0.06, 0.7, 0.75, 0.6, 0.5, 2.2
    across, up = images["voxel_size"]
    tall = wide * (shape[1] * up) / (shape[0] * across)
    width = left + len(panels) * (wide + gap) + right
    height = head + tall + 0.25 + tall_axes + foot
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(left / width, 1 - 0.1 / height, title, fontsize=11, weight="bold", va="top",
                parse_math=False)  # fmt: skip
    ceiling = float(np.percentile(images["truth"], 99.9)) or 1.0
    for i, (name, image) in enumerate(panels.items()):
        x, y = left + i * (wide + gap), head
        axes = figure.add_axes(
            (x / width, 1 - (y + tall) / height, wide / width, tall / height), frame_on=False
        )
        axes.imshow(image.T[::-1, ::-1], cmap="gray", vmin=0, vmax=ceiling, aspect="auto")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=9, pad=3)
    area = (left / width, foot / height, 1 - (left + right) / width, tall_axes / height)
    first = figure.add_axes(area)
    second = first.twinx()
    for axes, name in ((first, "psnr"), (second, "vif")):
        _line(axes, curve[curve["metric"] == name], name)
    first.set_xscale("log")
    first.xaxis.set_major_formatter(EngFormatter(sep=""))
    first.set_xlabel("Optimiser steps", fontsize=9)
    first.grid(True, axis="x", which="major", color="0.9", linewidth=0.6)
    for step in kept:
        first.axvline(step, color="0.35", linewidth=1, linestyle=":")
    handles = [line for axes in (first, second) for line in axes.get_lines()[:1]]
    second.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 0.99), fontsize=8, frameon=False,
        ncols=2,
    )  # fmt: skip
    return figure


def _line(axes: Axes, points: pd.DataFrame, name: str) -> None:
    colour, marker, style = LINES[name]
    about = metrics.metadata(name)
    label = about.label + (f" ({about.unit})" if about.unit else "")
    dense = len(points) > MANY
    axes.plot(
        points["step"], points["mean"], color=colour, linestyle=style,
        marker="" if dense else marker, markersize=4,
        linewidth=1.3, label=about.label,
    )  # fmt: skip
    axes.set_ylabel(label, fontsize=9, color=colour)
    axes.tick_params(labelsize=8)
    low, high = points["mean"].min(), points["mean"].max()
    room = (high - low) or 1.0
    axes.set_ylim(low - 0.06 * room, high + 0.06 * room)
