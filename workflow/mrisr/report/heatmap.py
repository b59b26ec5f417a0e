"""The report's overview: every method in every metric, placed between the controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.common.text import listed
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import DOUBTFUL, MARKS, Column, heading
from mrisr.tables.numbers import number

#: Rows that are shown at once; those of further scales are folded.
ROWS = 14
#: Number of colours, from the lower end to the upper end.
STEPS = 11


@dataclass(frozen=True)
class End:
    """One end of a scale of colours: the name and the mean of a method."""

    label: str
    mean: float


def heatmaps(study_facts: Mapping, quality: pd.DataFrame) -> dict[str, list[dict]]:
    """Return the overview as tables, in those that are shown at once and those that are folded.

    Args:
        study_facts: See `mrisr.plan.report.study_facts`.
        quality: Table of image quality, see `mrisr.tables.quality`.

    Returns:
        Lists `shown` and `folded` of tables: dataset, label, header, caption, and scales, each
        with its name and rows.
    """
    if quality.empty:
        return {"shown": [], "folded": []}
    blocks = []
    cells = study_facts["cells"]
    for dataset, scale in dict.fromkeys((cell["dataset"], cell["scale"]) for cell in cells):
        here = [c for c in cells if (c["dataset"], c["scale"]) == (dataset, scale)]
        inside = quality[quality["dataset"] == dataset]
        block = _block(here, inside, study_facts["config"]["baseline"])
        blocks += [block] if block["rows"] else []
    count, shown = 0, []
    for block in blocks:
        count += len(block["rows"])
        if shown and count > ROWS:
            break
        shown.append(block)
    return {"shown": _tables(shown), "folded": _tables(blocks[len(shown) :])}


def position(mean: float, low: float, high: float, unit: str = "") -> float:
    """Return where a mean lies between two controls: 0 at the low end, 1 at the high end.

    Args:
        mean: Mean of a method.
        low: Mean of the lower control.
        high: Mean of the upper control; greater or less than `low`. If it is infinite and the unit
            is dB, the result is the share of the lower control's squared error that is gone,
            1 - 10^(-(mean - low) / 10).
        unit: Unit of all three.

    Returns:
        Below 0 for a mean beyond the low end; NaN if there is no such place.
    """
    if math.isnan(mean) or not math.isfinite(low) or math.isnan(high) or low == high:
        return math.nan
    if math.isinf(high):
        return 1 - 10 ** (-(mean - low) / 10) if unit == "dB" and high > 0 else math.nan
    return (mean - low) / (high - low)


def step(share: float) -> int | None:
    """Return the colour of a position, 0 to `STEPS` - 1; None for NaN."""
    return None if math.isnan(share) else round((STEPS - 1) * min(1.0, max(0.0, share)))


def _block(cells: Sequence[Mapping], quality: pd.DataFrame, baseline: str | None) -> dict:
    """Return the rows of one dataset and scale; `quality` has all scales of the dataset."""
    columns = [
        (metric, region)
        for metric, region in dict.fromkeys(zip(quality["metric"], quality["region"], strict=True))
        if metric_modules.metadata(metric).better
        and (quality["n"][(quality["metric"] == metric) & (quality["region"] == region)] > 0).any()
    ]
    at = quality[quality["scale"].astype(float) == float(cells[0]["scale"])]
    by = {(row.method, row.metric, row.region): row for row in at.itertuples(index=False)}
    ends = {column: _ends(cells, by, column, baseline) for column in columns}
    rows = []
    for cell in cells:
        if cell["control"]:
            continue
        entries = [by.get((cell["method"], *column)) for column in columns]
        notes = " ".join(str(entry.note) for entry in entries if entry is not None)
        rows.append(
            {
                "method": cell["method"],
                "label": str(cell["method_label"]),
                "marks": "".join(MARKS[remark] for remark in DOUBTFUL if remark in notes),
                "cells": [
                    _cell(cell, entry, column, ends[column])
                    for entry, column in zip(entries, columns, strict=True)
                ],
            }
        )
    scale = scale_name(cells[0]["scale"])
    return {
        "dataset": cells[0]["dataset"],
        "label": str(cells[0]["dataset_label"]),
        "scale": scale,
        "header": [heading(*column) for column in columns],
        "ends": list(ends.values()),
        "rows": rows if columns else [],
    }


def _ends(
    cells: Sequence[Mapping], by: Mapping[tuple, object], column: Column, baseline: str | None
) -> tuple[End, End] | None:
    """Return both ends of a column's colours: the controls, or what stands in for them."""
    known = [
        (cell, End(str(cell["method_label"]), float(row.mean)))
        for cell in cells
        if (row := by.get((cell["method"], *column))) is not None and row.n
    ]
    bounds = [(cell, end) for cell, end in known if cell["control"] and not cell.get("reference")]
    low = [end for cell, end in bounds if not cell.get("ground_truth")]
    low += [end for cell, end in known if cell["method"] == baseline]
    high = [end for cell, end in bounds if cell.get("ground_truth")]
    better = max if metric_modules.metadata(column[0]).better == "higher" else min
    methods = [end for cell, end in known if not cell["control"]]
    high += [better(methods, key=lambda end: end.mean)] if methods else []
    return (low[0], high[0]) if low and high else None


def _cell(cell: Mapping, row: object, column: Column, ends: tuple[End, End] | None) -> dict:
    about = metric_modules.metadata(column[0])
    if row is None or not row.n:
        text = "n/a" if cell["skipped"] else "–"
        return {"text": text, "value": "", "share": "", "step": None, "hint": ""}
    mean, hint, share = float(row.mean), "", math.nan
    if OUT_OF_ORDER in str(row.note):
        hint = "no colour: the controls are out of order"
    elif ends:
        share = position(mean, ends[0].mean, ends[1].mean, about.unit)
        names = [f"{end.label} ({number(end.mean, digits=about.digits)})" for end in ends]
        if not math.isnan(share):
            hint = f"{share:.2f} of the way from {names[0]} to {names[1]}"
    return {
        "text": number(mean, digits=about.digits),
        "value": f"{mean:.9g}",
        "share": "" if math.isnan(share) else f"{share:.2f}".replace("-", "−"),
        "step": step(share),
        "hint": hint,
    }


def _tables(blocks: Sequence[Mapping]) -> list[dict]:
    """Return one table a dataset, with its scales."""
    found: dict[str, dict] = {}
    for block in blocks:
        table = found.setdefault(
            block["dataset"],
            {key: block[key] for key in ("dataset", "label", "header")}
            | {"scales": [], "caption": "", "ends": []},
        )
        table["scales"].append({"scale": block["scale"], "rows": block["rows"]})
        table["ends"] += [ends for ends in block["ends"] if ends]
    for table in found.values():
        table["caption"] = _caption(table["label"], table.pop("ends"))
    return list(found.values())


def _caption(label: str, ends: Sequence[tuple[End, End]]) -> str:
    said = f"{label}: mean of every metric that has a better direction"
    if not ends:
        return f"{said}; there are no controls to place it between."
    low, high = (
        listed(list(dict.fromkeys(end.label for end in side))) for side in zip(*ends, strict=True)
    )
    said += (
        f"; below it and in colour, where it lies between {low} (0, light) and {high} (1, dark)."
    )
    if any(math.isinf(end[1].mean) for end in ends):
        said += f" Where {high} is infinite: the share of the squared error of {low} that is gone."
    return said
