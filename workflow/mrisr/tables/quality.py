"""The quality table: all measured values, with everything needed to read them.

Rows have marks for their training and for their comparison with the baseline; marked rows are
ranked too. Metrics without a better direction explain the others and have a block of their own.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, mean_interval
from mrisr.evaluate.controls import OUT_OF_ORDER, out_of_order
from mrisr.evaluate.measured import (
    MARKS,
    NOT_ABOVE,
    PARTLY,
    Column,
    Row,
    columns,
    has_ground_truth,
    heading,
    held_by,
    margin,
    places,
    read_rows,
)
from mrisr.tables import footnotes
from mrisr.tables.numbers import INTERVAL, interval, known, number, signed
from mrisr.tables.ranking import ranks
from mrisr.tables.table import Block, Entry, Table

COLUMNS = [
    *("dataset", "scale", "method", "metric", "region", "n", "mean", "std", "ci_low", "ci_high"),
    *("seeds", "std_seeds", "published_mean", "published_std", "note"),
]
NUMBERS = ("mean", "std", "ci_low", "ci_high", "std_seeds", "published_mean", "published_std")
UNMEASURED = "unmeasured"
MISSING, UNAVAILABLE, NO_TRUTH = "missing", "unavailable", "no ground truth"
EACH = "each subject"
SEEDS = "± between seeds"
FIT = "fit of SR = gain × ground truth + offset"


def quality_table(
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> Table:
    """Make the quality table of a study.

    Args:
        cells: One for each dataset, scale and method, in the order to print; see
            `mrisr.evaluate.measured.read_rows`.
        published: Published values, columns dataset, scale, method, metric, region, mean, std and
            optionally source (a footnote); dataset as the study names it.
        notes: The caller's footnotes by topic: degradation, crop, mask, data range, seed, preset.
        baseline: Name of the method that learned ones are compared with, None for no test; see
            `mrisr.evaluate.measured.read_rows`.
        metrics: Names in printed order; default those found in the CSVs.
        regions: Default those found in the CSVs.
        margins: By metric, the difference of means that does not matter; default that of the
            metric.
        unavailable: Why metrics could not be computed, by name. Their columns stay, empty.

    Returns:
        The table; its frame has the columns `COLUMNS`, one row for each dataset, scale, method,
        metric and region. A row without values has n = 0 and a note: `missing` if it has no CSV,
        `unavailable`, `unmeasured`, `no ground truth`, or `skipped` with the reason.

    Raises:
        InputError: A metrics CSV is damaged, incomplete or holds NaN.
    """
    reasons = unavailable or {}
    rows = read_rows(cells, baseline)
    shown = columns(rows, metrics, regions, reasons)
    disorder = out_of_order(rows, [c for c in shown if _better(c)], baseline)
    beside = {} if published is None else _published(published)
    records = []
    for row in rows:
        key = (row.cell["dataset"], float(row.cell["scale"]), row.cell["method"])
        for column in shown:
            said = [*row.remarks, *_absence(row, column, reasons)]
            said += [PARTLY] if column in row.values and _partly(row.values[column]) else []
            said += [OUT_OF_ORDER] if (key[0], column) in disorder else []
            paper = beside.get((*key, *column), (math.nan, math.nan))
            place = (key[0], row.cell["scale"], key[2], *column)
            summary = _summary(row.values.get(column))
            there = column in row.values
            seeds = len(row.trainings) if there else 0
            spread = row.between_seeds(column) if there else math.nan
            records.append((*place, *summary, seeds, spread, *paper, "; ".join(said)))
    frame = pd.DataFrame(records, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, float))
    lines = list(frame.itertuples(index=False))
    width = len(shown)
    by_row = [
        (row, dict(zip(shown, lines[i * width : (i + 1) * width], strict=True)))
        for i, row in enumerate(rows)
    ]
    blocks = _blocks(by_row, shown, reasons, disorder, margins or {})
    ranked = any(block.ranked for block in blocks)
    told = _footnotes(rows, shown, frame, notes or {}, published, baseline, reasons, disorder)
    return Table(frame, blocks, [*_reading(shown, margins or {}, ranked), *told])


def _absence(row: Row, column: Column, unavailable: Mapping[str, str]) -> list[str]:
    """Return the note of an entry without values in a row that was not skipped."""
    if row.cell["skipped"] or column in row.values or MISSING in row.remarks:
        return []
    if not has_ground_truth(row) and metric_modules.metadata(column[0]).reference:
        return [NO_TRUTH]
    if column in row.unmeasured:
        return [UNMEASURED]
    return [UNAVAILABLE if column[0] in unavailable else MISSING]


def _better(column: Column) -> str:
    """Return the better direction of a column; empty if there is none."""
    return metric_modules.metadata(column[0]).better


def _summary(scores: pd.Series | None) -> tuple[int, float, float, float, float]:
    """Return n, mean, sample standard deviation, interval; NaN where they do not exist."""
    if scores is None:
        return 0, *[math.nan] * 4
    data = scores.to_numpy()
    known = len(data) > 1 and bool(np.isfinite(data).all())
    std = float(np.std(data, ddof=1)) if known else math.nan
    return len(data), float(np.mean(data)), std, *mean_interval(data)


def _published(frame: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    names = ["dataset", "scale", "method", "metric", "region", "mean", "std"]
    return {
        (dataset, float(scale), *key): (mean, std)
        for dataset, scale, *key, mean, std in frame[names].itertuples(index=False)
    }


def _blocks(
    by_row: Sequence[tuple[Row, Mapping]],
    shown: Sequence[Column],
    unavailable: Mapping[str, str],
    disorder: Mapping[tuple[str, Column], str],
    margins: Mapping[str, float],
) -> list[Block]:
    """Return the printed blocks: for each dataset the ranked metrics, then the explaining ones."""
    ranked = [c for c in shown if _better(c)]
    explaining = [c for c in shown if c not in ranked]
    blocks = []
    for dataset in dict.fromkeys(row.cell["dataset"] for row, _ in by_row):
        inside = [(row, entries) for row, entries in by_row if row.cell["dataset"] == dataset]
        label = str(inside[0][0].cell["dataset_label"])
        unranked = {column for where, column in disorder if where == dataset}
        if ranked or not explaining:
            caption = f"Image quality on {label}"
            blocks.append(_block(inside, ranked, unavailable, label, caption, unranked, margins))
        if explaining and any(has_ground_truth(row) for row, _ in inside):
            title, caption = f"{label}: {FIT}", f"{FIT[0].upper()}{FIT[1:]} on {label}"
            blocks.append(_block(inside, explaining, unavailable, title, caption, (), margins))
    return blocks


def _block(
    by_row: Sequence[tuple[Row, Mapping]],
    shown: Sequence[Column],
    unavailable: Mapping[str, str],
    title: str,
    caption: str,
    unranked: Collection[Column],
    margins: Mapping[str, float],
) -> Block:
    """Return a block of some columns of a dataset, with a group a scale, as in ArSSR, Table 1."""
    beside = {
        c for c in shown for _, entries in by_row if not math.isnan(entries[c].published_mean)
    }
    header, starts = ["Method"], []
    for column in shown:
        starts.append(len(header))
        apart = " (not ranked)" if column in unranked else ""
        header += [heading(*column) + apart, *(["published"] if column in beside else [])]
    groups = []
    for scale in dict.fromkeys(row.cell["scale"] for row, _ in by_row):
        members = [(row, entries) for row, entries in by_row if row.cell["scale"] == scale]
        styles = {
            c: ranks(
                {i: entries[c].mean for i, (row, entries) in enumerate(members) if _ranks(row, c)},
                "" if c in unranked else _better(c),
                margin(c[0], margins),
            )
            for c in shown
        }
        lines = []
        for i, (row, entries) in enumerate(members):
            about = {k: str(row.cell[k]) for k in ("dataset", "method")}
            about["scale"] = scale_name(row.cell["scale"])
            line = [Entry(_name(row), data=about, below=_second_lines(row, shown))]
            for c in shown:
                line.append(_entry(entries[c], row, unavailable, styles[c].get(i, "")))
                if c in beside:
                    digits = metric_modules.metadata(c[0]).digits
                    text = number(entries[c].published_mean, entries[c].published_std, digits)
                    value = known(entries[c].published_mean)
                    line.append(Entry(text, "published", value=value, data=_about(c)))
            n = max(entries[c].n for c in shown) if shown else None
            line.append(Entry("" if n is None else str(n), value=n))
            lines.append(line)
        groups.append((f"{scale_name(scale)}×", lines))
    below = INTERVAL if any(line[0].below for _, lines in groups for line in lines) else ""
    return Block(title, [*header, "n"], groups, caption, tuple(starts), below=below)


def _ranks(row: Row, column: Column) -> bool:
    """Say whether a column ranks a row; a mean with some infinite values is not ranked."""
    return row.ranked and not (column in row.values and _partly(row.values[column]))


def _partly(scores: pd.Series) -> bool:
    """Say whether some, but not all, of the values are infinite."""
    infinite = np.isinf(scores)
    return bool(infinite.any() and not infinite.all())


def _name(row: Row) -> str:
    """Return a method's label with its marks."""
    marks = "".join(mark for note, mark in MARKS.items() if note in row.remarks)
    return f"{row.label}{' (control)' if row.cell['control'] else ''}{marks}"


