"""The figure of training curves: losses of every model against its steps.

As Figure 12 of the ArSSR paper (arXiv 2110.14476v1), with one row for each scale that models were
trained on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.evaluate.read_table import read_table
from mrisr.figures.canvas import Canvas
from mrisr.figures.files import Record, plain, write
from mrisr.figures.style import PAPER, SMALL, TEXT, look
from mrisr.methods.model_files import LOSSES

TITLE = "Training and validation loss"
SIDES = {"train_loss": "Training loss", "val_loss": "Validation loss"}
# Above this ratio of the largest to the smallest value, a linear axis hides the small values.
LOG_STEPS, LOG_LOSS = 5, 4
POINTS = 100  # points of a line; more epochs are averaged, or their noise hides the other lines


@dataclass(frozen=True)
class Curve:
    """The losses of one model.

    Attributes:
        label: Label of the method.
        trained: Name of the model's folder: `x2`, or `x2-4` for all scales from 2 to 4.
        step: Optimiser steps at the end of each epoch.
        losses: By name (`train_loss`, `val_loss`), one value for each epoch.
        look: Place of the method among the study's methods, see `mrisr.figures.style.look`.
        keeps_last: Whether the weights of the last epoch were kept.
        denoised: Whether the losses have a denoising term.
        repeats: The curves of the method's further trainings with other seeds.
    """

    label: str
    trained: str
    step: np.ndarray
    losses: Mapping[str, np.ndarray]
    look: int = 0
    keeps_last: bool = False
    denoised: bool = False
    repeats: tuple["Curve", ...] = ()

    @property
    def kept(self) -> int:
        """Index of the epoch whose weights were kept: the last one, or that of the least loss."""
        if self.keeps_last:
            return len(self.step) - 1
        return int(np.nanargmin(self.losses["val_loss"]))


@dataclass(frozen=True)
class Scales:
    """The axes that are logarithmic, the same for all rows."""

    steps: bool
    loss: bool


def read_curves(
    models: Sequence[Mapping],
) -> tuple[list[Curve], list[Mapping], list[Mapping]]:
    """Read the losses of models.

    Args:
        models: Each with label, trained, look, the folder of its `log.csv`, and optionally those
            of further trainings (repeats).

    Returns:
        The curves, models for all scales first, then by scale; the models without losses, because
        they were not trained here; and the models that do not exist yet.

    Raises:
        InputError: A `log.csv` is damaged.
    """
    curves, without, missing = [], [], []
    for model in models:
        file = Path(model["folder"]) / "log.csv"
        if not file.exists():
            missing.append(model)
            continue
        curve = _read_curve(model, file)
        if curve is None:
            without.append(model)
            continue
        further = []
        for number, folder in enumerate(model.get("repeats", ()), start=2):
            again = {**model, "label": f"{model['label']}, seed {number}"}
            if not (file := Path(folder) / "log.csv").exists():
                missing.append(again)
            elif (repeat := _read_curve(again, file)) is not None:
                further.append(repeat)
        curves.append(replace(curve, repeats=tuple(further)))
    return sorted(curves, key=lambda curve: _order(curve.trained)), without, missing


def _read_curve(model: Mapping, file: Path) -> Curve | None:
    """Return the curve of a `log.csv`; None if it has no losses."""
    try:
        seals.check(file)
        table = read_table(file)[LOSSES].astype(float)
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{file}: not a table of {', '.join(LOSSES)} ({error}); train the model again"
        ) from None
    if table.empty:
        return None
    if not np.isfinite(table["val_loss"]).any():
        raise InputError(f"{file}: no validation loss is finite; train the model again")
    losses = {name: table[name].to_numpy() for name in SIDES}
    step = table["step"].to_numpy()
    about = [bool(model.get(key)) for key in ("keeps_last", "denoised")]
    return Curve(model["label"], model["trained"], step, losses, model["look"], *about)


def _order(trained: str) -> tuple[bool, list[float]]:
    scales = [float(scale) for scale in trained.removeprefix("x").split("-")]
    return len(scales) == 1, scales


def caption(
    curves: Sequence[Curve], without: Sequence[Mapping], missing: Sequence[Mapping] = ()
) -> str:
    """Return the figure's caption.

    Args:
        curves: The curves shown, see `read_curves`.
        without: The models that are not shown, because they were not trained here.
        missing: The models that do not exist yet.
    """
    parts = ["No losses are recorded."]
    if curves:
        scales = _scales(curves)
        logs = [name for name in ("steps", "loss") if getattr(scales, name)]
        rows = ", ".join(map(_span, _rows(curves)))
        last = (
            " (at the last, where training stops early)"
            if any(c.keeps_last for c in curves)
            else ""
        )
        denoised = ", and the denoising term of methods that have one"
        denoised = denoised if any(curve.denoised for curve in curves) else ""
        parts = [
            "Training loss (left) and validation loss (right) after each epoch against the"
            " optimiser steps done: mean absolute error, as a fraction of the ground truth's"
            f" maximum{denoised}. A row for each scale that models were trained for: {rows}.",
            f"Logarithmic axes: {' and '.join(logs)}." if logs else "",
            f"Lines of more than {POINTS} epochs are means of neighbouring ones; markers are not."
            if any(len(curve.step) > POINTS for curve in curves)
            else "",
            f"A marker stands at the epoch with the least validation loss{last}, whose weights were"
            " kept. Methods compare where they were trained on the same patches. As Figure 12 of Wu"
            " et al. (arXiv 2110.14476, version 1).",
            several_seeds(curve.label for curve in curves if curve.repeats),
        ]
    if without:
        parts.append(f"Not shown, because their weights were imported: {_named(without)}.")
    if missing:
        parts.append(f"Missing, not there yet: {_named(missing)}.")
    return " ".join(filter(None, parts))


def several_seeds(labels: Iterable[str]) -> str:
    """Return what line and band of methods mean that are trained several times; else nothing."""
    names = ", ".join(dict.fromkeys(labels))
    if not names:
        return ""
    return (
        f"Trained several times with other seeds: {names}; line and marker are of the first"
        " training, the band spans all of them."
    )


def band(
    x: np.ndarray, curves: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the least and the greatest of several curves.

    Args:
        x: Where, shape (N,); what lies beyond the shortest curve is left out.
        curves: x and y of each, increasing in x.

    Returns:
        x, least and greatest y, each of shape (M,).
    """
    inside = x[(x >= max(at[0] for at, _ in curves)) & (x <= min(at[-1] for at, _ in curves))]
    every = [np.interp(inside, at, y) for at, y in curves]
    return inside, np.min(every, axis=0), np.max(every, axis=0)


