"""What was measured in each cell of a study, and which cells support a conclusion."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name, subject_of
from mrisr.evaluate.read_table import read_table

UNDERTRAINED, COLLAPSED, UNCHECKED = "undertrained", "collapsed", "not held against the baseline"
MARKS = {UNDERTRAINED: "†", COLLAPSED: "‡", UNCHECKED: "§"}

Column = tuple[str, str]  # metric, region


@dataclass(frozen=True)
class Row:
    """A method on a dataset at a scale.

    Attributes:
        cell: Its description, see `read_rows`.
        values: By metric and region, each indexed by subject; empty if it is skipped or missing.
        remarks: Notes on the row, as the tables' CSV has them.
    """

    cell: Mapping
    values: dict[Column, pd.Series]
    remarks: list[str]

    @property
    def ranked(self) -> bool:
        """Whether it may be compared with others: no control, not skipped, no mark."""
        cell = self.cell
        return not (cell["control"] or cell["skipped"] or set(MARKS) & set(self.remarks))


def read_rows(cells: Sequence[Mapping], baseline: str | None = None) -> list[Row]:
    """Read the metrics of a study's cells and hold learned methods against the baseline.

    Args:
        cells: One a dataset, scale and method, in the order to print. Keys: dataset,
            dataset_label, scale, method, method_label, control, learned, path (of the metrics
            CSV), skipped (a reason or None), model (content of `model.json` or None),
            published_steps (or None), and optionally simulated (the dataset is no scan), slices
            (the CSV has a subject's slices, whose mean is the subject's value) and
            has_ground_truth (False for real LR scans: only metrics without reference exist, and
            nothing can be held against the baseline).
        baseline: Name of the method that learned ones are held against, None for no check. A
            learned method whose mean PSNR (of the cells' key held_by) over the volume is not above
            it is undertrained.

    Returns:
        One a cell, in their order.

    Raises:
        InputError: A metrics CSV is damaged, incomplete or holds NaN.
    """
    by_cell = [_read(cell) for cell in cells]
    baselines = {
        (cell["dataset"], cell["scale"]): _held(cell, measured)
        for cell, measured in zip(cells, by_cell, strict=True)
        if cell["method"] == baseline
    }
    return [
        Row(cell, measured, _remarks(cell, measured, baselines, baseline))
        for cell, measured in zip(cells, by_cell, strict=True)
    ]


def columns(
    rows: Iterable[Row],
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    unavailable: Iterable[str] = (),
) -> list[Column]:
    """Return what a table shows: all metrics over the volume, then inside the mask.

    Metrics that need a ground truth are left out where no row has one.

    Args:
        rows: What was measured.
        metrics: Names in printed order; default those measured or unavailable, or all there are
            if nothing has been measured.
        regions: Default those measured.
        unavailable: Metrics that have no values, and columns all the same.
    """
    rows = list(rows)
    compared = not rows or any(map(has_ground_truth, rows))
    found = [column for row in rows for column in row.values]
    if metrics is None:
        present = {metric for metric, _ in found} | set(unavailable)
        metrics = [name for name in metric_modules.names() if name in present or not found]
    if regions is None:
        present = {region for _, region in found}
        regions = [name for name in metric_modules.REGIONS if name in present or not found]
    return [
        (metric, region)
        for region in regions
        for metric in metrics
        if region in metric_modules.metadata(metric).regions
        and (compared or not metric_modules.metadata(metric).reference)
    ]


def has_ground_truth(row: Row) -> bool:
    """Return whether a row's dataset has one; real LR scans have none."""
    return row.cell.get("has_ground_truth", True)


def heading(metric: str, region: str) -> str:
    """Return a column's heading: label, region, which way is better, unit."""
    about = metric_modules.metadata(metric)
    where = "" if region == "volume" else f" in {region}"
    arrow = {"higher": " ↑", "lower": " ↓", "": ""}[about.better]
    return f"{about.label}{where}{arrow}" + (f" ({about.unit})" if about.unit else "")


def places(chosen: Iterable[Mapping], cells: Sequence[Mapping]) -> str:
    """Return methods of cells with their scales, and their datasets if `cells` have several."""
    several = len({cell["dataset"] for cell in cells}) > 1
    scales: dict[tuple[str, str], list[str]] = {}
    for cell in chosen:
        where = f" on {cell['dataset_label']}" if several else ""
        scales.setdefault((cell["method_label"], where), []).append(scale_name(cell["scale"]))
    return "; ".join(
        f"{method}{where} at {', '.join(f'{scale}×' for scale in at_scales)}"
        for (method, where), at_scales in scales.items()
    )


def slices_note(metrics: Sequence[str], scores: Mapping[str, str | Path], empty: str) -> str:
    """Return the footnote on metrics that are taken on slices; empty if there are none.

    Args:
        metrics: Names.
        scores: What `mrisr.evaluate.subjects.score_subjects` wrote of the ground truth, by label
            of the dataset.
        empty: Whether slices without signal are `exclude`d or `include`d.
    """
    about = [metric_modules.metadata(name) for name in metrics]
    labels = [metric.label for metric in about if metric.slices]
    if not labels or not scores:
        return ""
    names = " and ".join([", ".join(labels[:-1]), labels[-1]] if labels[1:] else labels)
    counts = []
    for label, path in scores.items():
        seals.check(path)
        table = read_table(path).groupby("metric")["value"].sum()
        where = f"{label}: " if len(scores) > 1 else ""
        counts.append(f"{where}{table['empty_slices']:,.0f} of {table['slices']:,.0f}")
    fate = "left out" if empty == "exclude" else "counted all the same"
    what = "are means" if labels[1:] else "is a mean"
    return (
        f"{names} {what} over 2-D slices in three directions; those without signal in the"
        f" ground truth ({'; '.join(counts)}) are {fate}."
    )


def _read(cell: Mapping) -> dict[Column, pd.Series]:
    """Return a cell's values by metric and region; empty if it is skipped or not measured yet."""
    path = cell["path"]
    if cell["skipped"] or path is None or not Path(path).exists():
        return {}
    seals.check(path)
    try:
        table = read_table(path).astype({"value": float})
        found = {key: group for key, group in table.groupby(["metric", "region"], sort=False)}
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a table of subject, metric, region, value ({error}); delete it and run"
            " again"
        ) from None
    subjects = {tuple(group["subject"]) for group in found.values()}
    if table["value"].isna().any() or len(subjects) != 1 or table["subject"].isna().any():
        raise InputError(
            f"{path}: values are missing, or subjects differ between metrics; delete it and run"
            " again"
        )
    if table.duplicated(["metric", "region", "subject"]).any():
        raise InputError(f"{path}: a subject is there twice; delete it and run again")
    by_column = {key: group.set_index("subject")["value"] for key, group in found.items()}
    if cell.get("slices"):
        return {
            key: series.groupby(subject_of, sort=False).mean() for key, series in by_column.items()
        }
    return by_column


