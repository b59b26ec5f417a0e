"""How much ranks of methods depend on the choice of subjects, and on the metric."""

from collections.abc import Sequence

import numpy as np

from mrisr.common.layout import scale_name
from mrisr.common.statistics import (
    critical_difference,
    friedman,
    kendall,
    mean_ranks,
    rank_intervals,
)
from mrisr.evaluate.measured import Column, Row, heading
from mrisr.evaluate.rank_scores import rank_scores, sign
from mrisr.tables.numbers import known, number
from mrisr.tables.table import Block, Entry

Groups = Sequence[tuple[float, Sequence[Row]]]  # scale, ranked rows

RANKS = (
    "Ranks: mean over the subjects, 1 the best; in brackets between which ranks the mean of a"
    " method lies in 95 % of 2,000 resamples of the subjects."
)
AGREEMENT = (
    "Agreement: Kendall's tau between the orders in which two metrics put the methods by their"
    " means."
)


def rank_block(label: str, groups: Groups, shown: Sequence[Column], seed: int) -> Block | None:
    """Return a block of mean ranks, each with the range of ranks in 95 % of resamples.

    Args:
        label: Label of the dataset.
        groups: The dataset's ranked methods by scale.
        shown: Metrics and regions that rank.
        seed: Seed of the resamples.

    Returns:
        The block; None unless two methods have five subjects.
    """
    blocks = []
    for scale, ranked in groups:
        tables = {column: rank_scores(ranked, column) for column in shown}
        tables = {column: table for column, table in tables.items() if table is not None}
        if not tables:
            continue
        entries = {}
        for column, scores in tables.items():
            members = [row for row in ranked if column in row.values]
            low, high = rank_intervals(scores, seed)
            for i, (row, rank) in enumerate(zip(members, mean_ranks(scores), strict=True)):
                below = f"[{low[i]:.0f}, {high[i]:.0f}]"
                entries[row.cell["method"], column] = Entry(
                    f"{rank:.1f}", below=below, value=float(rank)
                )
        lines = [
            [
                Entry(row.label),
                *(entries.get((row.cell["method"], c), Entry("–", "absent")) for c in shown),
            ]
            for row in ranked
        ]
        blocks.append((f"{scale_name(scale)}×", lines))
    if not blocks:
        return None
    header = ["Method", *(heading(*column) for column in shown)]
    title = f"{label}: ranks"
    caption = f"Mean ranks over the subjects on {label}"
    return Block(title, header, blocks, caption, closing=0, below="rank of the mean, 95 %")


def agreement_block(label: str, groups: Groups, shown: Sequence[Column]) -> Block | None:
    """Return Kendall's tau between the orders of methods by metric; None for two methods."""
    blocks = []
    for scale, ranked in groups:
        members = [row for row in ranked if all(_finite(row, column) for column in shown)]
        if len(members) < 3 or len(shown) < 2:
            continue
        orders = {
            column: [sign(column) * row.values[column].mean() for row in members]
            for column in shown
        }
        lines = []
        for column in shown:
            taus = [kendall(orders[column], orders[other]) for other in shown]
            cells = [Entry(number(tau, digits=2) or "–", value=known(tau)) for tau in taus]
            lines.append([Entry(heading(*column)), *cells])
        blocks.append((f"{scale_name(scale)}×", lines))
    if not blocks:
        return None
    header = ["Metric", *(heading(*column) for column in shown)]
    title = f"{label}: agreement of metrics"
    caption = f"Kendall's tau between the rankings by two metrics on {label}"
    return Block(title, header, blocks, caption, closing=0)


def friedman_notes(label: str, groups: Groups, primary: Column) -> list[str]:
    """Return the results of Friedman's and Nemenyi's tests of the primary metric, by scale."""
    found = []
    for scale, ranked in groups:
        scores = rank_scores(ranked, primary)
        if scores is None or scores.shape[1] < 3:
            continue
        n, methods = scores.shape
        statistic, p = friedman(scores)
        said = "<0.001" if p < 0.001 else f"= {p:.3f}"
        found.append(
            f"{label} at {scale_name(scale)}×, {heading(*primary)}: Friedman's test that all"
            f" {methods} methods rank alike has χ² = {statistic:.1f}, p {said}; mean ranks that"
            f" differ by less than {critical_difference(methods, n):.2f} (Nemenyi, 0.05) are not"
            f" told apart (n = {n})."
        )
    return found


def _finite(row: Row, column: Column) -> bool:
    return column in row.values and bool(np.isfinite(row.values[column]).all())