def _entry(record: tuple, row: Row, unavailable: Mapping[str, str], style: str) -> Entry:
    if row.cell["skipped"]:
        return Entry("n/a", "absent")
    if not record.n:
        absence = _absence(row, (record.metric, record.region), unavailable)
        word = {MISSING: MISSING, UNMEASURED: UNMEASURED}
        return Entry(word.get((absence or [MISSING])[0], "–"), "absent")
    digits = metric_modules.metadata(record.metric).digits
    column = (record.metric, record.region)
    infinite = int(np.isinf(row.values[column]).sum())
    if 0 < infinite < record.n:
        return Entry(f"∞ in {infinite} of {record.n}", "absent", data=_about(column))
    text = number(record.mean, record.std, digits)
    below = _second_line(row.values[column], (record.ci_low, record.ci_high), digits)
    if not math.isnan(record.std_seeds):
        below = "; ".join(filter(None, [below, f"± {number(record.std_seeds, digits=digits)}"]))
    return Entry(text, style, below=below, value=known(record.mean), data=_about(column))


def _second_line(scores: pd.Series, ends: tuple[float, float], digits: int) -> str:
    """Return the line below a mean: its interval, or each subject if there are too few of them."""
    if not math.isnan(ends[0]):
        return interval(*ends, digits)
    if 1 < len(scores) < FEWEST:
        return ", ".join(number(score, digits=digits) for score in scores)
    return ""


