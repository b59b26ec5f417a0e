"""Uncertainty of means over subjects, and paired tests between methods."""

from collections.abc import Sequence

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.seeds import generator

#: Fewer subjects have no interval: its coverage would depend on their distribution.
FEWEST = 5
#: Up to so many differences all signs are counted in the signed-rank test.
EXACT = 50


def mean_interval(
    sample: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float]:
    """Return Student's t interval of the mean (Student 1908).

    For normal values it has the stated coverage at any n. A percentile bootstrap does not: with
    five values it covers 83 %, see `bench/coverage.py`.

    Args:
        sample: One value for each subject, shape (n,), any unit.
        confidence: Coverage, between 0 and 1.

    Returns:
        Low and high end in the unit of the values; (nan, nan) for fewer than `FEWEST` values, or
        if one of them is not finite.
    """
    from scipy.special import stdtrit

    sample = np.asarray(sample, np.float64)
    n = len(sample)
    if n < FEWEST or not np.isfinite(sample).all():
        return float("nan"), float("nan")
    half = stdtrit(n - 1, (1 + confidence) / 2) * sample.std(ddof=1) / n**0.5
    return float(sample.mean() - half), float(sample.mean() + half)


def wilcoxon(differences: Sequence[float] | np.ndarray, alternative: str = "two-sided") -> float:
    """Return p of the signed-rank test that differences are symmetric about 0.

    Wilcoxon 1945. Zeros are dropped; ties share their mean rank. Exact for up to `EXACT`
    differences, a normal approximation with continuity and tie correction beyond.

    Args:
        differences: One for each subject, shape (n,).
        alternative: `two-sided`, `greater` (differences tend to be above 0) or `less`.

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
    if len(differences) > EXACT:
        return float(stats.wilcoxon(differences, correction=True, alternative=alternative).pvalue)
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # halves where ties are
    # How likely each sum of the ranks of positive differences is: each sign is as likely.
    likely = np.zeros(ranks.sum() + 1)
    likely[0] = 1
    for rank in ranks:
        likely[rank:] += likely[:-rank].copy()
        likely /= 2
    found = ranks[np.greater(differences, 0)].sum()
    less, greater = likely[: found + 1].sum(), likely[found:].sum()
    both = min(1.0, 2 * min(less, greater))
    return float({"two-sided": both, "less": less, "greater": greater}[alternative])


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for a family of tests by Holm's step-down method (Holm 1979).

    Args:
        p: One for each test, shape (m,), 0 to 1.

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


def effect_size(differences: Sequence[float] | np.ndarray) -> float:
    """Return d_z, the mean of paired differences over their standard deviation (Cohen 1988).

    Args:
        differences: One for each subject, shape (n,).

    Returns:
        NaN for fewer than two differences, or if all are equal.
    """
    differences = np.asarray(differences, np.float64)
    if len(differences) < 2 or not (spread := differences.std(ddof=1)) > 0:
        return float("nan")
    return float(differences.mean() / spread)


def superiority(lead: Sequence[float] | np.ndarray) -> float:
    """Return the share of subjects with a lead, ties counted half; NaN without subjects.

    Args:
        lead: How much better each subject is, shape (n,).
    """
    lead = np.asarray(lead, np.float64)
    return float(((lead > 0) + 0.5 * (lead == 0)).mean()) if len(lead) else float("nan")


def equivalence(differences: Sequence[float] | np.ndarray, margin: float) -> float:
    """Return p of two one-sided t tests that the mean lies beyond a margin (Schuirmann 1987).

    Args:
        differences: One for each subject, shape (n,).
        margin: Differences within it do not matter, above 0.

    Returns:
        A small p says that the mean lies within the margin. NaN below `FEWEST` differences, or if
        one is not finite.
    """
    from scipy.special import stdtr

    differences = np.asarray(differences, np.float64)
    n = len(differences)
    if n < FEWEST or not margin > 0 or not np.isfinite(differences).all():
        return float("nan")
    mean, error = differences.mean(), differences.std(ddof=1) / n**0.5
    if error == 0:
        return float(abs(mean) >= margin)
    return float(stdtr(n - 1, (abs(mean) - margin) / error))


def mean_ranks(scores: np.ndarray) -> np.ndarray:
    """Return the rank of each column, averaged over rows; 1 is the highest, ties share.

    Args:
        scores: Higher is better, shape (subjects, methods).
    """
    from scipy.stats import rankdata

    return rankdata(-np.asarray(scores, np.float64), axis=1).mean(axis=0)


def friedman(scores: np.ndarray) -> tuple[float, float]:
    """Return chi-squared and p of Friedman's test (1937) that all methods rank alike.

    Args:
        scores: Shape (subjects, methods), three methods or more.
    """
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*np.asarray(scores, np.float64).T)
    return float(found.statistic), float(found.pvalue)


def critical_difference(methods: int, n: int, alpha: float = 0.05) -> float:
    """Return the least difference of mean ranks that Nemenyi's test detects (Demsar 2006)."""
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - alpha, methods, np.inf) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * n)) ** 0.5)


def kendall(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Return Kendall's tau-b of two orders (Kendall 1945); NaN if one has only ties."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    one, other = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    pairs = (np.abs(one).sum() * np.abs(other).sum()) ** 0.5
    return float((one * other).sum() / pairs) if pairs else float("nan")


def rank_intervals(
    scores: np.ndarray, seed: int, confidence: float = 0.95, resamples: int = 2000
) -> np.ndarray:
    """Return between which ranks the mean of each method lies when subjects are resampled.

    Args:
        scores: Higher is better, shape (subjects, methods).
        seed: Seed of the draws.
        confidence: Share of the resamples inside the interval.
        resamples: Number of resamples.

    Returns:
        Low and high rank, 1 the best, shape (2, methods).
    """
    scores = np.asarray(scores, np.float64)
    draws = generator(seed, "ranks").integers(len(scores), size=(resamples, len(scores)))
    means = scores[draws].mean(axis=1)
    ranks = 1 + (means[:, None, :] > means[:, :, None]).sum(axis=2)
    tail = (1 - confidence) / 2
    return np.quantile(ranks, [tail, 1 - tail], axis=0, method="nearest")
