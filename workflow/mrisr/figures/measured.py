"""Shared parts of figures of measured values: choice of values, and words for missing ones."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from mrisr import metrics
from mrisr.common.statistics import FEWEST, mean_interval
from mrisr.evaluate.measured import DOUBTFUL, MARKS, Row, heading
from mrisr.figures.scene import MISSING, NOT_APPLICABLE, Key, times
from mrisr.figures.style import SMALL, TEXT, Look

REGION = "volume"
INTERVALS = f"95 % t interval (below {FEWEST} subjects, every subject as a dash)"
# The first one that was measured is shown beside PSNR. They are ordered by likeness to human
# vision.
PERCEPTUAL = ("lpips", "vif", "ssim")


def ranked_metrics(rows: Iterable[Row], wanted: Sequence[str]) -> list[str]:
    """Return the wanted metrics that were measured and have a better direction."""
    present = {metric for row in rows for metric, region in row.values if region == REGION}
    return [name for name in wanted if name in present and metrics.metadata(name).better]


def perceptual(rows: Iterable[Row]) -> list[str]:
    """Return PSNR and the first of `PERCEPTUAL` that was measured."""
    present = ranked_metrics(rows, ["psnr", *PERCEPTUAL])
    return [
        *(["psnr"] if "psnr" in present else []),
        *[name for name in PERCEPTUAL if name in present][:1],
    ]


def values(row: Row, metric: str) -> np.ndarray:
    """Return a metric's values, one for each subject, shape (n,); empty if there are none."""
    found = row.values.get((metric, REGION))
    return np.empty(0) if found is None else found.to_numpy(np.float64)


def label(name: str, method: str, rows: Mapping[Key, Row]) -> str:
    """Return a method's label, with the scales at which it is missing, n/a or marked."""
    by_scale = {scale: row for (scale, other), row in rows.items() if other == method}
    said = []
    for word, chosen in (
        (NOT_APPLICABLE, [scale for scale, row in by_scale.items() if row.cell["skipped"]]),
        (MISSING, [k for k, row in by_scale.items() if MISSING in row.remarks]),
        *(
            (MARKS[remark], [k for k, row in by_scale.items() if remark in row.remarks])
            for remark in DOUBTFUL
        ),
    ):
        if chosen:
            said.append(word if len(chosen) == len(by_scale) else f"{word} {times(chosen)}")
    return f"{name} ({', '.join(said)})" if said else name


def marker(look: Look, row: Row) -> dict:
    """Return the arguments of a method's marker; hollow where training was too short or failed."""
    options = look.mark
    if set(DOUBTFUL) & set(row.remarks):
        hollow = {"markerfacecolor": "white", "markeredgecolor": look.colour}
        options |= {**hollow, "markeredgewidth": 0.9}
    return options


def interval(axes: Axes, x: float, found: np.ndarray, look: Look) -> list[float]:
    """Draw the interval of a mean, or every subject if there are too few for an interval.

    Returns:
        Low and high end of what was drawn.
    """
    low, high = mean_interval(found)
    if np.isfinite(low):
        axes.plot([x, x], [low, high], color=look.colour, linewidth=0.8, zorder=2)
        return [low, high]
    if len(found) > 1:
        options = {"linestyle": "", "marker": "_", "markersize": 4, "markeredgewidth": 0.7}
        axes.plot([x] * len(found), found, color=look.colour, zorder=2, **options)
    return [float(found.min()), float(found.max())]


def words(rows: Iterable[Row]) -> list[str]:
    """Return the words that stand for rows without values."""
    return [NOT_APPLICABLE if row.cell["skipped"] else MISSING for row in rows if not row.values]


def hollow(rows: Iterable[Row]) -> str:
    """Return the caption's sentence on hollow markers, if there are any."""
    rows = list(rows)
    present = [mark for mark in DOUBTFUL if any(mark in row.remarks for row in rows)]
    if not present:
        return ""
    why = " or ".join(f"{mark} ({MARKS[mark]})" for mark in present)
    return f"Hollow markers: {why}; they say little about the method."


def subjects(rows: Iterable[Row]) -> str:
    """Return the number of subjects as text."""
    counts = sorted({len(scores) for row in rows for scores in row.values.values()})
    if not counts:
        return "nothing is measured yet"
    low, high = counts[0], counts[-1]
    many = f"{low}" if low == high else f"{low} to {high}"
    return f"n = {many} test subject{'' if high == 1 else 's'}"


def frame(axes: Axes, metric: str | None = None) -> None:
    """Give axes the common style, with a metric's name and its better direction."""
    axes.grid(True, axis="y", color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
    if metric is not None:
        axes.set_title(heading(metric, REGION), fontsize=TEXT, pad=2.5, parse_math=False)


def plain_labels(texts: Sequence) -> None:
    """Keep dollar signs of users' labels from becoming formulas."""
    for text in texts:
        text.set_parse_math(False)
