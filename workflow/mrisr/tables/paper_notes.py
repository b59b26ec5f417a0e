"""The footnotes of a paper's table."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from mrisr import metrics
from mrisr.common.errors import ConfigError
from mrisr.common.layout import scale_name
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import Column, held_by, places
from mrisr.methods import method as methods
from mrisr.tables import footnotes as shared
from mrisr.tables.paper_records import Record

#: Label of the second lines of cells.
BELOW = "published (Δ)"


def footnotes(
    spec: Mapping,
    records: Collection[Record],
    cells: Sequence[Mapping],
    published: pd.DataFrame | None,
    notes: Mapping[str, str],
    baseline: str | None,
    unavailable: Mapping[str, str],
    columns: Iterable[Column] | None,
) -> list[str]:
    """Return the sentences that the reader of a paper's table needs.

    Args:
        spec: From `mrisr.study.tables_key.specs`.
        records: Records that the table shows.
        cells: Cells of the table, with the labels that it prints.
        published: Published values, with those that have no place in the table.
        notes: Notes by topic: degradation, crop, mask, data range, seed.
        baseline: Label of the method that learned ones are compared with.
        unavailable: Why metrics could not be computed, by name.
        columns: Metrics and regions of the study's table `quality`; None if unknown.
    """
    overlap = spec["kind"] == "overlap"
    said = _where(records, cells)
    found = []
    if spec["stands_for"]:
        label = spec["dataset_label"]
        found.append(f"{label} stands in for {spec['stands_for']}: other scans, other subjects.")
    found += _reading(spec, records, overlap)
    if any(record.published_text for record in records):
        found.append(f"{BELOW}: as the paper printed it; Δ is our mean minus the published one.")
    elif spec["published"]:
        found.append("Published values: not available.")
    found += shared.topics(notes)
    found += shared.marks(said, baseline, held_by(cells, columns))
    found += shared.training(cells)
    found += [] if overlap else shared.several_trainings(cells)
    found += shared.skipped(said)
    unranked = dict.fromkeys(r.metric for r in records if OUT_OF_ORDER in r.remarks)
    if unranked:
        labels = ", ".join(metrics.metadata(name).label for name in unranked)
        found.append(f"Not ranked: {labels}, whose controls are out of order in this study.")
    found += _missing(records, cells)
    if not overlap:
        found += shared.unavailable(spec["metrics"], unavailable)
    if spec["unmeasured"]:
        labels = ", ".join(metrics.metadata(name).label for name in spec["unmeasured"])
        found.append(f"Not measured in this study: {labels}.")
    if published is not None:
        found += _sources(spec, published)
    return found + shared.simulated(cells)


def _reading(spec: Mapping, records: Collection[Record], overlap: bool) -> list[str]:
    """Return how to read a cell."""
    joined = spec["layout"]["cells"]
    counts = sorted({record.n for record in records if record.n})
    ends = " to ".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]])))
    whole = "segmentation" if overlap else "quality"
    ranked = any(record.rank for record in records)
    found = [
        ("Means" if joined else "Mean ± sample standard deviation")
        + f" over the test subjects{f' (n = {ends})' if ends else ''}"
        + (
            f"; best bold (and what is within its margin, see {whole}), second best underlined."
            if ranked
            else "."
        )
        + " Controls are not ranked."
        + (f" Standard deviations: in the table {whole}." if joined else "")
    ]
    if overlap and ranked:
        found.append(
            "All within the measured noise floor of the best are bold, see segmentation: smaller"
            " differences mean nothing."
        )
    return [*found, *(["Mean: over the scales above it."] if spec["mean"] else [])]


def _where(records: Collection[Record], cells: Sequence[Mapping]) -> dict[str, str]:
    """Return the methods and scales that each remark is about."""
    lookup = {(cell["method"], float(cell["scale"])): cell for cell in cells}
    found: dict[str, list[Mapping]] = {}
    for record in records:
        cell = lookup.get((record.method, record.scale))
        for remark in record.remarks:
            members = found.setdefault(remark, [])
            if cell is not None and cell not in members:
                members.append(cell)
    return {remark: places(members, cells) for remark, members in found.items() if members}


def _missing(records: Collection[Record], cells: Sequence[Mapping]) -> list[str]:
    """Return what is not measured yet: methods at a scale, or some of their metrics."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for cell in cells:
        place = (cell["method"], float(cell["scale"]))
        there = [record for record in records if (record.method, record.scale) == place]
        lacking = tuple(dict.fromkeys(r.metric for r in there if "missing" in r.remarks))
        if lacking:
            whole = set(lacking) == {record.metric for record in there}
            groups.setdefault(() if whole else lacking, []).append(cell)
    found = []
    for names, members in groups.items():
        labels = ", ".join(metrics.metadata(name).label for name in names)
        what = f"{labels} " if labels else ""
        found.append(f"missing: {what}not measured yet: {places(members, cells)}.")
    return found


def _sources(spec: Mapping, published: pd.DataFrame) -> list[str]:
    """Return the sources of published values, and those that have no place in the table."""
    found = list(map(str, published["source"].dropna().unique())) if "source" in published else []
    names = [method["name"] for method in spec["methods"]]
    lacking = [_label(name) for name in published["method"].unique() if name not in names]
    scales = set(map(float, published["scale"])) - set(map(float, spec["scales"]))
    said = ", ".join([*lacking, *(f"{scale_name(scale)}×" for scale in sorted(scales))])
    return [*found, *([f"Published, and not in this table: {said}."] if said else [])]


def _label(method: str) -> str:
    """Return the label of one of our methods, else the name."""
    try:
        return methods.get(method).label
    except ConfigError:
        return method
