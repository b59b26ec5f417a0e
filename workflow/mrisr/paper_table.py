"""A table as a paper lays it out: a view of the complete tables, beside the published values.

Means are taken where the complete tables are made; here they are read, placed and compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mrisr import footnotes, methods
from mrisr import metrics as metric_modules
from mrisr.errors import ConfigError
from mrisr.layout import scale_name
from mrisr.measured import MARKS, heading, places
from mrisr.overlap_table import NAMES, NOISE_FLOOR
from mrisr.printed import known, number, signed
from mrisr.ranking import ranks
from mrisr.regions import TITLES
from mrisr.tables import Block, Entry, Table

COLUMNS = [
    *("dataset", "scale", "method", "metric", "region", "n", "mean", "std"),
    *("published_mean", "published_std", "difference", "rank", "note"),
]
NUMBERS = ("mean", "std", "published_mean", "published_std", "difference")
#: What the row below the scales is called, in place of a scale.
MEAN = "mean"
BELOW = "published (Δ)"
#: The axes of a table, in the order of a record's key.
KEY = ("scale", "method", "metric", "region")
# Remarks about one value and not about a method on a dataset at a scale.
_ABSENT = ("missing", "unavailable", "no ground truth")


@dataclass(frozen=True)
class Record:
    """One value of ours and what a paper published: a row of the tidy CSV."""

    dataset: str
    scale: float | str
    method: str
    metric: str
    region: str
    n: int
    mean: float
    std: float
    published_mean: float
    published_std: float
    difference: float
    rank: str
    note: str

    @property
    def remarks(self) -> list[str]:
        """What the note says, one by one."""
        return _remarks(self.note)


def paper_table(
    spec: Mapping,
    complete: pd.DataFrame,
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    *,
    baseline: str | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> Table:
    """Lay a table out as a paper does.

    Args:
        spec: From `mrisr.table_specs.specs`.
        complete: The study's table `quality` (or `segmentation`, if `spec["kind"]` is `overlap`)
            as its CSV holds it.
        cells: Of the table's dataset, from `mrisr.summary.cells`, each with its model's
            description.
        published: Published values: scale, method, metric, mean, optionally region, std, and
            source (a footnote).
        notes: Footnotes by topic: degradation, crop, mask, data range, seed.
        baseline: Label of the method that learned ones are held against.
        unavailable: Why metrics could not be taken, by name.

    Returns:
        The table; its frame has the columns `COLUMNS`, `difference` being ours minus published and
        `rank` `best`, `second` or empty. A row below the scales has the scale `mean`.
    """
    names = [method["name"] for method in spec["methods"]]
    scales = set(map(float, spec["scales"]))
    its = [c for c in cells if c["method"] in names and float(c["scale"]) in scales]
    controls = {cell["method"] for cell in its if cell["control"]}
    records = _records(spec, complete, published, controls)
    frame = pd.DataFrame(list(records.values()), columns=COLUMNS)
    frame = frame.astype(dict.fromkeys(NUMBERS, float))
    printed = _Printed(spec, records, its)
    reasons = unavailable or {}
    return Table(
        frame,
        [printed.block()],
        _footnotes(spec, printed, published, notes or {}, baseline, reasons),
    )


def _records(
    spec: Mapping, complete: pd.DataFrame, published: pd.DataFrame | None, controls: set[str]
) -> dict[tuple, Record]:
    """Return what the table shows by (scale, method, metric, region), ranked."""
    ours = {
        (float(row["scale"]), row["method"], row["metric"], row["region"]): row
        for row in complete[complete["dataset"] == spec["dataset"]].to_dict("records")
    }
    paper = {} if published is None else _published(published)
    found = {}
    for scale in spec["scales"]:
        for method in spec["methods"]:
            for metric in spec["metrics"]:
                for region in spec["regions"]:
                    key = (float(scale), method["name"], metric, region)
                    row = ours.get(key, {"n": 0, "mean": math.nan, "std": math.nan})
                    note = row.get("note", "missing")
                    found[key] = _record(
                        spec["dataset"],
                        key,
                        (int(row["n"]), float(row["mean"]), float(row["std"])),
                        paper.get(key, (math.nan, math.nan)),
                        note if isinstance(note, str) else "",
                    )
    if spec["mean"]:
        found |= _means(spec, found)
    return _ranked(found, spec["kind"], controls)


def _record(dataset: str, key: tuple, ours: tuple, paper: tuple, note: str) -> Record:
    gap = ours[1] - paper[0] if math.isfinite(ours[1]) else math.nan
    return Record(dataset, *key, *ours, *paper, gap, "", note)


def _published(frame: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    frame = frame.assign(**{key: frame.get(key, math.nan) for key in ("std",)})
    if "region" not in frame:
        frame = frame.assign(region="volume")
    return {
        (float(row["scale"]), row["method"], row["metric"], row["region"]): (
            float(row["mean"]),
            float(row["std"]),
        )
        for row in frame.to_dict("records")
    }


def _means(spec: Mapping, records: Mapping[tuple, Record]) -> dict[tuple, Record]:
    """Return the means over all scales; unknown where one of them is."""
    groups: dict[tuple, list[Record]] = {}
    for (_, *rest), record in records.items():
        groups.setdefault(tuple(rest), []).append(record)
    found = {}
    for rest, its in groups.items():
        remarks = dict.fromkeys(remark for record in its for remark in record.remarks)
        n = {record.n for record in its}
        values = n.pop() if len(n) == 1 else 0, np.mean([r.mean for r in its]), math.nan
        paper = np.mean([r.published_mean for r in its]), math.nan
        key = (MEAN, *rest)
        found[key] = _record(spec["dataset"], key, values, paper, "; ".join(remarks))
    return found


def _ranked(records: Mapping[tuple, Record], kind: str, controls: set[str]) -> dict[tuple, Record]:
    """Return records with their ranks among the methods of a scale, metric and region."""
    columns: dict[tuple, dict[tuple, float]] = {}
    for key, record in records.items():
        scale, method, metric, region = key
        if method not in controls and not set(MARKS) & set(record.remarks):
            columns.setdefault((scale, metric, region), {})[key] = record.mean
    styles: dict[tuple, str] = {}
    for (_, metric, _), means in columns.items():
        if kind == "overlap":
            styles |= ranks(means, "higher", NOISE_FLOOR[metric])
        else:
            styles |= ranks(means, metric_modules.metadata(metric).better)
    return {
        key: Record(**{**vars(record), "rank": styles.get(key, "")})
        for key, record in records.items()
    }


def _remarks(note: str) -> list[str]:
    # The reason why a cell is skipped may hold anything.
    if not note or note.startswith("skipped: "):
        return [note] if note else []
    return note.split("; ")


class _Printed:
    """Places records on the page."""

    def __init__(self, spec: Mapping, records: Mapping[tuple, Record], cells: Sequence[Mapping]):
        self.spec, self.records, self.cells = spec, records, cells
        self.layout = spec["layout"]
        self.overlap = spec["kind"] == "overlap"
        labels = {cell["method"]: cell["method_label"] for cell in cells}
        self.controls = {cell["method"] for cell in cells if cell["control"]}
        self.methods = {m["name"]: m for m in spec["methods"]}
        self.labels = {n: m["label"] or labels.get(n, n) for n, m in self.methods.items()}
        self.values: dict[str, list[Any]] = {
            "scale": list(map(float, spec["scales"])) + ([MEAN] if spec["mean"] else []),
            "method": list(self.methods),
            "metric": list(spec["metrics"]),
            "region": list(spec["regions"]),
            "group": list(dict.fromkeys(m["group"] for m in spec["methods"])),
        }
        placed = set(self.layout.values())
        self.fixed = {axis: self.values[axis][0] for axis in KEY if axis not in placed}
        # Marks are about a method at a scale: on the row's label if it is about one of each.
        rows = {*self.fixed, self.layout["groups"], self.layout["rows"]}
        self.marked_rows = {"method", "scale"} <= rows

    @property
    def n(self) -> str:
        """How many subjects the means are over, to precede their name; empty if unknown."""
        counts = sorted({record.n for record in self.records.values() if record.n})
        ends = dict.fromkeys([*counts[:1], *counts[-1:]])
        return f"n = {' to '.join(map(str, ends))} " if counts else ""

    def block(self) -> Block:
        columns = self._axis("columns")
        attributes = list(self.spec["methods"][0]["columns"])
        rows_are = self.layout["rows"]
        first = {"method": self.spec["heading"], "scale": "Scale", "region": "Region"}
        header = [first.get(rows_are, ""), *attributes]
        if rows_are != "method":
            header = header[:1]
        header += [self._title(self.layout["columns"], value) for value in columns]
        groups = [
            (self._title(self.layout["groups"], group), self._rows(group))
            for group in self._axis("groups")
        ]
        beside = any(not math.isnan(r.published_mean) for r in self.records.values())
        title = f"{self.spec['title']}{self._fixed_title()}"
        return Block(
            title,
            header,
            groups,
            title,
            corner={"scale": "Scale", "metric": "Metric", "region": "Region"}.get(
                self.layout["groups"], ""
            )
            or (" " if self.layout["groups"] else ""),
            labels=len(header) - len(columns),
            closing=0,
            spans=self._spans(columns),
            below=BELOW if beside else "",
        )

    def _axis(self, where: str) -> list[Any]:
        """Return the values along an axis of the page; one None if nothing lies there."""
        axis = self.layout[where]
        return self.values[axis] if axis else [None]

    def _title(self, axis: str | None, value: Any) -> str:
        if axis is None:
            return ""
        if axis == "scale":
            return "Mean" if value == MEAN else f"{scale_name(value)}×"
        if axis == "method":
            return self.labels[value] + (" (control)" if value in self.controls else "")
        if axis == "metric":
            return self._metric(value)
        return TITLES.get(value, value) if axis == "region" else str(value)

    def _metric(self, metric: str) -> str:
        return f"{NAMES[metric]} ↑" if self.overlap else heading(metric, self.spec["regions"][0])

    def _fixed_title(self) -> str:
        """Return what holds of every cell: its metric(s), the one scale."""
        said = []
        if self.layout["cells"]:
            said.append("/".join(map(self._metric, self.spec["metrics"])))
        elif "metric" in self.fixed:
            said.append(self._metric(self.fixed["metric"]))
        if "scale" in self.fixed:
            said.append(self._title("scale", self.fixed["scale"]))
        return f" ({', '.join(said)})" if said else ""

    def _spans(self, columns: Sequence) -> tuple[tuple[str, int], ...]:
        """Return headings above the columns, as papers have them."""
        if self.layout["columns"] == "metric" and not self.overlap:
            kinds = [metric_modules.metadata(name).reference for name in columns]
            if len(set(kinds)) < 2:
                return ()
            found: list[list] = []
            for kind in kinds:
                text = "Reference-based metrics" if kind else "Non-reference-based metrics"
                if found and found[-1][0] == text:
                    found[-1][1] += 1
                else:
                    found.append([text, 1])
            return tuple((text, count) for text, count in found)
        if self.layout["columns"] == "scale":
            return (("Scale", len(columns)),)
        return ()

    def _rows(self, group: Any) -> list[list[Entry]]:
        rows = []
        for value in self._axis("rows"):
            if self.layout["groups"] == "group" and self.methods[value]["group"] != group:
                continue
            where = {**self.fixed, self.layout["groups"]: group, self.layout["rows"]: value}
            cells = [
                self._cell({**where, self.layout["columns"]: column})
                for column in self._axis("columns")
            ]
            label = self._title(self.layout["rows"], value)
            if self.marked_rows:
                label += self._marks(where)
            about = {"dataset": self.spec["dataset"], **self._data(where)}
            row = [Entry(label, data=about)]
            if self.layout["rows"] == "method":
                row += [Entry(text) for text in self.methods[value]["columns"].values()]
            rows.append([*row, *cells])
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

    def _data(self, where: Mapping) -> dict[str, str]:
        data = {axis: where[axis] for axis in KEY if axis in where and axis not in self.fixed}
        data |= {axis: self.fixed[axis] for axis in ("scale", "method") if axis in self.fixed}
        return {k: scale_name(v) if isinstance(v, float) else str(v) for k, v in data.items()}

    def _cell(self, where: Mapping) -> Entry:
        its = [
            self.records[tuple(({**where, "metric": metric})[axis] for axis in KEY)]
            for metric in (self._axis("cells") if self.layout["cells"] else [where["metric"]])
        ]
        own = {self.layout["columns"]: where[self.layout["columns"]]}
        data, below = self._data_of_cell(own), _below(its, self._digits)
        if len(its) == 1:
            return self._entry(its[0], where, below, data)
        if all(record.n == 0 for record in its):
            return Entry(_absence(its[0]), "absent", below=below, data=data)
        parts = tuple(self._entry(record, where, "", {}, joined=True) for record in its)
        hint = "; ".join(f"{self._metric(r.metric)}: {self._text(r)}" for r in its if r.n)
        marks = "" if self.marked_rows else self._marks(where)
        last = Entry(parts[-1].text + marks, parts[-1].style)
        first = known(its[0].mean)
        return Entry("", hint=hint, below=below, value=first, data=data, joined=(*parts[:-1], last))

    def _data_of_cell(self, own: Mapping) -> dict[str, str]:
        return {
            axis: scale_name(value) if isinstance(value, float) else str(value)
            for axis, value in own.items()
            if axis
        }

    def _entry(
        self, record: Record, where: Mapping, below: str, data: dict, joined: bool = False
    ) -> Entry:
        if not record.n:
            return Entry(_absence(record), "absent", below=below, data=data)
        if joined:
            return Entry(number(record.mean, digits=self._digits(record.metric)), record.rank)
        marks = "" if self.marked_rows else self._marks(where)
        text = self._text(record) + marks
        return Entry(text, record.rank, below=below, value=known(record.mean), data=data)

    def _text(self, record: Record) -> str:
        return number(record.mean, record.std, self._digits(record.metric))

    def _digits(self, metric: str) -> int:
        return 4 if self.overlap else metric_modules.metadata(metric).digits


def _absence(record: Record) -> str:
    if record.note.startswith("skipped: "):
        return "n/a"
    return "missing" if "missing" in record.remarks else "–"


def _below(records: Sequence[Record], digits: Any) -> str:
    """Return the published values of a cell, and in parentheses ours minus them."""
    if all(math.isnan(record.published_mean) for record in records):
        return ""
    paper = "/".join(
        number(r.published_mean, r.published_std, digits(r.metric)) or "–" for r in records
    )
    gaps = [signed(r.difference, digits(r.metric)) for r in records if not math.isnan(r.difference)]
    return f"{paper} ({'/'.join(gaps)})" if gaps else paper


def _footnotes(
    spec: Mapping,
    printed: _Printed,
    published: pd.DataFrame | None,
    notes: Mapping[str, str],
    baseline: str | None,
    unavailable: Mapping[str, str],
) -> list[str]:
    records, cells = list(printed.records.values()), printed.cells
    label, kind = spec["dataset_label"], spec["kind"]
    joined = spec["layout"]["cells"]
    found = []
    if spec["stands_for"]:
        found.append(f"{label} stands in for {spec['stands_for']}: other scans, other subjects.")
    found.append(
        ("Means" if joined else "Mean ± sample standard deviation")
        + f" over {printed.n}test subjects; best bold, second best underlined. Controls and"
        " marked values are not ranked."
        + (f" Standard deviations: in the table {_complete(kind)}." if joined else "")
    )
    if kind == "overlap":
        found.append(
            f"All within {NOISE_FLOOR['dice']} of the best Dice ({NOISE_FLOOR['iou']} of the best"
            " IoU) are bold: smaller differences mean nothing."
        )
    if spec["mean"]:
        found.append("Mean: over the scales above it.")
    if printed.block().below:
        found.append(f"{BELOW}: as the paper printed it; Δ is our mean minus the published one.")
    elif published is None:
        found.append("Published values: not available.")
    found += footnotes.topics(notes)

    by_remark: dict[str, list[Mapping]] = {}
    lookup = {(cell["method"], float(cell["scale"])): cell for cell in cells}
    for record in records:
        cell = lookup.get((record.method, record.scale))
        for remark in record.remarks:
            its = by_remark.setdefault(remark, [])
            if cell is not None and cell not in its:
                its.append(cell)
    # A method with two labels would be hard to find.
    named = [{**cell, "method_label": printed.labels[cell["method"]]} for cell in cells]
    relabelled = {
        remark: [{**cell, "method_label": printed.labels[cell["method"]]} for cell in its]
        for remark, its in by_remark.items()
    }
    said = {remark: places(its, named) for remark, its in relabelled.items() if its}
    found += footnotes.marks(said, baseline)
    found += footnotes.training(named)
    found += footnotes.skipped(said)
    found += _missing(printed, named)
    found += footnotes.unavailable(spec["metrics"], unavailable if kind == "quality" else {})
    if published is not None:
        found += _sources(spec, published)
    return found + footnotes.simulated(cells)


def _missing(printed: _Printed, cells: Sequence[Mapping]) -> list[str]:
    """Return what has not been measured yet."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for cell in cells:
        its = [
            record
            for record in printed.records.values()
            if (record.method, record.scale) == (cell["method"], float(cell["scale"]))
        ]
        lacking = {r.metric: None for r in its if "missing" in r.remarks}
        if lacking:
            whole = set(lacking) == {record.metric for record in its}
            groups.setdefault((() if whole else tuple(lacking)), []).append(cell)
    return [
        "missing: "
        + (f"{', '.join(metric_modules.metadata(m).label for m in metrics)} " if metrics else "")
        + f"not measured yet: {places(its, cells)}."
        for metrics, its in groups.items()
    ]


def _complete(kind: str) -> str:
    return "segmentation" if kind == "overlap" else "quality"


def _sources(spec: Mapping, published: pd.DataFrame) -> list[str]:
    """Return where published values come from, and what of them has no place in the table."""
    found = list(map(str, published["source"].dropna().unique())) if "source" in published else []
    names = [method["name"] for method in spec["methods"]]
    lacking = [_label(m) for m in published["method"].unique() if m not in names]
    scales = set(map(float, spec["scales"]))
    absent = [f"{scale_name(s)}×" for s in sorted(set(map(float, published["scale"])) - scales)]
    said = ", ".join([*lacking, *absent])
    if said:
        found.append(f"Published, and not in this table: {said}.")
    return found


def _label(method: str) -> str:
    try:
        return methods.get(method).label
    except ConfigError:
        return method