def _second_lines(row: Row, shown: Sequence[Column]) -> str:
    """Return the label of a row's second lines; empty if it has none."""
    counts = {len(row.values[column]) for column in shown if column in row.values}
    n = max(counts, default=0)
    first = INTERVAL if n >= FEWEST else EACH if n > 1 else ""
    return "; ".join(filter(None, [first, SEEDS if len(row.trainings) > 1 else ""]))


def _about(column: Column) -> dict[str, str]:
    return dict(zip(("metric", "region"), column, strict=True))


def _footnotes(
    rows: Sequence[Row],
    shown: Sequence[Column],
    frame: pd.DataFrame,
    notes: Mapping[str, str],
    published: pd.DataFrame | None,
    baseline: str | None,
    unavailable: Mapping[str, str],
    disorder: Mapping[tuple[str, Column], str],
) -> list[str]:
    cells = [row.cell for row in rows]
    found = []
    if frame["ci_low"].notna().any():
        found.append(
            "In brackets: Student's t interval of the mean over subjects, which covers it 95 times"
            " of 100 if values are normal."
        )
    if frame["n"].between(2, FEWEST - 1).any():
        found.append(f"Fewer than {FEWEST} subjects have no interval; the value of each is shown.")
    if any(not metric_modules.metadata(metric).better for metric, _ in shown):
        found.append(
            "Gain and offset: least-squares fit of SR = gain × ground truth + offset over the"
            " region's voxels, the offset in fractions of the data range; 1 and 0 where intensities"
            " are kept. They explain the other values, and are neither ranked nor tested."
        )
    found += _unranked(disorder, cells)
    if any(row.unmeasured for row in rows):
        names = dict.fromkeys(metric for row in rows for metric, _ in row.unmeasured)
        labels = ", ".join(metric_modules.metadata(name).label for name in names)
        found.append(
            f"unmeasured: in some subject {labels} found no edge in any slice. Missing is not"
            " worst: such rows are not ranked by it."
        )
    if np.isinf(frame["mean"]).any():
        found.append(
            "∞: equal to the ground truth. Where only some subjects are, there is no mean to rank"
            " by."
        )
    found += footnotes.topics(notes)

    def where(remark: str) -> str:
        return places([row.cell for row in rows if remark in row.remarks], cells)

    said = {remark: where(remark) for row in rows for remark in row.remarks}
    if NOT_ABOVE in said:
        said[NOT_ABOVE] = "; ".join(_held(row, cells) for row in rows if NOT_ABOVE in row.remarks)
    base = next((c["method_label"] for c in cells if c["method"] == baseline), baseline)
    found += footnotes.marks(said, base, held_by(cells, shown))
    found += footnotes.training(cells)
    found += footnotes.several_trainings(cells)
    found += footnotes.skipped(said)
    found += _missing(rows, shown, unavailable)
    found += footnotes.unavailable([metric for metric, _ in shown], unavailable)
    if frame["published_mean"].notna().any():
        sources = published["source"].dropna().unique() if "source" in published else []
        found += [str(source) for source in sources] or [
            "published: as the paper printed it, over the volume."
        ]
    return found + footnotes.simulated(cells)


