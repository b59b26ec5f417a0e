"""Comparison of two methods, subject by subject, and Holm's method over a study."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from mrisr import metrics as metric_modules
from mrisr.common.statistics import (
    effect_size,
    equivalence,
    holm,
    mean_interval,
    superiority,
    wilcoxon,
)
from mrisr.evaluate.measured import ALPHA, Column, Row, paired

COLUMNS = [
    *("dataset", "scale", "metric", "region", "family", "reference", "method", "n", "difference"),
    *("ci_low", "ci_high", "effect_size", "superiority", "p", "p_holm", "margin"),
    *("p_equivalence", "conclusion", "note"),
]
NUMBERS = (
    *("difference", "ci_low", "ci_high", "effect_size", "superiority", "p", "p_holm", "margin"),
    "p_equivalence",
)
PRIMARY, SECONDARY = "primary", "secondary"
BETTER, WORSE, EQUIVALENT, OPEN = "better", "worse", "equivalent", "not decided"
FEW, INFINITE = "too few subjects to be significant", "infinite values, not tested"


def contrasts(
    ranked: Sequence[Row],
    column: Column,
    baseline: str | None,
    primary: Column,
    width: float,
    better: str | None = None,
) -> list[dict]:
    """Return the comparisons of all pairs of methods in one column, not yet adjusted.

    Args:
        ranked: The methods of a dataset and scale, in the order of the table.
        column: Metric and region, of image quality or of overlap.
        baseline: Name of the method that is the reference in its pairs.
        primary: The study's primary metric, and the region where it counts.
        width: Differences of means within it do not matter; 0 or NaN if it is not known.
        better: `higher` or `lower`; default what the metric says.

    Returns:
        One record a pair, with the columns `COLUMNS`. In pairs without the baseline, the method
        that stands higher in the table is the reference.

    Raises:
        InputError: Two methods hold different subjects.
    """
    members = [row for row in ranked if column in row.values]
    members.sort(key=lambda row: row.cell["method"] != baseline)  # the baseline first
    with_baseline = bool(members) and members[0].cell["method"] == baseline
    found = []
    for reference, row in combinations(members, 2):
        counts = column == primary and (reference is members[0] or not with_baseline)
        direction = better or metric_modules.metadata(column[0]).better
        record = _contrast(reference, row, column, width, direction == "lower")
        found.append({**record, "family": PRIMARY if counts else SECONDARY})
    return found


def _contrast(reference: Row, row: Row, column: Column, width: float, lower: bool) -> dict:
    differences = paired(row, reference, column)
    record = {
        **{key: row.cell[key] for key in ("dataset", "scale", "method")},
        **dict(zip(("metric", "region"), column, strict=True)),
        **dict.fromkeys(NUMBERS, math.nan),
        **{"reference": reference.cell["method"], "n": len(differences), "note": INFINITE},
        **{"margin": width or math.nan, "conclusion": "", "untied": 0, "lower": lower},
    }
    if not np.isfinite(differences).all():
        return record
    low, high = mean_interval(differences)
    sign = -1 if lower else 1
    return record | {
        **{"difference": float(differences.mean()), "ci_low": low, "ci_high": high},
        **{"effect_size": effect_size(differences), "superiority": superiority(sign * differences)},
        **{"p": wilcoxon(differences), "p_equivalence": equivalence(differences, width)},
        # Wilcoxon's test drops zeros, so they do not make p smaller.
        **{"untied": int(np.count_nonzero(differences)), "note": ""},
    }


def turned(record: Mapping) -> dict:
    """Return the comparison of the reference with the method: difference and conclusion turn.

    Args:
        record: One of `contrasts`, adjusted.
    """
    other = {BETTER: WORSE, WORSE: BETTER}
    said = [other.get(word, word) for word in record["conclusion"].split(", ")]
    return {**record, "difference": -record["difference"], "conclusion": ", ".join(said)}


def adjust(records: Iterable[dict]) -> None:
    """Adjust p over the study by Holm's method, and add conclusions; in place.

    The primary tests are one family and all other tests another. Each family spans all datasets,
    scales, metrics, regions and pairs. The tests of equivalence form families in the same way.
    """
    records = list(records)
    for family in (PRIMARY, SECONDARY):
        inside = [record for record in records if record["family"] == family]
        tested = [record for record in inside if not math.isnan(record["p"])]
        for record, p in zip(tested, holm([contrast["p"] for contrast in tested]), strict=True):
            record["p_holm"] = float(p)
        alike = [record for record in inside if not math.isnan(record["p_equivalence"])]
        for record, p in zip(
            alike, holm([contrast["p_equivalence"] for contrast in alike]), strict=True
        ):
            record["p_equivalence"] = float(p)
        for record in tested:
            if _least_p(record["untied"], len(tested)) >= ALPHA:
                record["note"] = FEW
            record["conclusion"] = _conclusion(record)


def _least_p(untied: int, tests: int) -> float:
    """Return the least adjusted p: all subjects that differ agree, in every test of the family."""
    return min(1.0, tests * 2 / 2**untied)


def _conclusion(record: Mapping) -> str:
    said = []
    if record["p_holm"] < ALPHA:
        said.append(BETTER if (record["difference"] > 0) != record["lower"] else WORSE)
    if record["p_equivalence"] < ALPHA:
        said.append(EQUIVALENT)
    return ", ".join(said) or OPEN
