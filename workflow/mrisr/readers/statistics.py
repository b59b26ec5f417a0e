"""What readers' scores say: means, how sure they are, agreement, preference for a side, time.

Scores are those of a first method compared with a second one, -2 (much worse) to 2 (much better).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from mrisr.common.errors import InputError
from mrisr.common.seeds import generator
from mrisr.common.statistics import wilcoxon
from mrisr.readers.folder import SCORES

NEEDED = (
    *("reader", "case", "question", "score", "seconds", "left_method", "right_method"),
    *("repeat_of", "subject"),
)
RESAMPLES = 10_000


@dataclass(frozen=True)
class Mean:
    """A mean score.

    Attributes:
        n: Number of scores.
        subjects: That they are of.
        mean: Of all scores.
        std: Of all scores, with n - 1.
        low: Lower end of the 95 % interval of the mean, NaN for a single subject.
        high: Likewise.
        p: Of the signed-rank test that subjects' mean scores are symmetric about 0.
    """

    n: int
    subjects: int
    mean: float
    std: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Agreement:
    """How far two sets of scores of the same cases agree.

    Attributes:
        n: Number of cases.
        kappa: Cohen's, with quadratic weights; NaN where all scores are one and the same.
        same: Fraction of the cases with the same score.
    """

    n: int
    kappa: float
    same: float


@dataclass(frozen=True)
class Spread:
    """Median and quartiles; NaN for no values."""

    n: int
    median: float
    low: float
    high: float


def compared(answers: pd.DataFrame, methods: Sequence[str], where: str = "answers") -> pd.DataFrame:
    """Return answers with the score of the first method compared with the second.

    Args:
        answers: As `mrisr readers export` writes them with the key, see `NEEDED`.
        methods: Two names.
        where: What to call them in messages.

    Returns:
        The same rows with the columns `value` (the score, whichever side the first method was on)
        and `first_left` (whether it was on the left).

    Raises:
        InputError: Columns are missing, a method is another, a score is none, or a reader answered
            a question of a case twice.
    """
    lacking = [name for name in NEEDED if name not in answers]
    if lacking:
        raise InputError(
            f"{where}: lacks the columns {', '.join(lacking)}; write it with `mrisr readers export`"
            " and the key"
        )
    first, second = methods
    sides = answers[["left_method", "right_method"]]
    found = set(map(frozenset, sides.itertuples(index=False, name=None)))
    if found - {frozenset(methods)}:
        other = ", ".join(sorted(set().union(*found)))
        raise InputError(f"{where}: compares {other}, not {first} and {second}")
    if not answers["score"].isin(SCORES).all():
        raise InputError(f"{where}: a score is not one of -2 to 2; export the answers again")
    if answers.duplicated(["reader", "case", "question"]).any():
        raise InputError(
            f"{where}: a case is answered twice by one reader; export without --history"
        )
    left = answers["left_method"] == first
    value = answers["score"].where(left, -answers["score"]).astype(int)
    return answers.assign(value=value, first_left=left)


def once(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the answers without those to cases that were shown a second time."""
    return answers[answers["repeat_of"].isna() | (answers["repeat_of"] == "")]


def mean_score(answers: pd.DataFrame, seed: int) -> Mean:
    """Return the mean score of one question, by one reader or by several.

    The interval is a percentile bootstrap. It draws subjects with all their cases, because the
    slices of one subject are alike. Where there are several readers it also draws readers,
    independently of subjects (Owen 2007, the pigeonhole bootstrap), so it holds for other readers
    and other subjects. The test is over subjects: each has the mean of its scores.

    Args:
        answers: Answers of `compared`, of one question.
        seed: Seed of the bootstrap.
    """
    scores = answers["value"].to_numpy(np.float64)
    by_subject = answers.groupby("subject")["value"].mean()
    low, high = _interval(answers, seed)
    return Mean(
        len(scores),
        len(by_subject),
        float(scores.mean()),
        float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
        low,
        high,
        wilcoxon(by_subject.to_numpy()),
    )


