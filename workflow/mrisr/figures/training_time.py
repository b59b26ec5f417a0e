"""Quality against training time: one curve a method, one panel a scale."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.figures.canvas import Canvas
from mrisr.figures.files import Record, plain, write
from mrisr.figures.style import PAPER, SMALL, TEXT, look
from mrisr.figures.training_curves import band, several_seeds

TITLE = "Quality against training time"
# Inches.
LEFT, GAP, HEAD, TALL, FOOT, ROW = 0.55, 0.25, 0.5, 2.0, 0.42, 0.16
COLUMNS = 3


@dataclass(frozen=True)
class Line:
    """How one model improves at one scale.

    Attributes:
        label: Label of the method.
        minutes: Minutes of training, shape (N,).
        gain: Mean PSNR over cubic interpolation in dB, shape (N,).
        look: Place of the method among the study's methods.
        repeats: Minutes and gain of the method's further trainings with other seeds.
    """

    label: str
    minutes: np.ndarray
    gain: np.ndarray
    look: int
    repeats: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


def read_lines(models: Sequence[Mapping]) -> tuple[dict[float, list[Line]], list[str], bool]:
    """Read the curves of models.

    Args:
        models: Each with label, look, the folder of its `model.json`, and optionally those of
            further trainings (repeats).

    Returns:
        Lines by scale, lowest first; labels of the models that do not exist yet; and whether time
        is processor time.

    Raises:
        InputError: A `model.json` is damaged.
    """
    lines: dict[float, list[Line]] = {}
    missing, clocks = [], set()
    for model in models:
        folders = [model["folder"], *model.get("repeats", ())]
        files = [Path(folder) / "model.json" for folder in folders]
        missing += [
            model["label"] + (f", seed {number}" if number > 1 else "")
            for number, file in enumerate(files, start=1)
            if not file.exists()
        ]
        if not files[0].exists():
            continue
        first, *others = [_read_curves(file, clocks) for file in files if file.exists()]
        for scale, (minutes, gain) in first.items():
            repeats = tuple(other[scale] for other in others if scale in other)
            line = Line(model["label"], minutes, gain, model["look"], repeats)
            lines.setdefault(scale, []).append(line)
    return dict(sorted(lines.items())), list(dict.fromkeys(missing)), clocks == {"processor"}


def _read_curves(file: Path, clocks: set[str]) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Return minutes and gain of a training by scale; its clock is added to `clocks`."""
    try:
        seals.check(file)
        about = json.loads(file.read_text(encoding="utf-8"))
        clocks.add(about["training"].get("clock", "wall"))
        found = {}
        for scale in about["curve"][-1]["psnr_over_cubic"]:
            rows = [(r["minutes"], r["psnr_over_cubic"][scale]) for r in about["curve"]]
            minutes, gain = np.array(rows, dtype=float).T
            found[float(scale)] = minutes, gain
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{file}: no curve of a training in it ({error!r}); train the model again"
        ) from None
    return found


def caption(lines: Mapping[float, Sequence[Line]], missing: Sequence[str], core: bool) -> str:
    """Return the figure's caption.

    Args:
        lines: See `read_lines`.
        missing: See `read_lines`.
        core: Whether time is processor time.
    """
    if not lines:
        return "No curve is recorded." + _missing(missing)
    ends = [
        f"{scale_name(scale)}×: "
        + ", ".join(f"{line.label} {line.gain[-1]:+.2f} dB" for line in _ranked(group))
        for scale, group in lines.items()
    ]
    return (
        "Mean PSNR over cubic interpolation, in a cube in the middle of each validation subject,"
        f" against the {'processor' if core else 'wall'} time of training one model (log axis). The"
        " last point, filled, is of the weights that are kept; on the way the learning rate is"
        " still high, so that a training planned to end there would do better. A method that"
        " trains a model for each scale takes this time for each. At the end,"
        f" {'; '.join(ends)}." + f" {several_seeds(_again(lines))}".rstrip() + _missing(missing)
    )


def _again(lines: Mapping[float, Sequence[Line]]) -> list[str]:
    """Return the labels of the methods that are trained several times."""
    return [line.label for group in lines.values() for line in group if line.repeats]


def _missing(missing: Sequence[str]) -> str:
    return f" Missing, not there yet: {', '.join(missing)}." if missing else ""


def _ranked(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: -line.gain[-1])


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw PSNR over cubic interpolation against training time.

    Args:
        params: `models`, see `read_lines`, each with the name of the method.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    lines, missing, core = read_lines(params["models"])
    record = Record(
        title=TITLE,
        caption=caption(lines, missing, core),
        section="Training",
        methods=list(dict.fromkeys(model["method"] for model in params["models"])),
        scales=list(lines),
    )
    with plain():
        write(_draw(lines, core), record, outputs)


def _draw(lines: Mapping[float, Sequence[Line]], core: bool) -> Figure:
    shown = {line.label: line.look for group in lines.values() for line in group}
    across = max(1, min(COLUMNS, len(lines)))
    down = max(1, -(-len(lines) // across))
    legend = -(-len(shown) // 4) * ROW
    height = HEAD + down * (TALL + FOOT) + legend + 0.1
    canvas = Canvas(PAPER, height)
    canvas.heading(0.05, TITLE)
    wide = (PAPER - LEFT - 0.1) / across - GAP
    ends = [line.gain for group in lines.values() for line in group]
    top = max([0.5, *(float(gain.max()) for gain in ends)])
    # Untrained networks are tens of dB below; the values that matter lie about 0, and at the ends.
    bottom = max(-2.0, min([-0.5, *(float(gain.min()) for gain in ends)]))
    bottom = min([bottom, *(float(gain[-1]) for gain in ends)])
    handles: dict[str, object] = {}
    for number, (scale, group) in enumerate(lines.items()):
        x = LEFT + number % across * (wide + GAP)
        y = HEAD + number // across * (TALL + FOOT)
        axes = canvas.axes(x, y, wide, TALL)
        axes.axhline(0, color="0.35", linewidth=0.8)
        for line in group:
            style = look(line.look)
            (drawn,) = axes.plot(
                line.minutes, line.gain, linewidth=1.2, markersize=4, marker=style.mark["marker"],
                markerfacecolor="white", markeredgecolor=style.colour, markeredgewidth=0.8,
                **style.line,
            )  # fmt: skip
            if line.repeats:
                spread = band(line.minutes, [(line.minutes, line.gain), *line.repeats])
                axes.fill_between(*spread, color=style.colour, alpha=0.2, linewidth=0)
            axes.plot(line.minutes[-1:], line.gain[-1:], linestyle="", markersize=5, **style.mark)
            handles.setdefault(line.label, drawn)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom - 0.1, top + 0.1 * (top - bottom))
        axes.set_title(f"{scale_name(scale)}×", fontsize=TEXT, pad=3)
        axes.tick_params(labelsize=SMALL)
        axes.grid(True, color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{'Core-minutes' if core else 'Minutes'} of training", fontsize=TEXT)
        if number % across == 0:
            axes.set_ylabel("PSNR over cubic (dB)", fontsize=TEXT)
    canvas.figure.legend(
        handles=list(handles.values()), labels=list(handles), loc="lower center", ncols=4,
        fontsize=TEXT, frameon=False, bbox_to_anchor=(0.5, 0), handlelength=2.6,
    )  # fmt: skip
    return canvas.figure
