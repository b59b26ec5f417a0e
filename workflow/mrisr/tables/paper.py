"""A table as a paper lays it out: a view of the complete table, beside published values.

The complete tables take the means; this module reads, places and compares them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import MARKS, heading
from mrisr.tables import paper_notes
from mrisr.tables.numbers import known, number, signed
from mrisr.tables.overlap import NAMES
from mrisr.tables.paper_notes import BELOW
from mrisr.tables.paper_records import KEY, MEAN, Key, Record, digits, records
from mrisr.tables.table import Block, Entry, Table
from mrisr.volumes.regions import TITLES

COLUMNS = [
    *("dataset", "scale", "method", "metric", "region", "n", "mean", "std"),
    *("published_mean", "published_std", "difference", "rank", "note"),
]
NUMBERS = ("mean", "std", "published_mean", "published_std", "difference")


def paper_table(
    spec: Mapping,
    complete: pd.DataFrame,
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    *,
    baseline: str | None = None,
    margins: Mapping[str, float] | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> Table:
    """Lay a table out as a paper does.

    Args:
        spec: From `mrisr.study.tables_key.specs`.
        complete: The study's table `quality` (or `segmentation`, if `spec["kind"]` is `overlap`),
            as in its CSV.
        cells: From `mrisr.plan.cells.paper_cells`, each with its model's description.
        published: Published values, see `mrisr.tables.paper_records.records`, and optionally source
            (a footnote).
        notes: Footnotes by topic: degradation, crop, mask, data range, seed.
        baseline: Label of the method that learned ones are compared with.
        margins: By metric, the difference of means that does not matter; default that of the
            metric.
        unavailable: Why metrics could not be computed, by name.

    Returns:
        The table; its frame has the columns `COLUMNS`. `difference` is ours minus published; `rank`
        is `best`, `second` or empty. A row below the scales has the scale `mean`.
    """
    controls = {cell["method"] for cell in cells if cell["control"]}
    found = records(spec, complete, published, controls, margins)
    frame = pd.DataFrame([{name: vars(r)[name] for name in COLUMNS} for r in found.values()])
    labels = {cell["method"]: cell["method_label"] for cell in cells}
    labels |= {m["name"]: m["label"] for m in spec["methods"] if m["label"]}
    named = [{**cell, "method_label": labels[cell["method"]]} for cell in cells]
    overlap = spec["kind"] == "overlap"
    columns = None if overlap else list(zip(complete["metric"], complete["region"], strict=True))
    return Table(
        frame.astype(dict.fromkeys(NUMBERS, float)),
        [_Page(spec, found, labels, controls).block()],
        paper_notes.footnotes(
            *(spec, found.values(), named, published, notes or {}, baseline, unavailable or {}),
            columns,
        ),
    )


class _Page:
    """Places records in a printed table."""

    def __init__(
        self,
        spec: Mapping,
        found: Mapping[Key, Record],
        labels: Mapping[str, str],
        controls: set[str],
    ):
        self.spec, self.records, self.labels, self.controls = spec, found, labels, controls
        self.layout = spec["layout"]
        self.methods = {method["name"]: method for method in spec["methods"]}
        self.values: dict[str, list[Any]] = {
            "scale": list(map(float, spec["scales"])) + ([MEAN] if spec["mean"] else []),
            "method": list(self.methods),
            "metric": list(spec["metrics"]),
            "region": list(spec["regions"]),
            "group": list(dict.fromkeys(m["group"] for m in spec["methods"])),
        }
        placed = set(self.layout.values())
        self.fixed = {axis: self.values[axis][0] for axis in KEY if axis not in placed}
        # Marks are about a method at a scale: they go to the row's label if the row has one of
        # each.
        rows = {*self.fixed, self.layout["groups"], self.layout["rows"]}
        self.rows_are_marked = {"method", "scale"} <= rows

    def block(self) -> Block:
        columns = self._along("columns")
        rows = self.layout["rows"]
        first = {"method": self.spec["heading"], "scale": "Scale", "region": "Region"}
        labels = [first.get(rows, "Metric")]
        if rows == "method":
            labels += self.spec["methods"][0]["columns"]
        title = self.spec["title"] + self._everywhere()
        published = any(record.published_text for record in self.records.values())
        corners = {None: None, "scale": "Scale", "metric": "Metric", "region": "Region"}
        return Block(
            title,
            [*labels, *(self._title(self.layout["columns"], value) for value in columns)],
            [
                (self._title(self.layout["groups"], group), self._rows(group))
                for group in self._along("groups")
            ],
            title,
            corner=corners.get(self.layout["groups"], ""),
            labels=len(labels),
            closing=0,
            spans=self._spans(columns),
            below=BELOW if published else "",
        )

    def _along(self, where: str) -> list[Any]:
        """Return the values along rows, columns or groups; one None if there are none."""
        axis = self.layout[where]
        return self.values[axis] if axis else [None]

    def _title(self, axis: str | None, value: Any) -> str:
        if axis == "scale":
            return "Mean" if value == MEAN else f"{scale_name(value)}×"
        if axis == "method":
            return self.labels[value] + (" (control)" if value in self.controls else "")
        if axis == "metric":
            return self._metric(value)
        if axis == "region":
            return TITLES.get(value, value)
        return value or ""

    def _metric(self, metric: str) -> str:
        overlap = self.spec["kind"] == "overlap"
        return f"{NAMES[metric]} ↑" if overlap else heading(metric, self.spec["regions"][0])

    def _everywhere(self) -> str:
        """Return what all cells share, for the title: the metrics, and a single scale."""
        said = []
        if self.layout["cells"]:
            said.append("/".join(map(self._metric, self.spec["metrics"])))
        elif "metric" in self.fixed:
            said.append(self._metric(self.fixed["metric"]))
        if "scale" in self.fixed:
            said.append(self._title("scale", self.fixed["scale"]))
        return f": {', '.join(said)}" if said else ""

    def _spans(self, columns: Sequence) -> tuple[tuple[str, int], ...]:
        """Return headings above the columns, as papers have them."""
        if self.layout["columns"] == "scale":
            return (("Scale", len(columns)),)
        if self.layout["columns"] != "metric" or self.spec["kind"] == "overlap":
            return ()
        found: list[tuple[str, int]] = []
        for name in columns:
            reference = metric_modules.metadata(name).reference
            text = "Reference-based metrics" if reference else "Non-reference-based metrics"
            count = found.pop()[1] if found and found[-1][0] == text else 0
            found.append((text, count + 1))
        return tuple(found) if len(found) > 1 else ()

    def _rows(self, group: Any) -> list[list[Entry]]:
        rows = []
        for value in self._along("rows"):
            if self.layout["groups"] == "group" and self.methods[value]["group"] != group:
                continue
            where = {**self.fixed, self.layout["groups"]: group, self.layout["rows"]: value}
            label = self._title(self.layout["rows"], value)
            if self.rows_are_marked:
                label += self._marks(where)
            about = {axis: where[axis] for axis in KEY if axis in where and axis != "metric"}
            row = [Entry(label, data={"dataset": self.spec["dataset"], **_data(about)})]
            if self.layout["rows"] == "method":
                row += [Entry(text) for text in self.methods[value]["columns"].values()]
            axis = self.layout["columns"]
            row += [self._cell({**where, axis: place}, axis) for place in self._along("columns")]
            rows.append(row)
        return rows

    def _marks(self, where: Mapping) -> str:
        """Return the marks of a method at a scale."""
        remarks = {
            remark
            for record in self.records.values()
            if (record.scale, record.method) == (where["scale"], where["method"])
            for remark in record.remarks
        }
        return "".join(mark for remark, mark in MARKS.items() if remark in remarks)

    def _cell(self, where: Mapping, column: str) -> Entry:
        joined = self.layout["cells"] is not None
        metrics = self._along("cells") if joined else [where["metric"]]
        records = [
            self.records[where["scale"], where["method"], m, where["region"]] for m in metrics
        ]
        below, data = _below(records), _data({column: where[column]})
        if not any(record.n for record in records):
            return Entry(_absence(records[0]), "absent", below=below, data=data)
        marks = "" if self.rows_are_marked else self._marks(where)
        texts = [_text(record, joined) for record in records]
        texts[-1] += marks
        value = known(records[0].mean)
        if not joined:
            return Entry(texts[0], records[0].rank, below=below, value=value, data=data)
        parts = tuple(
            Entry(text, record.rank if record.n else "absent")
            for text, record in zip(texts, records, strict=True)
        )
        hint = "; ".join(f"{self._metric(r.metric)}: {_text(r)}" for r in records if r.n)
        return Entry("", hint=hint, below=below, value=value, data=data, joined=parts)


def _data(about: Mapping[str, Any]) -> dict[str, str]:
    return {k: scale_name(v) if isinstance(v, float) else str(v) for k, v in about.items()}


def _text(record: Record, alone: bool = False) -> str:
    """Return mean ± standard deviation, or the mean alone."""
    if not record.n:
        return _absence(record)
    return number(record.mean, math.nan if alone else record.std, digits(record.metric))


def _absence(record: Record) -> str:
    if record.note.startswith("skipped: "):
        return "n/a"
    return "missing" if "missing" in record.remarks else "–"


def _below(records: Sequence[Record]) -> str:
    """Return the published values of a cell, and our difference from them in parentheses."""
    if not any(record.published_text for record in records):
        return ""
    paper = "/".join(record.published_text or "–" for record in records)
    gaps = [signed(r.difference, digits(r.metric)) for r in records if not math.isnan(r.difference)]
    return f"{paper} ({'/'.join(gaps)})" if gaps else paper