def held_by(cells: Iterable[Mapping]) -> str:
    """Return the label of the metric in which learned methods are held against the baseline."""
    names = dict.fromkeys(cell.get("held_by", "psnr") for cell in cells)
    return metric_modules.metadata(next(iter(names), "psnr")).label


def _held(cell: Mapping, measured: Mapping[Column, pd.Series]) -> float:
    measured_values = measured.get((cell.get("held_by", "psnr"), "volume"))
    return math.nan if measured_values is None else float(np.mean(measured_values.to_numpy()))


def _remarks(cell: Mapping, measured: dict, baselines: dict, baseline: str | None) -> list[str]:
    if cell["skipped"]:
        return [f"skipped: {cell['skipped']}"]
    found = [] if measured else ["missing"]
    model = cell["model"] or {}
    if model.get("collapsed"):
        found.append(COLLAPSED)
    comparable = cell["method"] != baseline and cell.get("has_ground_truth", True)
    if measured and cell["learned"] and baseline is not None and comparable:
        mean = _held(cell, measured)
        base = baselines.get((cell["dataset"], cell["scale"]), math.nan)
        if math.isnan(mean) or math.isnan(base):
            found.append(UNCHECKED)
        elif mean <= base:
            found.append(UNDERTRAINED)
    if restarts := model.get("restarts"):
        found.append("restarted once" if restarts == 1 else f"restarted {restarts} times")
    return found
