"""What the table of a reader study says of answers whose truth is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr.common.errors import InputError
from mrisr.common.statistics import wilcoxon
from mrisr.readers import statistics
from mrisr.readers.export import export
from mrisr.readers.key import read_key
from mrisr.readers.statistics import agreement, between, compared, mean_score, side_preference
from mrisr.readers.store import Store
from mrisr.tables.from_files import readers
from mrisr.tables.reader_study import COLUMNS, reader_table
from reader_scans import METHODS, make_study

QUESTIONS = ("noise", "sharpness")


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)


def frame(values, subjects=4, questions=QUESTIONS, seed=0):
    """Answers of readers with these scores of the first method: shape (reader, case, question)."""
    values = np.asarray(values)
    left = np.random.default_rng(seed).random(values.shape[:2]) < 0.5
    rows = []
    for reader, case, question in np.ndindex(values.shape):
        sides = METHODS if left[reader, case] else METHODS[::-1]
        rows.append(
            {
                **{"reader": f"R{reader + 1}", "case": f"case-{case + 1:03d}"},
                **{"question": questions[question], "seconds": 10.0 + case},
                "score": values[reader, case, question] * (1 if left[reader, case] else -1),
                **dict(zip(("left_method", "right_method"), sides, strict=True)),
                **{"repeat_of": "", "subject": f"sub-{case % subjects:02d}"},
            }
        )
    return pd.DataFrame(rows)


def table(answers, methods=METHODS, **options):
    given = {"labels": methods, "dataset": "knees", "scale": 2, "seed": 1}
    return reader_table(answers, methods=methods, **{**given, **options})


def simulate(study, path, preference, names=("R1", "R2"), key=None):
    """Let readers answer a study who see which image is by the first method."""
    key = read_key(study.folder.with_name("key.csv"))
    with Store(study, create=True) as store:
        for index, name in enumerate(names):
            store.add_reader(name)
            reader = store.readers()[-1]
            for number, shown in enumerate(store.cases(reader)):
                side = 1 if key[shown.name].methods[shown.left] == METHODS[0] else -1
                scores = {q: side * preference(index, key[shown.name].item, q) for q in QUESTIONS}
                for revision in range(2):  # the first answer was wrong
                    given = scores if revision else {q: 0 for q in QUESTIONS}
                    store.save(reader, shown.name, f"{number}-{revision}", given, 2.5, revision)
        export(store, path, key)


def test_simulated_readers_give_back_what_they_prefer(tmp_path):
    """From pairs to table: wherever an image is shown, whatever was answered first."""
    study = make_study(tmp_path, 12, repeats=3)
    wanted = {"noise": (1, 2), "sharpness": (-1, 0)}

    def preference(reader, item, question):
        # Odd slices as wanted, even ones a step less.
        return wanted[question][reader] - item.endswith("2")

    simulate(study, tmp_path / "answers.csv", preference)
    made = readers(tmp_path / "answers.csv", methods=METHODS, labels=METHODS, seed=1)
    found = made.frame.set_index(["quantity", "reader", "question"])["value"].sort_index()
    for question, both in wanted.items():
        for name, value in zip(("R1", "R2"), both, strict=True):
            assert found["score", name, question] == value - 0.5
            assert found["repeat_kappa", name, question] == 1
            assert found["left_gain", name, question] == pytest.approx(0, abs=0.6)
        assert found["score", "pooled", question] == sum(both) / 2 - 0.5
        # R2 is above R1 by one, throughout: spread 0.25 each, distance 1.
        assert found["kappa", "R1 and R2", question] == pytest.approx(1 - 1 / 1.5)
        assert found["same_score", "R1 and R2", question] == 0
    counts = made.frame.set_index(["quantity", "reader", "question"])["n"]
    assert counts["score", "R1", "noise"] == 12 and counts["repeat_kappa", "R1", "noise"] == 3
    assert found.loc[("seconds_median", "R1", slice(None))].item() == 5.0  # both times together
    text = made.markdown()
    assert "3 cases came twice" in text and "| Pooled |" in text and "knees, 2×" in text


def test_other_methods_columns_and_scores_are_refused(tmp_path):
    answers = frame(np.ones((1, 4, 2), int))
    for change, message in (
        (answers.drop(columns="left_method"), "lacks the columns left_method; write it"),
        (answers.assign(left_method="cubic"), "compares .*cubic.*, not coord_2x and conv"),
        (answers.assign(score=3), "not one of -2 to 2"),
        (pd.concat([answers, answers[:1]]), "answered twice"),
        (answers[:0], "holds no answers"),
    ):
        with pytest.raises(InputError, match=message):
            table(change)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty.csv: holds no answers"):
        readers(tmp_path / "empty.csv", methods=METHODS, labels=METHODS, seed=1)


def test_means_intervals_and_tests_are_those_of_plain_definitions():
    values = np.random.default_rng(3).integers(-1, 3, (1, 12, 1))
    answers = compared(frame(values, subjects=12, questions=("noise",)), METHODS)
    its = mean_score(answers, 1)
    assert (its.mean, its.std) == (values.mean(), pytest.approx(values.std(ddof=1)))
    assert (its.n, its.subjects) == (12, 12)
    # A case a subject, one reader: the plain bootstrap, but for its draws.
    draws = np.random.default_rng(5).integers(12, size=(10_000, 12))
    low, high = np.quantile(values.ravel()[draws].mean(axis=1), [0.025, 0.975])
    assert (its.low, its.high) == (pytest.approx(low, abs=0.1), pytest.approx(high, abs=0.1))
    assert its.p == wilcoxon(values.ravel())


def test_slices_of_one_subject_are_no_independent_cases():
    """Twenty slices of each of four subjects, all alike: as sure as four cases, not as eighty."""
    by_subject = np.array([2, 1, 0, 1])
    values = np.tile(by_subject, 20)[None, :, None]
    many = mean_score(compared(frame(values, questions=("noise",)), METHODS), 1)
    few = mean_score(compared(frame(values[:, :4], questions=("noise",)), METHODS), 1)
    assert (many.n, many.subjects) == (80, 4)
    assert (many.mean, many.low, many.high, many.p) == (few.mean, few.low, few.high, few.p)


def test_a_pooled_interval_is_about_other_readers_too():
    """Readers who differ, and agree with themselves throughout: as wide as what they say."""
    values = np.repeat(np.array([0, 1, 2])[:, None, None], 12, axis=1)
    answers = compared(frame(values, subjects=12, questions=("noise",)), METHODS)
    pooled = mean_score(answers, 1)
    assert pooled.mean == 1 and pooled.low == pytest.approx(0.0, abs=0.35)
    assert pooled.high == pytest.approx(2.0, abs=0.35)
    alone = mean_score(answers[answers["reader"] == "R2"], 1)
    assert (alone.low, alone.high) == (1, 1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Subjects and readers with effects of their own, 5 readers of 20 subjects, true mean 0.3."""
    random, covered = np.random.default_rng(0), 0
    for number in range(60):
        effects = 0.5 * random.normal(size=(5, 1)) + 0.5 * random.normal(size=(1, 20))
        values = np.clip(np.round(0.3 + effects + 0.5 * random.normal(size=(5, 20))), -2, 2)
        answers = compared(frame(values.astype(int)[..., None], 20, ("noise",), number), METHODS)
        its = mean_score(answers, number)
        covered += its.low <= 0.3 <= its.high
    # Of 95 %: a percentile bootstrap of five readers is a little short of it.
    assert 48 <= covered <= 60


