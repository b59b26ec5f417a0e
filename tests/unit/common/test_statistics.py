import math
import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import coverage
from mrisr.common.errors import InputError
from mrisr.common.statistics import (
    critical_difference,
    effect_size,
    equivalence,
    friedman,
    holm,
    kendall,
    mean_interval,
    mean_ranks,
    rank_intervals,
    superiority,
    wilcoxon,
)

NUMBERS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=5, max_size=12)
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
# Darwin's cross- and self-fertilised maize, in eighths of an inch (Fisher 1935, Table 3).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


@settings(max_examples=30, deadline=None)
@given(values=NUMBERS, gain=st.floats(0.1, 10), offset=st.floats(-50, 50))
def test_an_interval_holds_the_mean_and_moves_with_the_values(values, gain, offset):
    values = np.array(values)
    low, high = mean_interval(values)
    assert low <= values.mean() <= high
    moved = mean_interval(gain * values + offset)
    assert moved == pytest.approx((gain * low + offset, gain * high + offset), abs=1e-8)


def test_the_interval_is_that_of_darwins_maize():
    # Fisher, The Design of Experiments, 17: t of 14 degrees of freedom is 2.145 at 5 %.
    low, high = mean_interval(MAIZE)
    assert (low + high) / 2 == pytest.approx(20.933, abs=1e-3)
    assert (high - low) / 2 == pytest.approx(2.145 * 9.746, abs=0.01)
    inner = mean_interval(MAIZE, confidence=0.5)
    assert low < inner[0] < np.mean(MAIZE) < inner[1] < high


@pytest.mark.parametrize("n", [5, 10, 30])
def test_95_of_100_intervals_hold_the_mean(n):
    samples = np.random.default_rng(n).normal(30, 2, (4000, n))
    ends = np.array([mean_interval(sample) for sample in samples])
    held = ((ends[:, 0] <= 30) & (ends[:, 1] >= 30)).mean()
    assert 0.94 <= held <= 0.96
    # As the command that prints the table of coverage has it; a percentile bootstrap falls short.
    np.testing.assert_allclose(ends.T, coverage.student(samples), rtol=1e-12)
    assert coverage.coverage(coverage.percentile, "normal", n, 1000) < held


@pytest.mark.parametrize(
    "values", [[], [3.0], [1.0, 2.0, 3.0, 4.0], [1.0] * 5 + [math.inf], [1.0] * 5 + [math.nan]]
)
def test_no_interval_where_there_is_none(values):
    assert all(map(math.isnan, mean_interval(values)))


def test_wilcoxon_of_darwins_maize():
    # W- = 10 + 14 = 24: the probability of at most 24 among 2^15 sums of ranks is 676 / 2^15.
    assert wilcoxon(MAIZE) == pytest.approx(2 * 676 / 2**15, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(differences=st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_wilcoxon_counts_all_signs_with_ties_and_zeros(differences):
    kept = [d for d in differences if d]
    ranks = stats.rankdata(np.abs(kept)) if kept else np.zeros(0)
    middle = ranks.sum() / 2
    off = abs(ranks[np.array(kept) > 0].sum() - middle) if kept else 0
    sums = np.array([ranks @ np.array(signs) for signs in product((0, 1), repeat=len(kept))])
    wanted = (np.abs(sums - middle) >= off - 1e-9).mean()
    assert wilcoxon(differences) == pytest.approx(wanted)
    assert wilcoxon([-d for d in differences]) == pytest.approx(wanted)


@pytest.mark.parametrize("n", [7, 20, 50])
def test_wilcoxon_of_equal_steps_is_the_sign_test(n):
    differences = np.where(np.arange(n) < n // 3, -1.0, 1.0)
    for alternative in ("two-sided", "less", "greater"):
        wanted = stats.binomtest(n - n // 3, n, alternative=alternative).pvalue
        assert wilcoxon(differences, alternative) == pytest.approx(wanted, rel=1e-12)


def test_wilcoxon_of_many_differences_and_of_none():
    random = np.random.default_rng(2)
    assert wilcoxon(random.normal(1, 1, 200)) < 1e-10
    assert wilcoxon(np.tile([1.0, -1.0], 40)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wilcoxon([0.0, 0.0, 0.0]) == wilcoxon([0.0]) == 1
    with pytest.raises(InputError, match="NaN"):
        wilcoxon([1.0, math.nan])


def test_wilcoxon_leaves_its_argument_alone():
    differences = np.array([0.0, 1, 1, -2])
    wilcoxon(differences)
    np.testing.assert_array_equal(differences, [0, 1, 1, -2])


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.02, 0.02, 0.9, 0.001], [1, 0.08, 0.08, 1, 0.005]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(p, wanted):
    np.testing.assert_allclose(holm(p), wanted)


@given(p=PROBABILITIES)
def test_holm_keeps_order_and_lies_between_no_correction_and_bonferronis(p):
    p = np.array(p)
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, len(p) * p)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    np.testing.assert_array_equal(holm(p[::-1]), adjusted[::-1])


@pytest.mark.parametrize("p", [[0.1, math.nan], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_probability(p):
    with pytest.raises(InputError, match="p: "):
        holm(p)


def test_effect_size_and_superiority_by_hand():
    assert effect_size([1, 2, 3]) == 2 and math.isnan(effect_size([1, 1]))
    assert superiority([1, -1, 0, 2]) == 0.625 and math.isnan(superiority([]))


def test_equivalence_is_two_t_tests():
    values = np.random.default_rng(2).normal(0.02, 0.1, 20)
    low = stats.ttest_1samp(values, -0.1, alternative="greater").pvalue
    high = stats.ttest_1samp(values, 0.1, alternative="less").pvalue
    assert equivalence(values, 0.1) == pytest.approx(max(low, high), rel=1e-9)
    assert equivalence([0.0] * 5, 0.1) == 0 and equivalence([0.2] * 5, 0.1) == 1
    assert math.isnan(equivalence(values[:4], 0.1)) and math.isnan(equivalence(values, 0))


def test_kendall_is_scipys():
    random = np.random.default_rng(3)
    a, b = random.integers(5, size=(2, 12))  # with ties
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
    assert math.isnan(kendall([1, 1], [1, 2]))


def test_ranks_of_methods_and_how_sure_they_are():
    scores = np.array([[3.0, 2.0, 1.0]] * 5 + [[3.0, 1.0, 2.0]])
    np.testing.assert_allclose(mean_ranks(scores), [1, 13 / 6, 17 / 6])
    assert friedman(scores)[0] == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    # Demsar 2006, Table 5 (a): q = 2.343 of 3 classifiers.
    assert critical_difference(3, 6) == pytest.approx(2.343 * (3 * 4 / 36) ** 0.5, abs=1e-3)
    low, high = rank_intervals(scores, 1)
    assert low.tolist() == [1, 2, 2] and high.tolist()[0] == 1 and high.tolist()[2] == 3