def _reading(shown: Sequence[Column], margins: Mapping[str, float], ranked: bool) -> list[str]:
    """Return how to read a cell, and what bold means if anything can be bold."""
    widths = footnotes.margins(shown, margins)
    within = f", with all that lie within a margin of it ({widths})" if widths else ""
    best = (
        f" For each scale and column the best is bold{within}; the second best is underlined, if"
        " one alone is bold."
    )
    return [
        f"Mean ± sample standard deviation over n test subjects.{best if ranked else ''} Controls"
        " bound the table from below and above and are not ranked; marked rows are."
    ]


def _unranked(disorder: Mapping[tuple[str, Column], str], cells: Sequence[Mapping]) -> list[str]:
    """Return which metrics rank nobody, and which of their controls are out of order."""
    labels = {cell["dataset"]: cell["dataset_label"] for cell in cells}
    return [
        f"Not ranked and not tested on {labels[dataset]}: {heading(*column)}, whose controls are"
        f" out of order: {said}. It does not measure quality here."
        for (dataset, column), said in disorder.items()
    ]


def _held(row: Row, cells: Sequence[Mapping]) -> str:
    """Return a row with how far it is from the baseline, and p."""
    held = row.held
    assert held is not None  # for it has been tested
    about = metric_modules.metadata(held.metric)
    gap = f"{signed(held.difference, about.digits)} {about.unit}".strip()
    return f"{places([row.cell], cells)} ({gap}, p = {held.p:.3f}, n = {held.n})"


def _missing(
    rows: Sequence[Row], shown: Sequence[Column], unavailable: Mapping[str, str]
) -> list[str]:
    """Return what has not been measured yet: whole rows, and metrics of others."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for row in rows:
        lacking = [c for c in shown if MISSING in _absence(row, c, unavailable)]
        labels = dict.fromkeys(metric_modules.metadata(metric).label for metric, _ in lacking)
        if MISSING in row.remarks or labels:
            groups.setdefault(tuple(labels), []).append(row.cell)
    cells = [row.cell for row in rows]
    return [
        f"missing: {', '.join(labels)}{' ' if labels else ''}not measured yet:"
        f" {places(members, cells)}."
        for labels, members in groups.items()
    ]