def test_a_single_subject_has_no_interval_and_is_said_to_be_few():
    made = table(frame(np.ones((2, 3, 2), int), subjects=1))
    scores = made.frame.query("quantity == 'score'")
    assert scores[["ci_low", "ci_high"]].isna().all().all()
    assert "With 1 subject, intervals are narrower" in made.markdown()


@pytest.mark.parametrize(
    "first, second, kappa",
    [
        ([1, 2, 0, -1], [1, 2, 0, -1], 1),
        # By hand: squares of differences sum to 2 over the 4 cases, to 40 over all 16 pairs.
        ([2, 1, 0, -1], [2, 2, 0, 0], 1 - (2 / 4) / (40 / 16)),
        ([1, 0, 0, 2, -2, 1, 1], [1, 1, 0, 1, -1, 2, 0], None),
        ([2, -2], [-2, 2], -1),
    ],
)
def test_kappa_is_that_of_its_definition(first, second, kappa):
    its = agreement(first, second)
    a, b = np.array(first), np.array(second)
    # By the table of agreement: weights (i - j)^2, observed and expected proportions.
    levels = range(-2, 3)
    observed = sum((i - j) ** 2 * np.mean((a == i) & (b == j)) for i in levels for j in levels)
    expected = sum((i - j) ** 2 * np.mean(a == i) * np.mean(b == j) for i in levels for j in levels)
    assert its.kappa == pytest.approx(1 - observed / expected)
    if kappa is not None:
        assert its.kappa == pytest.approx(kappa)
    assert its.same == np.mean(a == b)


