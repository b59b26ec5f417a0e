"""The table of significance: how far every method is from the best one, and how sure that is."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, holm, mean_interval, wilcoxon
from mrisr.evaluate.controls import out_of_order
from mrisr.evaluate.measured import ALPHA, Column, Row, columns, heading, paired, places, read_rows
from mrisr.tables.numbers import interval, signed
from mrisr.tables.table import Block, Entry, Table

COLUMNS = [
    *("dataset", "scale", "metric", "region", "best", "method", "n", "difference"),
    *("ci_low", "ci_high", "p", "p_holm", "significant", "note"),
]
NUMBERS = ("difference", "ci_low", "ci_high", "p", "p_holm")
FEW, INFINITE = "too few subjects to be significant", "infinite values, not tested"


def significance_table(
    cells: Sequence[Mapping],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
) -> Table:
    """Hold every ranked method against the best one of its dataset, scale, metric and region.

    The best has the highest (or lowest) mean; differences are taken subject by subject, tested by
    Wilcoxon's signed-rank test, and the p-values of one dataset, scale, metric and region adjusted
    by Holm's method. Controls, skipped and missing rows take no part, nor do metrics
    without a better direction.

    Args:
        cells: One a dataset, scale and method, in the order to print; see
            `mrisr.evaluate.measured.read_rows`.
        baseline: Name of the method that learned ones are held against, as in the quality table.
        metrics: Names in printed order; default those found in the CSVs.
        regions: Default those found in the CSVs.

    Returns:
        The table; its frame has the columns `COLUMNS`, a row a comparison. `difference` is the
        mean of (method - best) in the metric's unit, `significant` whether the adjusted p is below
        0.05. It is empty, with a footnote, where there are not two methods to compare.

    Raises:
        InputError: A metrics CSV is damaged, or two of them hold different subjects.
    """
    rows = read_rows(cells, baseline)
    shown = [c for c in columns(rows, metrics, regions) if metric_modules.metadata(c[0]).better]
    disorder = out_of_order(rows, shown, baseline)
    records, blocks, alone = [], [], {}
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [row for row in rows if row.cell["dataset"] == dataset]
        label = str(inside[0].cell["dataset_label"])
        groups = []
        for scale in dict.fromkeys(row.cell["scale"] for row in inside):
            ranked = [r for r in inside if r.cell["scale"] == scale and r.ranked and r.values]
            tested = [column for column in shown if (dataset, column) not in disorder]
            by_column = {c: _compare(ranked, c) if c in tested else [] for c in shown}
            found = [record for compared in by_column.values() for record in compared]
            if not found:
                alone.setdefault(label, []).append(scale_name(scale))
                continue
            records += found
            lines = [
                [
                    Entry(
                        str(row.cell["method_label"]),
                        data={
                            **{key: str(row.cell[key]) for key in ("dataset", "method")},
                            "scale": scale_name(scale),
                        },
                    ),
                    *(_entry(row.cell["method"], compared) for compared in by_column.values()),
                    Entry(str(n := max(map(len, row.values.values()))), value=n),
                ]
                for row in ranked
            ]
            groups.append((f"{scale_name(scale)}×", lines))
        if groups:
            header = ["Method", *(heading(*column) for column in shown), "n"]
            caption = f"Difference from the best on {label}"
            blocks.append(Block(label, header, groups, caption, below="95 % interval"))
    frame = pd.DataFrame(records, columns=COLUMNS)
    frame = frame.astype({**dict.fromkeys(NUMBERS, float), "significant": "boolean"})
    return Table(frame, blocks, _footnotes(frame, cells, alone))


def _compare(ranked: Sequence[Row], column: Column) -> list[dict]:
    """Return the comparisons of one column with its best method; none if it has fewer than two."""
    metric, region = column
    members = [row for row in ranked if column in row.values]
    means = {i: float(np.mean(row.values[column].to_numpy())) for i, row in enumerate(members)}
    finite = {i: mean for i, mean in means.items() if math.isfinite(mean)}
    if len(members) < 2 or not finite:
        return []
    choose = max if metric_modules.metadata(metric).better == "higher" else min
    best = members[choose(finite, key=finite.__getitem__)]
    found, tested = [], []
    for i, row in enumerate(members):
        if row is best:
            continue
        differences = paired(row, best, column)
        record = {
            **{key: row.cell[key] for key in ("dataset", "scale")},
            **{"metric": metric, "region": region},
            **{"best": best.cell["method"], "method": row.cell["method"]},
            **{"n": len(differences), "note": INFINITE},
            **dict.fromkeys(NUMBERS, math.nan),
            "significant": pd.NA,
        }
        if i in finite:
            low, high = mean_interval(differences)
            record |= {
                **{"difference": float(differences.mean()), "ci_low": low, "ci_high": high},
                **{"p": wilcoxon(differences), "note": ""},
            }
            tested.append(record)
        found.append(record)
    for record, adjusted in zip(tested, holm([one["p"] for one in tested]), strict=True):
        record |= {"p_holm": float(adjusted), "significant": bool(adjusted < ALPHA)}
        if _least_p(record["n"], len(tested)) >= ALPHA:
            record["note"] = FEW
    return found


def _least_p(n: int, tests: int) -> float:
    """Return the least adjusted p of a family: all n subjects agree in every comparison."""
    return min(1.0, tests * 2 / 2**n)


def _entry(method: str, comparisons: Sequence[Mapping]) -> Entry:
    """Return what is printed of a method in a column."""
    if any(comparison["best"] == method for comparison in comparisons):
        return Entry("best", "best", value=0.0)
    comparison = next(
        (comparison for comparison in comparisons if comparison["method"] == method), None
    )
    if comparison is None:
        return Entry("–", "absent")
    if math.isnan(comparison["p"]):
        return Entry("∞", "absent", comparison["note"])
    digits = metric_modules.metadata(comparison["metric"]).digits
    hint = f"p = {_p(comparison['p'])}, adjusted {_p(comparison['p_holm'])}"
    ends = comparison["ci_low"], comparison["ci_high"]
    below = "" if math.isnan(ends[0]) else interval(*ends, digits, sign=True)
    star = "*" if comparison["significant"] else ""
    text = f"{signed(comparison['difference'], digits)} ({_p(comparison['p_holm'])}){star}"
    about = {key: str(comparison[key]) for key in ("metric", "region")}
    return Entry(text, "", hint, below, value=comparison["difference"], data=about)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _footnotes(
    frame: pd.DataFrame, cells: Sequence[Mapping], alone: Mapping[str, Sequence[str]]
) -> list[str]:
    found = []
    if len(frame):
        found += [
            "Mean over n test subjects of a method's value minus that of the best method, which has"
            " the highest (↑) or lowest (↓) mean; in parentheses p of a two-sided Wilcoxon"
            " signed-rank test over subjects, adjusted by Holm's method for the comparisons of a"
            " scale and column; * below 0.05. The best is chosen by the values that are tested,"
            " which flatters it a little.",
            "Controls, and rows that have no values, take no part.",
            "In brackets: Student's t interval of the mean difference (95 %), none below"
            f" {FEWEST} subjects. The unadjusted p is in the CSV, and under the pointer in the HTML"
            " table.",
        ]
    few = frame[frame["note"] == FEW]
    if len(few):
        keys = set(few[["dataset", "scale", "method"]].itertuples(index=False, name=None))
        chosen = [c for c in cells if (c["dataset"], c["scale"], c["method"]) in keys]
        counts = ", ".join(map(str, sorted(set(few["n"]))))
        found.append(
            f"Too few subjects (n = {counts}): no adjusted p below 0.05 is possible even if all of"
            f" them agree, so that nothing can be significant: {places(chosen, cells)}."
        )
    for dataset, scales in alone.items():
        where = ", ".join(f"{scale}×" for scale in scales)
        found.append(
            f"{dataset} at {where}: fewer than two ranked methods have values, so there is nothing"
            " to compare."
        )
    return found
