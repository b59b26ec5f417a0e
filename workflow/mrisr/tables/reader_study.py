"""The table of a reader study: what readers preferred, and how reliable that is."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.readers.folder import QUESTIONS
from mrisr.readers.statistics import (
    Agreement,
    Mean,
    between,
    compared,
    mean_score,
    once,
    seconds,
    side_preference,
    within,
)
from mrisr.tables.numbers import known, number, signed
from mrisr.tables.table import Block, Entry, Table

COLUMNS = [
    *("dataset", "scale", "method", "compared_with", "quantity", "reader", "question", "n"),
    *("value", "std", "ci_low", "ci_high", "p", "published", "published_std", "difference"),
]
POOLED = "pooled"
DIGITS = 2
#: A bootstrap of fewer subjects covers less than it states.
FEW = 10
ABSENT = Entry("–", "absent")


class _Scores:
    """Statistics of a study's answers, by reader (None for all of them) and question.

    Attributes:
        answers: Answers, as `compared` returns them.
        readers: Readers in order of appearance.
        questions: Questions in order of appearance, key and label.
        rows: Readers and their labels; the last row is all readers together, if there are several.
        counts: Number of scores.
        means: Mean scores; none where there is no score.
        gains: How much more readers prefer the left side, with the ends of the interval.
        times: Times by reader.
        between: By question, agreement between pairs of readers.
        within: By question, agreement of readers with themselves.
    """

    def __init__(self, answers: pd.DataFrame, seed: int):
        self.answers = answers
        self.readers = list(dict.fromkeys(answers["reader"]))
        labels = {entry["key"]: entry["label"] for entry in QUESTIONS}
        keys = dict.fromkeys(answers["question"])
        self.questions = {key: labels.get(key, key.capitalize()) for key in keys}
        self.rows: list[tuple[str | None, str]] = [(name, name) for name in self.readers]
        if len(self.readers) > 1:
            self.rows.append((None, "Pooled"))
        self.counts: dict[tuple, int] = {}
        self.means: dict[tuple, Mean] = {}
        self.gains: dict[tuple, tuple[float, float, float]] = {}
        self.between, self.within = {}, {}
        for question in self.questions:
            asked = answers[answers["question"] == question]
            of = {name: asked[asked["reader"] == name] for name in self.readers}
            for reader, _ in self.rows:
                given = once(asked if reader is None else of[reader])
                self.counts[reader, question] = len(given)
                self.gains[reader, question] = side_preference(given, seed)
                if len(given):
                    self.means[reader, question] = mean_score(given, seed)
            self.between[question] = between(once(asked))
            repeated = {name: within(given) for name, given in of.items()}
            self.within[question] = {
                name: agreement for name, agreement in repeated.items() if agreement.n
            }
        self.times = {
            reader: seconds(answers if reader is None else answers[answers["reader"] == reader])
            for reader, _ in self.rows
        }

    def pooled(self, question: str) -> Mean | None:
        """Return the mean score of all readers."""
        return self.means.get((self.rows[-1][0], question))


def reader_table(
    answers: pd.DataFrame,
    *,
    methods: Sequence[str],
    labels: Sequence[str],
    dataset: str | None = None,
    dataset_label: str | None = None,
    scale: float | None = None,
    published: pd.DataFrame | None = None,
    sources: Sequence[str] = (),
    seed: int,
    where: str = "answers",
) -> Table:
    """Make the table of a reader study.

    Args:
        answers: As `mrisr readers export` writes them with the key.
        methods: The two methods that were compared; scores are those of the first.
        labels: Labels of the methods.
        dataset: Name of the dataset; default that of the answers.
        dataset_label: Label of the dataset; default its name.
        scale: Scale of both methods; default that of the answers.
        published: Columns reader (a name, or `pooled`), score (a question), mean, std.
        sources: Footnotes on published values.
        seed: The study's seed, from which intervals derive.
        where: Name of the answers in messages.

    Returns:
        The table. Its frame has the columns `COLUMNS`, one row for each quantity: `score` (mean,
        std, interval, p), `kappa` and `same_score` (of two readers), `repeat_kappa` and
        `repeat_same_score`, `left_gain`, `seconds_median`, `seconds_q1` and `seconds_q3`.

    Raises:
        InputError: There are no answers, or they are unreadable, see
            `mrisr.readers.statistics.compared`.
    """
    if answers.empty:
        raise InputError(f"{where}: holds no answers; export them once readers have answered")
    scores = _Scores(compared(answers, methods, where), seed)
    dataset = dataset or _only(answers, "dataset")
    scale = scale or _only(answers, "scale")
    place = {"dataset": dataset, "scale": scale_name(scale) if scale else ""}
    base = {**place, "method": methods[0], "compared_with": methods[1]}
    records = [{**base, **record} for record in _records(scores, published)]
    frame = pd.DataFrame(records, columns=COLUMNS)
    first, second = labels
    at = [dataset_label or dataset, f"{place['scale']}×" if scale else ""]
    about = ", ".join([f"{first} compared with {second}", *filter(None, at)])
    return Table(
        frame.astype(dict.fromkeys(COLUMNS[8:], float)),
        [
            _preference(scores, about, place, published),
            *_agreement(scores, about, place),
            _reading(scores, about, place),
        ],
        _footnotes(scores, first, second, published, sources),
    )


def _only(answers: pd.DataFrame, column: str) -> str:
    """Return the value that all answers share in a column; empty if there is none."""
    found = dict.fromkeys(answers[column].astype(str)) if column in answers else {}
    return next(iter(found)) if len(found) == 1 else ""


def _records(scores: _Scores, published: pd.DataFrame | None) -> Iterator[dict]:
    for question in scores.questions:
        for reader, _ in scores.rows:
            if mean := scores.means.get((reader, question)):
                record = {
                    **{"quantity": "score", "reader": reader or POOLED, "question": question},
                    **{"n": mean.n, "value": mean.mean, "std": mean.std},
                    **{"ci_low": mean.low, "ci_high": mean.high, "p": mean.p},
                }
                theirs = _theirs(published, POOLED, question)
                if theirs and mean is scores.pooled(question):
                    record |= {"published": theirs[0], "published_std": theirs[1]}
                    record["difference"] = mean.mean - theirs[0]
                yield record
        for pair, agreement in scores.between[question].items():
            yield from _agreed("", " and ".join(pair), question, agreement)
        for reader, agreement in scores.within[question].items():
            yield from _agreed("repeat_", reader, question, agreement)
        for reader, _ in scores.rows:
            gain, low, high = scores.gains[reader, question]
            yield {
                **{"quantity": "left_gain", "reader": reader or POOLED, "question": question},
                **{"n": scores.counts[reader, question], "value": gain},
                **{"ci_low": low, "ci_high": high},
            }
    for reader, time in scores.times.items():
        for name, value in (("median", time.median), ("q1", time.low), ("q3", time.high)):
            yield {
                **{"quantity": f"seconds_{name}", "reader": reader or POOLED},
                **{"n": time.n, "value": value},
            }


def _agreed(prefix: str, who: str, question: str, agreement: Agreement) -> Iterator[dict]:
    for name, value in (("kappa", agreement.kappa), ("same_score", agreement.same)):
        yield {
            **{"quantity": f"{prefix}{name}", "reader": who, "question": question},
            **{"n": agreement.n, "value": value},
        }


def _theirs(
    published: pd.DataFrame | None, reader: str, question: str
) -> tuple[float, float] | None:
    """Return the published mean and std of a reader and a question."""
    if published is None:
        return None
    found = published[(published["reader"] == reader) & (published["score"] == question)]
    return None if found.empty else tuple(map(float, found[["mean", "std"]].iloc[0]))


def _preference(
    scores: _Scores, about: str, place: Mapping, published: pd.DataFrame | None
) -> Block:
    header = ["Reader"]
    for label in scores.questions.values():
        header += [f"{label}, mean ± std", f"{label}, 95 % interval", f"{label}, p"]
    ours = [
        [
            Entry(label, data=place),
            *(e for q in scores.questions for e in _mean(scores.means.get((reader, q)))),
            _count(max(scores.counts[reader, q] for q in scores.questions)),
        ]
        for reader, label in scores.rows
    ]
    groups, corner = [("", ours)], None
    if published is not None:
        theirs = []
        for reader in dict.fromkeys(published["reader"]):
            row = [Entry("Pooled" if reader == POOLED else f"Reader {reader}", data=place)]
            for question in scores.questions:
                means = _theirs(published, reader, question)
                text = number(*means, DIGITS) if means else ""
                first = means and means[0]
                row += [Entry(text, "published", value=first), Entry(""), Entry("")]
            theirs.append([*row, Entry("")])
        row = [Entry("Pooled", data=place)]
        for question in scores.questions:
            means, mean = _theirs(published, POOLED, question), scores.pooled(question)
            value = mean.mean - means[0] if means and mean else None
            text = "" if value is None else signed(value, DIGITS)
            row += [Entry(text, value=value), Entry(""), Entry("")]
        corner = ""
        groups = [("Ours", ours), ("Published", theirs), ("Difference", [[*row, Entry("")]])]
    starts = tuple(range(1, len(header), 3))
    return Block(about, [*header, "n"], groups, about, starts=starts, corner=corner)


def _mean(mean: Mean | None) -> list[Entry]:
    if mean is None:
        return [ABSENT, Entry(""), Entry("")]
    hint = f"over {mean.n} scores of {mean.subjects} subjects"
    ends = (
        "" if math.isnan(mean.low) else f"{signed(mean.low, DIGITS)} to {signed(mean.high, DIGITS)}"
    )
    return [
        Entry(number(mean.mean, mean.std, DIGITS).replace("-", "−"), hint=hint, value=mean.mean),
        Entry(ends),
        Entry("<0.001" if mean.p < 0.001 else f"{mean.p:.3f}", value=mean.p),
    ]


def _agreement(scores: _Scores, about: str, place: Mapping) -> list[Block]:
    groups = []
    for name, found in (("Between readers", scores.between), ("Within a reader", scores.within)):
        whose = list(dict.fromkeys(key for by_key in found.values() for key in by_key))
        rows = []
        for key in whose:
            label = " and ".join(key) if isinstance(key, tuple) else key
            agreements = [found[question].get(key) for question in scores.questions]
            rows.append(
                [
                    Entry(label, data=place),
                    *(entry for one in agreements for entry in _agreeing(one)),
                    _count(max(one.n for one in agreements if one)),
                ]
            )
        if len(rows) > 1:
            row = [Entry("Mean", data=place)]
            for question in scores.questions:
                agreements = found[question].values()
                kappas = [one.kappa for one in agreements if not math.isnan(one.kappa)]
                same = [one.same for one in agreements if one.n]
                row += _agreeing(
                    Agreement(
                        len(same),
                        float(np.mean(kappas)) if kappas else math.nan,
                        float(np.mean(same)) if same else math.nan,
                    )
                )
            rows.append([*row, Entry("")])
        if rows:
            groups.append((name, rows))
    if not groups:
        return []
    header = ["Readers"]
    for label in scores.questions.values():
        header += [f"{label}, κ", f"{label}, same score"]
    title = f"Agreement: {about}"
    starts = tuple(range(1, len(header), 2))
    return [Block(title, [*header, "n"], groups, title, starts=starts, corner="")]


def _agreeing(agreement: Agreement | None) -> list[Entry]:
    if agreement is None or not agreement.n:
        return [ABSENT, ABSENT]
    kappa = ABSENT
    if not math.isnan(agreement.kappa):
        kappa = Entry(f"{agreement.kappa:.{DIGITS}f}".replace("-", "−"), value=agreement.kappa)
    return [kappa, Entry(f"{100 * agreement.same:.0f} %", value=agreement.same)]


def _reading(scores: _Scores, about: str, place: Mapping) -> Block:
    header = ["Reader", "Time per case, s"]
    header += [f"{label}, gain of the left side" for label in scores.questions.values()]
    rows = []
    for reader, label in scores.rows:
        times = scores.times[reader]
        time = f"{times.median:.1f} ({times.low:.1f} to {times.high:.1f})"
        row = [Entry(label, data=place), Entry(time, value=known(times.median))]
        for question in scores.questions:
            gain, low, high = scores.gains[reader, question]
            if math.isnan(gain):
                row.append(ABSENT)
                continue
            ends = f" ({signed(low, DIGITS)} to {signed(high, DIGITS)})"
            text = signed(gain, DIGITS) + ("" if math.isnan(low) else ends)
            row.append(Entry(text, value=gain))
        rows.append([*row, _count(times.n)])
    title = f"Reading: {about}"
    return Block(title, [*header, "n"], [("", rows)], title, corner=None)


def _count(n: int) -> Entry:
    return Entry(str(n), value=n)


def _footnotes(
    scores: _Scores,
    first: str,
    second: str,
    published: pd.DataFrame | None,
    sources: Sequence[str],
) -> list[str]:
    subjects = scores.answers["subject"].nunique()
    several = len(scores.readers) > 1
    found = [
        f"Scores of {first} compared with {second}: −2 much worse, −1 slightly worse, 0 no"
        " different, 1 slightly better, 2 much better. Pairs in a drawn order, on drawn sides,"
        " without names.",
        f"n scores of {subjects} subject{'s' * (subjects != 1)}; mean ± standard deviation of the"
        " scores.",
        "95 % intervals: percentile bootstrap of the mean in which subjects are drawn, each with"
        " all its cases"
        + (
            "; for what is pooled, readers and subjects are drawn, independently, so that it is"
            f" about other readers too ({len(scores.readers)} readers are few for that)."
            if several
            else "."
        ),
        "p: two-sided Wilcoxon signed-rank test of the subjects' mean scores against 0, zeros left"
        " out (Wilcoxon's way), not adjusted for the number of tests.",
    ]
    if subjects < FEW:
        least = " and no p can be below 0.05" if subjects < 6 else ""
        found.append(
            f"With {subjects} subject{'s' * (subjects != 1)}, intervals are narrower than they"
            f" should be{least}."
        )
    if several:
        found.append(
            "κ: Cohen's with quadratic weights, of the scores of the cases that both readers"
            " answered; it is low, whatever readers agree on, where nearly all scores are the same,"
            " and not defined (–) where all are."
        )
        of = {name: scores.answers["reader"] == name for name in scores.readers}
        cases = {name: frozenset(scores.answers.loc[rows, "case"]) for name, rows in of.items()}
        if len(set(cases.values())) > 1:
            each = ", ".join(f"{name} {len(names)}" for name, names in cases.items())
            found.append(f"Readers did not all answer the same cases: {each}.")
    if (repeats := scores.answers["repeat_of"].fillna("").ne("")).any():
        count = scores.answers.loc[repeats, "case"].nunique()
        found.append(
            f"{count} cases came twice, with sides changed; the second time counts for the"
            " agreement within a reader and for the time alone."
        )
    found.append(
        "Time per case: median and quartiles of the seconds that a case was on screen. Gain of the"
        " left side: half the difference between the mean scores with"
        f" {first} on the left and on the right, with its 95 % interval; 0 if sides do not matter."
    )
    if published is not None:
        found += [*sources, "Difference: ours minus published, all readers pooled."]
    return found
