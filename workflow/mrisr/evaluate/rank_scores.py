"""Values of several methods in the same subjects, as tests of ranks take them."""

from collections.abc import Sequence

import numpy as np

from mrisr import metrics as metric_modules
from mrisr.common.statistics import FEWEST
from mrisr.evaluate.measured import Column, Row


def rank_scores(ranked: Sequence[Row], column: Column) -> np.ndarray | None:
    """Return values of the rows that have the column, higher is better.

    Args:
        ranked: Methods of a dataset and scale.
        column: Metric and region.

    Returns:
        Shape (subjects, methods); None for fewer than two methods or `FEWEST` subjects, or if a
        value is not finite.
    """
    members = [row.values[column] for row in ranked if column in row.values]
    if len(members) < 2 or len(members[0]) < FEWEST:
        return None
    subjects = members[0].index
    scores = np.stack([series[subjects].to_numpy(np.float64) for series in members], axis=1)
    return sign(column) * scores if np.isfinite(scores).all() else None


def sign(column: Column) -> int:
    """Return -1 if lower is better, else 1."""
    return -1 if metric_modules.metadata(column[0]).better == "lower" else 1