def _named(models: Sequence[Mapping]) -> str:
    return ", ".join(
        dict.fromkeys(f"{model['label']} ({_span(model['trained'])})" for model in models)
    )


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw losses against steps, training on the left and validation on the right.

    Args:
        params: `models`, see `read_curves`. Models trained for the same scale share a row.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    curves, without, missing = read_curves(params["models"])
    record = Record(
        title=TITLE,
        caption=caption(curves, without, missing),
        section="Training",
        methods=list(dict.fromkeys(model["method"] for model in params["models"])),
    )
    with plain():
        write(_draw(curves, missing), record, outputs)


def _rows(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    rows: dict[str, list[Curve]] = {}
    for curve in curves:
        rows.setdefault(curve.trained, []).append(curve)
    return rows


def _span(trained: str) -> str:
    """Return the scales of a model as text: 2×, or 2× to 4×."""
    return " to ".join(f"{scale}×" for scale in trained.removeprefix("x").split("-"))


def _scales(curves: Sequence[Curve]) -> Scales:
    """Choose the axes: logarithmic if a linear axis would squeeze the values in any row."""
    steps = loss = False
    for row in _rows(curves).values():
        ends = [curve.step[-1] for curve in row]
        steps |= max(ends) > LOG_STEPS * min(ends) or max(len(c.step) for c in row) > POINTS
        finite = np.concatenate([losses for curve in row for losses in curve.losses.values()])
        finite = finite[np.isfinite(finite)]
        loss |= bool(finite.min() > 0 and finite.max() > LOG_LOSS * finite.min())
    return Scales(steps, loss)


def _averaged(curve: Curve, loss: str, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean steps and losses of at most `POINTS` runs of neighbouring epochs."""
    epochs = len(curve.step)
    if epochs <= POINTS:
        return curve.step, curve.losses[loss]
    space = np.geomspace if log else np.linspace
    starts = np.unique(space(1, epochs, POINTS, endpoint=False).astype(int) - 1)
    counts = np.diff([*starts, epochs])
    return tuple(np.add.reduceat(x, starts) / counts for x in (curve.step, curve.losses[loss]))


def _draw(curves: Sequence[Curve], missing: Sequence[Mapping] = ()) -> Figure:
    rows = _rows(curves)
    scales = _scales(curves)
    labels = [curve.label for curve in curves]
    # Inches.
    gap, left, head, foot, between = 0.3, 0.55, 0.5, 0.4, 0.15
    tall = 1.6 if len(rows) <= 3 else 1.25
    # Width of the legend: its handles, and its letters at their mean width.
    right = 0.45 + 0.58 * TEXT / 72 * max([8, *map(len, labels)])
    wide = (PAPER - left - between - right) / 2
    count = max(1, len(rows))
    canvas = Canvas(PAPER, head + count * tall + (count - 1) * gap + foot)
    canvas.heading(left, TITLE)
    if missing:
        canvas.text(left, 0.22, f"missing: {_named(missing)}", SMALL, color="0.4", style="italic")
    if not rows:
        canvas.text(PAPER / 2, head + tall / 2, "no losses are recorded", ha="center", color="0.4")
    for i, (trained, row) in enumerate(rows.items()):
        y = head + i * (tall + gap)
        pair: list[Axes] = []
        for j, (loss, title) in enumerate(SIDES.items()):
            share = {"sharey": pair[0]} if pair else {}
            axes = canvas.axes(left + j * (wide + between), y, wide, tall, **share)
            pair.append(axes)
            for curve in row:
                _line(axes, curve, loss, scales.steps)
            if i == 0:
                axes.set_title(title, fontsize=TEXT + 1, pad=3)
            if i == len(rows) - 1:
                axes.set_xlabel("Optimiser steps", fontsize=TEXT, labelpad=2)
        _axes(pair, scales)
        pair[0].set_ylabel("L1 loss (of maximum)", fontsize=TEXT, labelpad=2)
        pair[1].tick_params(labelleft=False)
        legend = pair[1].legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=TEXT, frameon=False,
            title=_span(trained), alignment="left", handlelength=2.6, borderaxespad=0.2,
            labelspacing=0.35,
        )  # fmt: skip
        legend.get_title().set(fontsize=TEXT + 1, fontweight="bold")
        for text in legend.get_texts():
            text.set_parse_math(False)  # labels come from files of users
    return canvas.figure


def _line(axes: Axes, curve: Curve, loss: str, log: bool) -> None:
    curve_look = look(curve.look)
    line = {**curve_look.line, "linewidth": 1.0}
    mark = {**curve_look.mark, "markersize": 4.5}
    drawn = _averaged(curve, loss, log)
    axes.plot(*drawn, **line)
    if curve.repeats:
        every = [drawn, *(_averaged(repeat, loss, log) for repeat in curve.repeats)]
        axes.fill_between(*band(drawn[0], every), color=line["color"], alpha=0.2, linewidth=0)
    axes.plot(curve.step[curve.kept], curve.losses[loss][curve.kept], **line, **mark, zorder=3)
    axes.plot([], [], label=curve.label, **line, **mark)  # for the legend


def _axes(pair: Sequence[Axes], scales: Scales) -> None:
    for axes in pair:
        axes.grid(True, which="major", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
        if scales.steps:
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if scales.loss:
        pair[0].set_yscale("log")
        pair[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        pair[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        pair[0].yaxis.set_minor_formatter(NullFormatter())