def test_weighted_kappa_of_two_classes_is_cohens():
    """Textbook table 20, 5; 10, 15: observed 0.7, expected 0.5, kappa 0.4."""
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert agreement(first, second).kappa == pytest.approx(0.4)


def test_kappa_is_unknown_where_all_scores_are_one():
    its = agreement([0, 0], [0, 0])
    assert math.isnan(its.kappa) and its.same == 1 and its.n == 2
    made = table(frame(np.zeros((2, 5, 2), int)))
    assert "*–*" in made.markdown() and "not defined" in made.markdown()


def test_readers_are_compared_on_the_cases_that_both_answered():
    answers = frame(np.ones((2, 5, 1), int), questions=("noise",))
    answers = answers[(answers["reader"] == "R1") | (answers["case"] < "case-003")]
    assert between(compared(answers, METHODS))["R1", "R2"].n == 2
    assert "did not all answer the same cases: R1 5, R2 2" in table(answers).markdown()


def test_a_preference_for_a_side_is_seen_and_is_none_for_a_method():
    """A reader who finds the left image better by one, whatever it is."""
    answers = frame(np.zeros((1, 40, 1), int), questions=("noise",)).assign(score=1)
    its = compared(answers, METHODS)
    gain, low, high = side_preference(its, 1)
    assert (gain, low, high) == (1, 1, 1)
    share = its["first_left"].mean()
    assert mean_score(its, 1).mean == pytest.approx(2 * share - 1)
    only = its[its["first_left"]]
    assert all(map(math.isnan, side_preference(only, 1)))


SCORES = st.lists(st.tuples(*[st.integers(-2, 2)] * 4), min_size=2, max_size=8).map(
    lambda rows: np.array(rows).T.reshape(2, 2, -1).transpose(0, 2, 1)
)


@settings(max_examples=6, deadline=None)
@given(SCORES, st.integers(0, 5))
def test_swapping_methods_changes_signs_and_nothing_else(values, seed):
    answers = frame(values, seed=seed)
    ours, theirs = table(answers).frame, table(answers, METHODS[::-1]).frame
    same = [
        c for c in COLUMNS if c not in ("method", "compared_with", "value", "ci_low", "ci_high")
    ]
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    score = ours["quantity"] == "score"
    for column, other in (("value", "value"), ("ci_low", "ci_high"), ("ci_high", "ci_low")):
        sign = np.where(score, -1, 1)
        # The gain of the left side does not turn, nor do its ends.
        wanted = np.where(score, theirs[other], theirs[column]) * sign
        np.testing.assert_allclose(ours[column], wanted, atol=1e-9)


@settings(max_examples=6, deadline=None)
@given(SCORES, st.integers(0, 5))
def test_swapping_sides_changes_nothing_but_the_preference_for_one(values, seed):
    answers = frame(values, seed=seed)
    across = answers.assign(
        score=-answers["score"],
        left_method=answers["right_method"],
        right_method=answers["left_method"],
    )
    ours, theirs = table(answers).frame, table(across).frame
    score = ours["quantity"] != "left_gain"
    pd.testing.assert_frame_equal(ours[score], theirs[score])
    np.testing.assert_allclose(ours["value"][~score], -theirs["value"][~score], atol=1e-9)


def test_published_means_stand_beside_ours_with_the_difference():
    published = pd.DataFrame(
        [("1", "noise", 0.70, 0.64), ("pooled", "noise", 0.74, 0.56)],
        columns=["reader", "score", "mean", "std"],
    )
    made = table(frame(np.ones((2, 6, 2), int)), published=published, sources=["Published: X."])
    pooled = made.frame.query("quantity == 'score' and reader == 'pooled'").set_index("question")
    assert pooled.loc["noise", "difference"] == pytest.approx(0.26)
    assert math.isnan(pooled.loc["sharpness", "difference"])
    text = made.markdown()
    assert "| Published | Reader 1 | 0.70 ± 0.64 |" in text
    assert "| Difference | Pooled | +0.26 |" in text and "- Published: X." in text
    alone = table(frame(np.ones((1, 6, 2), int)), published=published).frame
    assert alone.query("quantity == 'score'")["difference"].dropna().tolist() == [
        pytest.approx(0.26)
    ]


def test_all_forms_of_the_table_are_written(tmp_path):
    table(frame(np.ones((2, 6, 2), int))).write(tmp_path / "reader_study")
    for suffix, part in (("csv", "left_gain"), ("md", "κ"), ("tex", r"\toprule"), ("html", "<h3>")):
        assert part in (tmp_path / f"reader_study.{suffix}").read_text(encoding="utf-8")
    again = pd.read_csv(tmp_path / "reader_study.csv")
    assert again.columns.tolist() == COLUMNS