def side_preference(answers: pd.DataFrame, seed: int) -> tuple[float, float, float]:
    """Return by how much an image gains by being on the left, with its 95 % interval.

    Half the difference between the mean scores of the first method on the left and on the right:
    what is preferred for itself cancels.

    Args:
        answers: Answers of `compared`, of one question.
        seed: Seed of the bootstrap, see `mean_score`.

    Returns:
        Value, low and high end; NaN if the first method was on one side alone.
    """
    sides = [answers[answers["first_left"] == side] for side in (True, False)]
    if any(part.empty for part in sides):
        return math.nan, math.nan, math.nan
    gain = (sides[0]["value"].mean() - sides[1]["value"].mean()) / 2
    return float(gain), *_interval(answers, seed, by_side=True)


def agreement(first: Sequence[int], second: Sequence[int]) -> Agreement:
    """Return how far two sets of scores of the same cases agree.

    Cohen's kappa with quadratic weights (Cohen 1968): 1 less the mean squared difference over the
    one expected if both were independent.

    Args:
        first: One a case.
        second: Likewise, in the same order.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(a):
        return Agreement(0, math.nan, math.nan)
    expected = float(np.mean((a[:, None] - b[None, :]) ** 2))
    kappa = 1 - float(np.mean((a - b) ** 2)) / expected if expected else math.nan
    return Agreement(len(a), kappa, float(np.mean(a == b)))


def between(answers: pd.DataFrame) -> dict[tuple[str, str], Agreement]:
    """Return the agreement of every pair of readers on the cases that both answered.

    Args:
        answers: Answers of `compared`, of one question, without repeats.
    """
    wide = answers.pivot(index="case", columns="reader", values="value")
    found = {}
    for pair in combinations(dict.fromkeys(answers["reader"]), 2):
        both = wide[list(pair)].dropna()
        found[pair] = agreement(both[pair[0]], both[pair[1]])
    return found


def within(answers: pd.DataFrame) -> Agreement:
    """Return the agreement of a reader with themselves on the cases that came twice.

    Args:
        answers: Answers of `compared`, of one reader and question, with repeats.
    """
    again = answers[answers["repeat_of"].notna() & (answers["repeat_of"] != "")]
    both = again.merge(answers, left_on="repeat_of", right_on="case", suffixes=("", "_before"))
    return agreement(both["value_before"].tolist(), both["value"].tolist())


def seconds(answers: pd.DataFrame) -> Spread:
    """Return the time per case of one reader or several.

    Args:
        answers: Answers of any questions; a case has one time.
    """
    times = answers.drop_duplicates(["reader", "case"])["seconds"].to_numpy(np.float64)
    if not len(times):
        return Spread(0, math.nan, math.nan, math.nan)
    low, median, high = np.quantile(times, [0.25, 0.5, 0.75])
    return Spread(len(times), float(median), float(low), float(high))


def _interval(answers: pd.DataFrame, seed: int, by_side: bool = False) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean, or of the gain by the left side."""
    readers, whose = np.unique(answers["reader"].to_numpy(str), return_inverse=True)
    subjects, of = np.unique(answers["subject"].to_numpy(str), return_inverse=True)
    if len(subjects) < 2:
        return math.nan, math.nan
    scores = answers["value"].to_numpy(np.float64)
    random = generator(seed, "reader study bootstrap")
    drawn = _counts(random, len(subjects))
    weights = _counts(random, len(readers)) if len(readers) > 1 else np.ones((RESAMPLES, 1))

    def means(chosen: np.ndarray) -> np.ndarray:
        sums = np.zeros((2, len(readers), len(subjects)))
        np.add.at(sums[0], (whose[chosen], of[chosen]), scores[chosen])
        np.add.at(sums[1], (whose[chosen], of[chosen]), 1.0)
        total, count = (((weights @ part) * drawn).sum(axis=1) for part in sums)
        # Nothing of this kind was drawn: that draw says nothing.
        return np.divide(total, count, out=np.full(RESAMPLES, np.nan), where=count > 0)

    if by_side:
        left = answers["first_left"].to_numpy(bool)
        found = (means(left) - means(~left)) / 2
    else:
        found = means(np.ones(len(answers), bool))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(low), float(high)


def _counts(random: np.random.Generator, n: int) -> np.ndarray:
    """Return how often each of n is drawn with replacement, shape (RESAMPLES, n)."""
    return random.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
