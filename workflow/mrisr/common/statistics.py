"""Uncertainty of means over subjects, and paired tests between methods."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.seeds import generator


def bootstrap_interval(
    sample: Sequence[float] | np.ndarray,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron and Tibshirani 1993, 13.3).

    All calls with the same seed and number of values draw the same subjects, so that intervals
    of different metrics differ by their values alone.

    Args:
        sample: One a subject, shape (n,), any unit.
        seed: The study's seed.
        confidence: Coverage, between 0 and 1.
        resamples: Number of bootstrap samples.

    Returns:
        Low and high end in the unit of the values; (nan, nan) for fewer than two values, or if
        one of them is not finite.
    """
    sample = np.asarray(sample, np.float64)
    if len(sample) < 2 or not np.isfinite(sample).all():
        return float("nan"), float("nan")
    means = sample[_draws(seed, len(sample), resamples)].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


# A table asks for the same draws in every column; one entry, because they take megabytes.
@lru_cache(maxsize=1)
def _draws(seed: int, n: int, resamples: int) -> np.ndarray:
    """Return indices of the subjects drawn, shape (resamples, n)."""
    draws = generator(seed, "bootstrap").integers(n, size=(resamples, n))
    draws.setflags(write=False)
    return draws


def wilcoxon(differences: Sequence[float] | np.ndarray) -> float:
    """Return the two-sided p of the signed-rank test that differences are symmetric about 0.

    Wilcoxon 1945. Zeros are dropped. Exact for up to 50 differences without ties and up to 13 with
    ties; a normal approximation with continuity and tie correction beyond.

    Args:
        differences: One a subject, shape (n,).

    Returns:
        0 to 1; 1 if all differences are 0.

    Raises:
        InputError: A difference is NaN.
    """
    from scipy import stats

    differences = np.asarray(differences, np.float64)
    if np.isnan(differences).any():
        raise InputError("differences: hold NaN; leave the pair of methods out of the test")
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    return float(stats.wilcoxon(differences, correction=True).pvalue)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for a family of tests by Holm's step-down method (Holm 1979).

    Args:
        p: One a test, shape (m,), 0 to 1.

    Returns:
        Shape (m,), in the order given: the largest (m - i) p_(i) up to each rank i = 0, 1, ...,
        at most 1.

    Raises:
        InputError: A p is NaN, or outside 0 to 1.
    """
    p = np.asarray(p, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("p: a value is NaN or outside 0 to 1; leave tests without p out")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)
