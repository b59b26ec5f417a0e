"""The critical-difference diagram: mean ranks, and which of them a test does not tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, critical_difference, friedman, mean_ranks
from mrisr.evaluate.controls import out_of_order
from mrisr.evaluate.measured import Row, columns, heading, primary_region
from mrisr.evaluate.rank_scores import rank_scores
from mrisr.figures import measured as shown
from mrisr.figures.canvas import Canvas, word
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import measured_rows, text
from mrisr.figures.style import PAPER, SMALL, TEXT, look

LEAST = 3  # Friedman's test is of three methods or more
LINE = 0.17  # inches between the labels of two methods


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of the methods at a scale.

    Attributes:
        rows: The methods, from the best mean rank to the worst.
        ranks: Their mean ranks, 1 the best.
        distance: Nemenyi's critical difference of mean ranks at 0.05.
        p: Of Friedman's test that all methods rank alike.
        n: Number of subjects.
    """

    rows: list[Row]
    ranks: np.ndarray
    distance: float
    p: float
    n: int

    def cliques(self) -> list[tuple[int, int]]:
        """Return the largest groups of neighbours, first and last, that are not told apart."""
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(self.ranks):
            last = int(np.flatnonzero(self.ranks - rank < self.distance)[-1])
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the mean ranks of all methods in the primary metric, an axis a scale.

    Args:
        params: dataset, its label, baseline, held, primary (name of the metric), and cells as
            `mrisr.figures.scene.measured_rows` takes them, controls included, each with `look`.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    rows = measured_rows(params)
    found = columns(rows.values(), [params["primary"]])
    column = params["primary"], primary_region(found, params["primary"])
    disorder = out_of_order(rows.values(), [column], params["baseline"])
    scales = list(dict.fromkeys(cell["scale"] for cell in params["cells"]))
    by_scale = {scale: [row for (k, _), row in rows.items() if k == scale] for scale in scales}
    rankings = {
        scale: None if disorder else ranking(members, column) for scale, members in by_scale.items()
    }
    tested = {scale: its for scale, its in rankings.items() if its is not None}
    said = "; ".join(
        f"{scale_name(scale)}×: n = {its.n}, Friedman's p {_p(its.p)}, critical difference"
        f" {its.distance:.2f}"
        for scale, its in tested.items()
    )
    lacking = [scale_name(scale) for scale in scales if scale not in tested]
    record = Record(
        title=f"{params['label']}: which ranks are told apart",
        caption=text(
            f"{params['label']}: mean rank of every method over the subjects in"
            f" {heading(*column)}, the best on the left. A bar joins methods whose mean ranks"
            " differ by less than the critical difference of Nemenyi's test (0.05; Demšar 2006),"
            " the length above the axis: they are not told apart.",
            f"{said}." if said else "",
            "Where Friedman's p is not below 0.05, no order is established at all."
            if any(its.p >= 0.05 for its in tested.values())
            else "",
            "The metric puts the controls out of order, and ranks nobody." if disorder else "",
            f"No ranks at {', '.join(f'{k}×' for k in lacking)}: fewer than {LEAST} methods or"
            f" {FEWEST} subjects are measured."
            if lacking and not disorder
            else "",
            shown.hollow(rows.values()),
        ),
        section="Measures",
        dataset=params["dataset"],
        methods=[row.cell["method"] for row in rows.values() if row.cell["scale"] == scales[0]],
        scales=scales,
    )
    with plain():
        canvas = _draw(rankings, record.title, "controls out of order" if disorder else "too few")
        write(canvas.figure, record, outputs)


def ranking(rows: Sequence[Row], column: tuple[str, str]) -> Ranking | None:
    """Return the mean ranks of the methods at a scale; None without a test.

    Args:
        rows: Rows of the scale; controls take no part.
        column: Metric and region.
    """
    members = [row for row in rows if row.ranked and column in row.values]
    scores = rank_scores(members, column)
    if scores is None or scores.shape[1] < LEAST:
        return None
    n, count = scores.shape
    ranks = mean_ranks(scores)
    order = np.argsort(ranks, kind="stable")
    return Ranking(
        [members[i] for i in order],
        ranks[order],
        critical_difference(count, n),
        friedman(scores)[1],
        n,
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _draw(rankings: Mapping[float, Ranking | None], title: str, lacking: str) -> Canvas:
    # Inches.
    head, between, axis, side = 0.35, 0.25, 0.5, 1.6
    tall = {
        scale: axis + LINE * (1 + (0 if its is None else _lines(its)))
        for scale, its in rankings.items()
    }
    canvas = Canvas(PAPER, head + sum(tall.values()) + between * len(tall))
    canvas.heading(0.1, title)
    top = head
    for scale, its in rankings.items():
        canvas.text(0.1, top, f"{scale_name(scale)}×", weight="bold")
        axes = canvas.axes(side, top, PAPER - 2 * side, tall[scale])
        axes.set_axis_off()
        if its is None:
            word(axes, lacking)
        else:
            _diagram(axes, its, tall[scale], axis, side)
        top += tall[scale] + between
    return canvas


def _lines(its: Ranking) -> int:
    """Return the lines of text and bars below the axis."""
    return len(its.cliques()) + (len(its.rows) + 1) // 2


def _diagram(axes: Axes, its: Ranking, tall: float, axis: float, side: float) -> None:
    """Draw one axis: ranks in data units, inches from the top downwards."""
    count = len(its.rows)
    axes.set_xlim(1, count)
    axes.set_ylim(tall, 0)
    line = {"color": "black", "linewidth": 0.6, "clip_on": False}
    axes.plot([1, count], [axis, axis], **line)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [axis - 0.05, axis], **line)
        axes.text(rank, axis - 0.07, str(rank), ha="center", va="bottom", fontsize=SMALL)
    length = min(its.distance, count - 1)
    axes.plot([1, 1 + length], [0.12, 0.12], **{**line, "linewidth": 1.2})
    for end in (1, 1 + length):
        axes.plot([end, end], [0.08, 0.16], **line)
    beyond = "" if length == its.distance else ", longer than the axis"
    axes.text(1, 0.04, f"critical difference {its.distance:.2f}{beyond}", va="bottom",
              fontsize=SMALL)  # fmt: skip
    cliques = its.cliques()
    for level, (first, last) in enumerate(cliques, start=1):
        y = axis + LINE * level - 0.04
        ends = its.ranks[first] - 0.03, its.ranks[last] + 0.03
        axes.plot(ends, [y, y], color="black", linewidth=2.2, clip_on=False, gid="clique")
    inch = (count - 1) / (PAPER - 2 * side)
    half = (count + 1) // 2
    for place, (row, rank) in enumerate(zip(its.rows, its.ranks, strict=True)):
        left = place < half
        level = place if left else count - 1 - place
        y = axis + LINE * (len(cliques) + 1 + level)
        end = 1 - 0.1 * inch if left else count + 0.1 * inch
        axes.plot([rank, rank, end], [axis, y, y], **line)
        label = f"{row.cell['method_label']} ({rank:.2f})"
        shift = 0.12 * inch
        axes.text(end - shift if left else end + shift, y, label, ha="right" if left else "left",
                  va="center", fontsize=TEXT, parse_math=False)  # fmt: skip
        axes.plot([end], [y], markersize=4, linestyle="", clip_on=False,
                  **shown.marker(look(row.cell["look"]), row))  # fmt: skip
