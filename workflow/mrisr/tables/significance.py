"""The table of significance: every method against the baseline and each other, and their ranks."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST
from mrisr.evaluate.controls import out_of_order
from mrisr.evaluate.measured import (
    Column,
    Row,
    columns,
    heading,
    margin,
    places,
    primary_region,
    read_rows,
)
from mrisr.tables import footnotes
from mrisr.tables.contrast_entry import contrast_entry
from mrisr.tables.contrasts import (
    COLUMNS,
    FEW,
    NUMBERS,
    PRIMARY,
    adjust,
    contrasts,
    turned,
)
from mrisr.tables.numbers import INTERVAL
from mrisr.tables.rank_stability import (
    AGREEMENT,
    RANKS,
    agreement_block,
    friedman_notes,
    rank_block,
)
from mrisr.tables.table import Block, Entry, Table

SECOND_LINE = f"{INTERVAL}; d; P"
Groups = Sequence[tuple[float, Sequence[Row]]]  # scale, ranked rows
Contrasts = Mapping[tuple, Mapping]  # by dataset, scale, metric, region, reference, method


def significance_table(
    cells: Sequence[Mapping],
    *,
    seed: int,
    baseline: str | None = None,
    primary: str = "psnr",
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
) -> Table:
    """Compare every ranked method with the baseline, and all pairs with each other.

    Differences are taken subject by subject and tested by Wilcoxon's signed-rank test. Two
    one-sided t tests tell whether a difference lies within the metric's margin. Holm's method has
    two families: the contrasts of the primary metric with the baseline, over all datasets and
    scales, and all other tests of the study. Controls, skipped rows and missing rows take no part.
    Nor do metrics without a better direction or with controls out of order.

    Args:
        cells: One for each dataset, scale and method, in the order to print; see
            `mrisr.evaluate.measured.read_rows`.
        seed: The study's seed, from which the resamples of ranks derive.
        baseline: Name of the method that the others are compared with.
        primary: The study's primary metric; it counts inside the mask, if it is measured there.
        metrics: Names in printed order; default those found in the CSVs.
        regions: Default those found in the CSVs.
        margins: By metric, the difference of means that does not matter; default that of the
            metric.

    Returns:
        The table; its frame has the columns `mrisr.tables.contrasts.COLUMNS`, one row a pair.
        `difference` is the mean of (method - reference) in the metric's unit. The table is empty,
        with a footnote, where there are not two methods to compare.

    Raises:
        InputError: A metrics CSV is damaged, or two of them hold different subjects.
    """
    rows = read_rows(cells, baseline)
    shown = [c for c in columns(rows, metrics, regions) if metric_modules.metadata(c[0]).better]
    disorder = out_of_order(rows, shown, baseline)
    first = (primary, primary_region(shown, primary))
    records: list[dict] = []
    datasets: dict[str, tuple[str, list[tuple[float, list[Row]]]]] = {}
    alone: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [row for row in rows if row.cell["dataset"] == dataset]
        label = str(inside[0].cell["dataset_label"])
        tested = [column for column in shown if (dataset, column) not in disorder]
        groups: list[tuple[float, list[Row]]] = []
        for scale in dict.fromkeys(row.cell["scale"] for row in inside):
            ranked = [r for r in inside if r.cell["scale"] == scale and r.ranked and r.values]
            found = [
                record
                for column in tested
                for record in contrasts(ranked, column, baseline, first, margin(column[0], margins))
            ]
            if not found:
                alone.setdefault(label, []).append(scale_name(scale))
                continue
            records += found
            groups.append((scale, ranked))
        datasets[dataset] = label, groups
    adjust(records)
    frame = pd.DataFrame(records, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, float))
    blocks, notes = [], []
    explained: dict[str, None] = {}
    lookup = {
        tuple(r[k] for k in ("dataset", "scale", "metric", "region", "reference", "method")): r
        for r in records
    }
    for dataset, (label, groups) in datasets.items():
        tested = [column for column in shown if (dataset, column) not in disorder]
        made = [
            _baseline_block(label, groups, shown, baseline, lookup),
            _pairs_block(label, groups, first, lookup) if first in tested else None,
            ranking := rank_block(label, groups, tested, seed),
            agreement := agreement_block(label, groups, tested),
        ]
        explained |= {RANKS: None} if ranking else {}
        explained |= {AGREEMENT: None} if agreement else {}
        blocks += [block for block in made if block is not None]
        notes += friedman_notes(label, groups, first) if first in tested else []
    said = _footnotes(frame, cells, alone, first, baseline, shown, margins)
    said += footnotes.several_trainings(cells) if len(frame) else []
    unranked = [
        f"{heading(*column)}: not tested on {datasets[dataset][0]}, controls out of order ({why})."
        for (dataset, column), why in disorder.items()
    ]
    return Table(frame, blocks, [*said, *explained, *notes, *unranked])


def _about(row: Row, scale: float) -> dict[str, str]:
    return {
        **{key: str(row.cell[key]) for key in ("dataset", "method")},
        "scale": scale_name(scale),
    }


def _baseline_block(
    label: str, groups: Groups, shown: Sequence[Column], baseline: str | None, lookup: Contrasts
) -> Block | None:
    """Return a block with a row for each method: its difference from the baseline by column."""
    found = []
    for scale, ranked in groups:
        if not any(row.cell["method"] == baseline for row in ranked):
            continue
        lines = []
        for row in ranked:
            if row.cell["method"] == baseline:
                continue
            where = row.cell["dataset"], scale
            cells = [
                _entry(lookup.get((*where, *column, baseline, row.cell["method"])))
                for column in shown
            ]
            n = max(map(len, row.values.values()))
            name = Entry(row.label, data=_about(row, scale))
            lines.append([name, *cells, Entry(str(n), value=n)])
        found.append((f"{scale_name(scale)}×", lines))
    if not found:
        return None
    base = next(
        row.cell["method_label"] for _, ranked in groups for row in ranked
        if row.cell["method"] == baseline
    )  # fmt: skip
    header = ["Method", *(heading(*column) for column in shown), "n"]
    title, caption = f"{label}: against {base}", f"Difference from {base} on {label}"
    below = SECOND_LINE if any(e.below for _, rows in found for row in rows for e in row) else ""
    return Block(title, header, found, caption, below=below)


def _pairs_block(label: str, groups: Groups, first: Column, lookup: Contrasts) -> Block | None:
    """Return a block of the primary metric: the method of the row minus that of the column."""
    members = dict.fromkeys(
        (row.cell["method"], str(row.cell["method_label"]))
        for _, ranked in groups
        for row in ranked
        if first in row.values
    )
    if len(members) < 3:
        return None
    found = []
    for scale, ranked in groups:
        lines = []
        for row in ranked:
            where = row.cell["dataset"], scale, *first
            cells = []
            for name, _ in members:
                mine = row.cell["method"]
                if (record := lookup.get((*where, name, mine))) is not None:
                    cells.append(_entry(record, brief=True))
                elif (record := lookup.get((*where, mine, name))) is not None:
                    cells.append(_entry(turned(record), brief=True))
                else:
                    cells.append(Entry("" if name == mine else "–", "absent"))
            lines.append([Entry(row.label, data=_about(row, scale)), *cells])
        found.append((f"{scale_name(scale)}×", lines))
    header = ["Method", *(label for _, label in members)]
    title = f"{label}: all pairs, {heading(*first)}"
    caption = f"Row minus column on {label}, {heading(*first)}"
    return Block(title, header, found, caption, closing=0)


def _entry(record: Mapping | None, *, brief: bool = False) -> Entry:
    digits = 0 if record is None else metric_modules.metadata(record["metric"]).digits
    return contrast_entry(record, digits, brief=brief)


def _footnotes(
    frame: pd.DataFrame,
    cells: Sequence[Mapping],
    alone: Mapping[str, Sequence[str]],
    first: Column,
    baseline: str | None,
    shown: Sequence[Column],
    margins: Mapping[str, float] | None,
) -> list[str]:
    found = []
    if len(frame):
        widths = footnotes.margins(shown, margins)
        tested = frame[frame["p"].notna()]
        count = int((tested["family"] == PRIMARY).sum())
        against = "with the baseline" if baseline in set(frame["reference"]) else "of all pairs"
        found += [
            "Mean over n test subjects of a method's value minus the other's; in parentheses p of"
            " a two-sided Wilcoxon signed-rank test over subjects, adjusted by Holm's method; *"
            " below 0.05.",
            f"Primary tests ({count}): contrasts {against} in {heading(*first)}, over all datasets"
            f" and scales, one family of Holm's method. All other tests ({len(tested) - count}:"
            " other metrics, regions and pairs) are a second family, and exploratory.",
            "≈: equivalent, two one-sided t tests find the mean difference within the metric's"
            f" margin (adjusted p below 0.05; margins: {widths or 'none'}). Neither * nor ≈: not"
            " decided, which does not mean equal.",
        ]
        if frame["ci_low"].notna().any():
            found.append(
                "Second lines: Student's t interval of the mean difference (95 %); d, the mean"
                " difference in standard deviations of the differences (d_z); P, the share of"
                " subjects in which the method is better."
            )
        if frame["n"].lt(FEWEST).any():
            found.append(f"Fewer than {FEWEST} subjects have no interval and no ranks.")
        found.append(
            "Every pair of every metric is in the CSV. Controls, and rows that have no values, take"
            " no part."
        )
    few = frame[frame["note"] == FEW]
    if len(few):
        keys = set(few[["dataset", "scale", "method"]].itertuples(index=False, name=None))
        chosen = [c for c in cells if (c["dataset"], c["scale"], c["method"]) in keys]
        counts = ", ".join(map(str, sorted(set(few["n"]))))
        found.append(
            f"Too few subjects (n = {counts}) for the number of tests: no adjusted p below 0.05 is"
            " possible in some family even if all of them agree, so that nothing can be significant"
            f" there: {places(chosen, cells)}."
        )
    for dataset, scales in alone.items():
        where = ", ".join(f"{scale}×" for scale in scales)
        found.append(
            f"{dataset} at {where}: fewer than two ranked methods have values, so there is nothing"
            " to compare."
        )
    return found
