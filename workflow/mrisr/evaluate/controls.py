"""Whether a metric puts the controls of a study in their order; one that does not ranks nothing."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from operator import itemgetter

import numpy as np

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, mean_interval
from mrisr.evaluate.measured import Column, Row, paired

#: Note on the values of a metric whose controls are out of order.
OUT_OF_ORDER = "controls out of order"


def out_of_order(
    rows: Iterable[Row], columns: Sequence[Column], baseline: str | None
) -> dict[tuple[str, Column], str]:
    """Return the metrics of each dataset that put its controls out of order.

    The order is lower controls (nearest), the baseline (cubic), the ground truth. Two of them are
    out of order if the worse one has the better mean beyond chance: the 95 % interval of the paired
    difference leaves out 0 or, below five subjects, all subjects agree. One scale is enough: a
    metric that fails at one scale is not to be trusted at others.

    Args:
        rows: Measured rows, controls included.
        columns: Metrics and regions with a better direction.
        baseline: Name of the baseline, or None.

    Returns:
        By dataset and column, the first two controls that are out of order, in words.
    """
    rows = list(rows)
    found: dict[tuple[str, Column], str] = {}
    places = dict.fromkeys((row.cell["dataset"], row.cell["scale"]) for row in rows)
    for dataset, scale in places:
        here = [r for r in rows if (r.cell["dataset"], r.cell["scale"]) == (dataset, scale)]
        placed = [(level, r) for r in here if (level := _level(r.cell, baseline)) is not None]
        ordered = combinations(sorted(placed, key=itemgetter(0)), 2)
        pairs = [(worse, better) for (low, worse), (high, better) in ordered if low < high]
        for column in columns:
            for worse, better in pairs:
                if _reversed(worse, better, column):
                    said = _said(worse, better, column)
                    found.setdefault((dataset, column), f"{said} at {scale_name(scale)}×")
    return found


def _level(cell: Mapping, baseline: str | None) -> int | None:
    """Return a control's place in the order; None if it is neither control nor baseline."""
    if cell["skipped"] or cell.get("reference"):
        return None
    if cell["control"]:
        return 2 if cell.get("ground_truth") else 0
    return 1 if cell["method"] == baseline else None


def _reversed(worse: Row, better: Row, column: Column) -> bool:
    """Say whether the worse of two controls has the better mean beyond chance."""
    if column not in worse.values or column not in better.values:
        return False
    sign = -1 if metric_modules.metadata(column[0]).better == "lower" else 1
    lead = sign * paired(better, worse, column)
    if not np.isfinite(lead).all():  # infinite PSNR of the ground truth, as expected
        return False
    return bool((lead < 0).all()) if len(lead) < FEWEST else mean_interval(lead)[1] < 0


def _said(worse: Row, better: Row, column: Column) -> str:
    digits = metric_modules.metadata(column[0]).digits
    one, other = (
        f"{row.cell['method_label']} ({row.values[column].mean():.{digits}f})"
        for row in (worse, better)
    )
    return f"{one} is better than {other}"
