"""The quality table: what was measured, with everything needed to read it right.

Rows that support no conclusion are marked, the others ranked. Metrics without a better direction
explain the others and stand in a block of their own.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.statistics import bootstrap_interval
from mrisr.evaluate.measured import (
    MARKS,
    Column,
    Row,
    columns,
    has_ground_truth,
    heading,
    held_by,
    places,
    read_rows,
)
from mrisr.tables import footnotes
from mrisr.tables.numbers import known, number
from mrisr.tables.ranking import ranks
from mrisr.tables.table import Block, Entry, Table

COLUMNS = [
    *("dataset", "scale", "method", "metric", "region", "n", "mean", "std", "ci_low", "ci_high"),
    *("published_mean", "published_std", "note"),
]
NUMBERS = ("mean", "std", "ci_low", "ci_high", "published_mean", "published_std")
MISSING, UNAVAILABLE, NO_TRUTH = "missing", "unavailable", "no ground truth"
FIT = "fit of SR = gain × ground truth + offset"


def quality_table(
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    *,
    seed: int,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> Table:
    """Make the quality table of a study.

    Args:
        cells: One a dataset, scale and method, in the order to print; see
            `mrisr.evaluate.measured.read_rows`.
        published: Published values, columns dataset, scale, method, metric, region, mean, std and
            optionally source (a footnote); dataset as the study names it.
        notes: Footnotes of the caller by topic: degradation, crop, mask, data range, seed, preset.
        seed: The study's seed; the bootstrap intervals derive from it.
        baseline: Name of the method that learned ones are held against, None for no check. A
            learned method whose mean PSNR over the volume is not above it is undertrained.
        metrics: Names in printed order; default those found in the CSVs.
        regions: Default those found in the CSVs.
        unavailable: Why metrics could not be taken, by name. Their columns stay, empty.

    Returns:
        The table; its frame has the columns `COLUMNS`, a row a dataset, scale, method, metric and
        region. A row without values has n = 0 and a note: `missing` where its CSV is not there,
        `unavailable`, `no ground truth`, or `skipped` with the reason.

    Raises:
        InputError: A metrics CSV is damaged, incomplete or holds NaN.
    """
    reasons = unavailable or {}
    rows = read_rows(cells, baseline)
    shown = columns(rows, metrics, regions, reasons)
    beside = {} if published is None else _published(published)
    records = []
    for row in rows:
        key = (row.cell["dataset"], float(row.cell["scale"]), row.cell["method"])
        for column in shown:
            said = [*row.remarks, *_absence(row, column, reasons)]
            paper = beside.get((*key, *column), (math.nan, math.nan))
            place = (key[0], row.cell["scale"], key[2], *column)
            summary = _summary(row.values.get(column), seed)
            records.append((*place, *summary, *paper, "; ".join(said)))
    frame = pd.DataFrame(records, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, float))
    lines = list(frame.itertuples(index=False))
    width = len(shown)
    by_row = [
        (row, dict(zip(shown, lines[i * width : (i + 1) * width], strict=True)))
        for i, row in enumerate(rows)
    ]
    blocks = _blocks(by_row, shown, reasons)
    told = _footnotes(rows, shown, frame, notes or {}, published, baseline, reasons)
    return Table(frame, blocks, [_reading(any(block.ranked for block in blocks)), *told])


def _absence(row: Row, column: Column, unavailable: Mapping[str, str]) -> list[str]:
    """Return the note of an entry that lacks its values although its row has not been skipped."""
    if row.cell["skipped"] or column in row.values or MISSING in row.remarks:
        return []
    if not has_ground_truth(row) and metric_modules.metadata(column[0]).reference:
        return [NO_TRUTH]
    return [UNAVAILABLE if column[0] in unavailable else MISSING]


def _summary(scores: pd.Series | None, seed: int) -> tuple[int, float, float, float, float]:
    """Return n, mean, sample standard deviation, interval; NaN where they do not exist."""
    if scores is None:
        return 0, *[math.nan] * 4
    data = scores.to_numpy()
    known = len(data) > 1 and bool(np.isfinite(data).all())
    std = float(np.std(data, ddof=1)) if known else math.nan
    return len(data), float(np.mean(data)), std, *bootstrap_interval(data, seed)


def _published(frame: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    names = ["dataset", "scale", "method", "metric", "region", "mean", "std"]
    return {
        (dataset, float(scale), *key): (mean, std)
        for dataset, scale, *key, mean, std in frame[names].itertuples(index=False)
    }


def _blocks(
    by_row: Sequence[tuple[Row, Mapping]], shown: Sequence[Column], unavailable: Mapping[str, str]
) -> list[Block]:
    """Lay the rows out as printed: for each dataset what is ranked, then what explains."""
    ranked = [c for c in shown if metric_modules.metadata(c[0]).better]
    explaining = [c for c in shown if c not in ranked]
    blocks = []
    for dataset in dict.fromkeys(row.cell["dataset"] for row, _ in by_row):
        inside = [(row, entries) for row, entries in by_row if row.cell["dataset"] == dataset]
        label = str(inside[0][0].cell["dataset_label"])
        if ranked or not explaining:
            caption = f"Image quality on {label}"
            blocks.append(_block(inside, ranked, unavailable, label, caption))
        if explaining and any(has_ground_truth(row) for row, _ in inside):
            title, caption = f"{label}: {FIT}", f"{FIT[0].upper()}{FIT[1:]} on {label}"
            blocks.append(_block(inside, explaining, unavailable, title, caption))
    return blocks


def _block(
    by_row: Sequence[tuple[Row, Mapping]],
    shown: Sequence[Column],
    unavailable: Mapping[str, str],
    title: str,
    caption: str,
) -> Block:
    """Lay some columns of a dataset out, a group a scale, as in ArSSR, Table 1."""
    beside = {
        c for c in shown for _, entries in by_row if not math.isnan(entries[c].published_mean)
    }
    header, starts = ["Method"], []
    for column in shown:
        starts.append(len(header))
        header += [heading(*column), *(["published"] if column in beside else [])]
    groups = []
    for scale in dict.fromkeys(row.cell["scale"] for row, _ in by_row):
        members = [(row, entries) for row, entries in by_row if row.cell["scale"] == scale]
        styles = {
            c: ranks(
                {i: entries[c].mean for i, (row, entries) in enumerate(members) if row.ranked},
                metric_modules.metadata(c[0]).better,
            )
            for c in shown
        }
        lines = []
        for i, (row, entries) in enumerate(members):
            about = {k: str(row.cell[k]) for k in ("dataset", "method")}
            about["scale"] = scale_name(row.cell["scale"])
            line = [Entry(_name(row), data=about)]
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
    return Block(title, [*header, "n"], groups, caption, tuple(starts))


def _name(row: Row) -> str:
    """Return a method's label with what marks it."""
    marks = "".join(mark for note, mark in MARKS.items() if note in row.remarks)
    return f"{row.cell['method_label']}{' (control)' if row.cell['control'] else ''}{marks}"


