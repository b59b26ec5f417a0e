"""Content of a paper's table: our values, the published ones, their difference and ranks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mrisr import metrics
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import PARTLY, margin
from mrisr.tables.numbers import number
from mrisr.tables.ranking import ranks

#: Name of the row below the scales, in place of a scale.
MEAN = "mean"
OVERLAP = ("dice", "iou")
#: Fields that identify a record of a table, in the order of a key.
KEY = ("scale", "method", "metric", "region")

Key = tuple[float | str, str, str, str]


@dataclass(frozen=True)
class Record:
    """One of our values beside the published one.

    Attributes:
        dataset: Name of the dataset.
        scale: Up-sampling scale k, or `mean` over all of them.
        method: Name of the method.
        metric: Name of the metric.
        region: Region of the metric.
        n: Number of values behind the mean; 0 without values.
        mean: Our mean; NaN without values.
        std: Sample standard deviation, NaN if unknown.
        published_mean: Published mean; NaN if there is none.
        published_std: Published standard deviation; NaN if unknown.
        difference: Our mean minus the published one.
        rank: `best`, `second` or empty.
        note: Remarks of the complete table, with "; " between them.
        published_text: The published value with the digits that the paper printed.
    """

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
    published_text: str

    @property
    def remarks(self) -> list[str]:
        """The single remarks of the note."""
        # The reason of a skipped cell may hold any text.
        if not self.note or self.note.startswith("skipped: "):
            return [self.note] if self.note else []
        return self.note.split("; ")


def records(
    spec: Mapping,
    complete: pd.DataFrame,
    published: pd.DataFrame | None,
    controls: Collection[str],
    margins: Mapping[str, float] | None = None,
) -> dict[Key, Record]:
    """Return the records of a table, ranked.

    Args:
        spec: From `mrisr.study.tables_key.specs`.
        complete: The complete table that this table is a view of, as in its CSV.
        published: Published values: scale, method, metric, region, mean, optionally std. Means and
            deviations may be text, which keeps the printed digits.
        controls: Methods that are not ranked.
        margins: By metric, the difference of means that does not matter.
    """
    ours = {
        (float(row["scale"]), row["method"], row["metric"], row["region"]): row
        for row in complete[complete["dataset"] == spec["dataset"]].to_dict("records")
    }
    paper = {} if published is None else _published(published)
    keys = [
        (float(scale), method["name"], metric, region)
        for scale in spec["scales"]
        for method in spec["methods"]
        for metric in spec["metrics"]
        for region in spec["regions"]
    ]
    found = {}
    for key in keys:
        row = ours.get(key, {"n": 0, "mean": math.nan, "std": math.nan, "note": "missing"})
        # pandas reads an empty note as NaN.
        note = row["note"] if isinstance(row["note"], str) else ""
        summary = int(row["n"]), float(row["mean"]), float(row["std"])
        found[key] = _record(spec["dataset"], key, summary, paper.get(key), note)
    if spec["mean"]:
        found |= _means(spec["dataset"], found)
    floors = {key[2:]: row.get("noise_floor", math.nan) for key, row in ours.items()}
    return _ranked(found, spec["kind"], controls, margins, floors)


def _record(
    dataset: str,
    key: Key,
    ours: tuple[int, float, float],
    paper: tuple[float, float, str] | None,
    note: str,
) -> Record:
    mean, std, text = paper or (math.nan, math.nan, "")
    gap = ours[1] - mean if math.isfinite(ours[1]) else math.nan
    return Record(dataset, *key, *ours, mean, std, gap, "", note, text)


def _published(frame: pd.DataFrame) -> dict[Key, tuple[float, float, str]]:
    found = {}
    for row in frame.to_dict("records"):
        key = (float(row["scale"]), row["method"], row["metric"], row["region"])
        mean, std = row["mean"], row.get("std", math.nan)
        if isinstance(mean, str):
            text = " ± ".join(part for part in (mean, std) if isinstance(part, str))
        else:
            text = number(mean, std, digits(row["metric"]))
        found[key] = float(mean), float(std), text
    return found


def _means(dataset: str, found: Mapping[Key, Record]) -> dict[Key, Record]:
    """Return the means over all scales; NaN where one scale is unknown."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for (_, *rest), record in found.items():
        groups.setdefault(tuple(rest), []).append(record)
    means = {}
    for rest, members in groups.items():
        remarks = dict.fromkeys(remark for record in members for remark in record.remarks)
        counts = {record.n for record in members}
        mean = float(np.mean([record.mean for record in members]))
        ours = (min(counts) if len(counts) == 1 else 0, mean, math.nan)
        value = float(np.mean([record.published_mean for record in members]))
        paper = value, math.nan, number(value, digits=digits(members[0].metric))
        key = (MEAN, *rest)
        means[key] = _record(dataset, key, ours, paper, "; ".join(remarks))
    return means


def _ranked(
    found: Mapping[Key, Record],
    kind: str,
    controls: Collection[str],
    margins: Mapping[str, float] | None,
    floors: Mapping[tuple[str, str], float],
) -> dict[Key, Record]:
    """Return records with their ranks among the methods of a scale, metric and region."""
    columns: dict[tuple, dict[Key, float]] = {}
    for key, record in found.items():
        scale, method, metric, region = key
        if method not in controls and not {OUT_OF_ORDER, PARTLY} & set(record.remarks):
            columns.setdefault((scale, metric, region), {})[key] = record.mean
    styles: dict[Key, str] = {}
    for (_, metric, region), means in columns.items():
        better = "higher" if kind == "overlap" else metrics.metadata(metric).better
        if kind == "overlap":
            width = floors.get((metric, region), math.nan)
        else:
            width = margin(metric, margins)
        styles |= ranks(means, better, 0.0 if math.isnan(width) else width)
    return {key: replace(record, rank=styles.get(key, "")) for key, record in found.items()}


def digits(metric: str) -> int:
    """Return the number of decimals that a metric is printed with."""
    return 4 if metric in OVERLAP else metrics.metadata(metric).digits