def _entry(record: tuple, row: Row, unavailable: Mapping[str, str], style: str) -> Entry:
    if row.cell["skipped"]:
        return Entry("n/a", "absent")
    if not record.n:
        absence = _absence(row, (record.metric, record.region), unavailable)
        return Entry(MISSING if absence in ([], [MISSING]) else "–", "absent")
    hint, digits = "", metric_modules.metadata(record.metric).digits
    if not math.isnan(record.ci_low):
        hint = (
            f"95 % interval of the mean: {record.ci_low:.{digits}f} to {record.ci_high:.{digits}f}"
        )
    text = number(record.mean, record.std, digits)
    about = _about((record.metric, record.region))
    return Entry(text, style, hint, value=known(record.mean), data=about)


def _about(column: Column) -> dict[str, str]:
    return dict(zip(("metric", "region"), column, strict=True))


def _reading(ranked: bool) -> str:
    """Return how to read a cell; of bold ones only if there are any."""
    best = "For each scale and column the best is bold and the second best underlined."
    return (
        f"Mean ± sample standard deviation over n test subjects. {best + ' ' if ranked else ''}"
        "Controls bound the table from below and above; they and marked rows are not ranked."
    )


def _footnotes(
    rows: Sequence[Row],
    shown: Sequence[Column],
    frame: pd.DataFrame,
    notes: Mapping[str, str],
    published: pd.DataFrame | None,
    baseline: str | None,
    unavailable: Mapping[str, str],
) -> list[str]:
    cells = [row.cell for row in rows]
    found = []
    if frame["ci_low"].notna().any():
        found.append(
            "95 % intervals of the mean (percentile bootstrap over subjects) are in the CSV"
            " (ci_low, ci_high) and under the pointer in the HTML table."
        )
    if any(not metric_modules.metadata(metric).better for metric, _ in shown):
        found.append(
            "Gain and offset: least-squares fit of SR = gain × ground truth + offset over the"
            " region's voxels, the offset in fractions of the data range; 1 and 0 where intensities"
            " are kept. They explain the other values, and are neither ranked nor tested."
        )
    if np.isinf(frame["mean"]).any():
        found.append("∞: equal to the ground truth.")
    found += footnotes.topics(notes)

    def where(remark: str) -> str:
        return places([row.cell for row in rows if remark in row.remarks], cells)

    said = {remark: where(remark) for row in rows for remark in row.remarks}
    base = next((c["method_label"] for c in cells if c["method"] == baseline), baseline)
    found += footnotes.marks(said, base, held_by(cells))
    found += footnotes.training(cells)
    found += footnotes.skipped(said)
    found += _missing(rows, shown, unavailable)
    found += footnotes.unavailable([metric for metric, _ in shown], unavailable)
    if frame["published_mean"].notna().any():
        sources = published["source"].dropna().unique() if "source" in published else []
        found += [str(source) for source in sources] or [
            "published: as the paper printed it, over the volume."
        ]
    return found + footnotes.simulated(cells)


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
