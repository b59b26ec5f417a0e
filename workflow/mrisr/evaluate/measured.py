"""The measured values of each cell of a study, and which cells support a conclusion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name, subject_of
from mrisr.common.statistics import FEWEST, wilcoxon
from mrisr.evaluate.read_table import read_table
from mrisr.methods.budget import too_short

UNDERTRAINED, COLLAPSED = "undertrained", "collapsed"
NOT_ABOVE, UNTESTED = "not above the baseline", "not tested against the baseline"
MARKS = {UNDERTRAINED: "†", COLLAPSED: "‡", NOT_ABOVE: "¶", UNTESTED: "§"}
#: Marks of trainings that say little about their method, whatever their scores.
DOUBTFUL = (UNDERTRAINED, COLLAPSED)
ALPHA = 0.05
#: Note on a value whose mean is infinite although some subjects are not.
PARTLY = "infinite in some subjects"
EXTRAPOLATED = "beyond the scales of its training"
#: End of the remark on a method whose further trainings are not all measured yet.
TRAININGS_MEASURED = " trainings measured"

Column = tuple[str, str]  # metric, region


@dataclass(frozen=True)
class Held:
    """Comparison of a learned method with the baseline.

    Attributes:
        metric: Metric of the comparison.
        difference: Mean over the subjects of the method's value minus the baseline's.
        p: One-sided p of Wilcoxon's signed-rank test that the method is better.
        n: Number of subjects.
    """

    metric: str
    difference: float
    p: float
    n: int


@dataclass(frozen=True)
class Row:
    """Measured values of a method on a dataset at a scale.

    Attributes:
        cell: Description of the cell, see `read_rows`.
        values: By metric and region, each indexed by subject, the mean over the trainings of the
            method; empty if the cell is skipped or missing.
        remarks: Notes on the row, as the tables' CSV has them.
        held: Comparison with the baseline; None if there was no test.
        unmeasured: Metrics and regions that could not be measured in every subject. They have no
            values, because means over other subjects do not compare.
        trainings: The values of each training of the method that is measured.
    """

    cell: Mapping
    values: dict[Column, pd.Series]
    remarks: list[str]
    held: Held | None = None
    unmeasured: frozenset[Column] = frozenset()
    trainings: tuple[Mapping[Column, pd.Series], ...] = ()

    @property
    def label(self) -> str:
        """The method's label, with the number of trainings if there are several."""
        several = f" ({len(self.trainings)} seeds)" if len(self.trainings) > 1 else ""
        return f"{self.cell['method_label']}{several}"

    def between_seeds(self, column: Column) -> float:
        """Return the sample standard deviation of the trainings' means over the subjects.

        NaN if it is not known: of one training, or of infinite values.
        """
        means = [float(training[column].mean()) for training in self.trainings]
        return (
            float(np.std(means, ddof=1)) if len(means) > 1 and np.isfinite(means).all() else np.nan
        )

    @property
    def ranked(self) -> bool:
        """Whether the row may be compared with others: it is neither a control nor skipped."""
        return not (self.cell["control"] or self.cell["skipped"])


def read_rows(cells: Sequence[Mapping], baseline: str | None = None) -> list[Row]:
    """Read the metrics of a study's cells and compare learned methods with the baseline.

    Args:
        cells: One for each dataset, scale and method, in the order to print. Keys: dataset,
            dataset_label, scale, method, method_label, control, learned, path (of the metrics CSV),
            skipped (a reason or None), model (content of `model.json` or None), published_steps (or
            None). Optional keys: simulated (the dataset is no scan); slices (the CSV has a
            subject's slices, whose mean is the subject's value); has_ground_truth (False for real
            LR scans, which have only metrics without reference and no comparison with the
            baseline); repeats (path and model of each further training of the method).
        baseline: Name of the method that learned ones are compared with, None for no test. The test
            is a one-sided Wilcoxon signed-rank test over the subjects, of PSNR (or the metric of
            the cells' key held_by). It uses values inside the mask, where they exist, else over the
            volume.

    Returns:
        One row for each cell, in the order of the cells.

    Raises:
        InputError: A metrics CSV is damaged, incomplete or holds NaN, or two of a dataset hold
            different subjects.
    """
    trainings = [_trainings(cell) for cell in cells]
    by_cell = [_averaged(found) for found in trainings]
    _same_subjects(cells, by_cell)
    baselines = {
        (cell["dataset"], cell["scale"]): Row(cell, measured, [])
        for cell, (measured, _) in zip(cells, by_cell, strict=True)
        if cell["method"] == baseline
    }
    rows = []
    for cell, (measured, lost), found in zip(cells, by_cell, trainings, strict=True):
        each = tuple(one for _, one, _ in found)
        remarks = _remarks(cell, measured, len(found))
        row = Row(cell, measured, remarks, unmeasured=lost, trainings=each)
        comparable = cell["method"] != baseline and cell.get("has_ground_truth", True)
        if measured and cell["learned"] and baseline is not None and comparable:
            held = _held(row, baselines.get((cell["dataset"], cell["scale"])))
            if held is None:
                row.remarks.append(UNTESTED)
            elif held.p >= ALPHA:
                row.remarks.append(NOT_ABOVE)
            row = replace(row, held=held)
        rows.append(row)
    return rows


def paired(row: Row, other: Row, column: Column) -> np.ndarray:
    """Return the values of a row minus those of another, one for each subject.

    Raises:
        InputError: They hold different subjects.
    """
    scores, others = row.values[column], other.values[column]
    if set(scores.index) != set(others.index):
        apart = sorted(set(scores.index) ^ set(others.index))
        raise _apart(row.cell["path"], other.cell["path"], apart)
    with np.errstate(invalid="ignore"):  # two infinite values have no difference
        return scores.to_numpy() - others[scores.index].to_numpy()


def columns(
    rows: Iterable[Row],
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    unavailable: Iterable[str] = (),
) -> list[Column]:
    """Return the columns of a table: all metrics over the volume, then inside the mask.

    Metrics that need a ground truth are left out where no row has one.

    Args:
        rows: Measured rows.
        metrics: Names in printed order; default the measured or unavailable ones, or all metrics if
            nothing has been measured.
        regions: Regions; default the measured ones.
        unavailable: Metrics without values that have columns all the same.
    """
    rows = list(rows)
    compared = not rows or any(map(has_ground_truth, rows))
    found = [column for row in rows for column in (*row.values, *row.unmeasured)]
    if metrics is None:
        present = {metric for metric, _ in found} | set(unavailable)
        metrics = [name for name in metric_modules.names() if name in present or not found]
    if regions is None:
        present = {region for _, region in found}
        every = metric_modules.REGIONS if found else metric_modules.USUAL
        regions = [name for name in every if name in present or not found]
    return [
        (metric, region)
        for region in regions
        for metric in metrics
        if metric_modules.metadata(metric).takes(region)
        and (compared or not metric_modules.metadata(metric).reference)
    ]


def has_ground_truth(row: Row) -> bool:
    """Return whether a row's dataset has a ground truth; real LR scans have none."""
    return row.cell.get("has_ground_truth", True)


def heading(metric: str, region: str) -> str:
    """Return a column's heading: label, region, better direction, unit."""
    about = metric_modules.metadata(metric)
    said = {"volume": "", "edges": " at edges", "through_plane": " through the plane"}
    where = said.get(region, f" in {region}")
    arrow = {"higher": " ↑", "lower": " ↓", "": ""}[about.better]
    return f"{about.label}{where}{arrow}" + (f" ({about.unit})" if about.unit else "")


def places(chosen: Iterable[Mapping], cells: Sequence[Mapping]) -> str:
    """Return the methods of cells with their scales, and their datasets if `cells` have several."""
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
    """Return the footnote on metrics of slices; empty if there are none.

    Args:
        metrics: Names of metrics.
        scores: CSV of the ground truth's scores (`mrisr.evaluate.subjects.score_subjects`), by
            label of the dataset.
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


def _same_subjects(cells: Sequence[Mapping], by_cell: Sequence[tuple[Mapping, frozenset]]) -> None:
    """Raise InputError if two methods of a dataset were measured in different subjects."""
    first: dict[str, tuple[str, set]] = {}
    for cell, (measured, _) in zip(cells, by_cell, strict=True):
        if not measured or cell.get("reference"):  # some subjects may lack an HR reference
            continue
        subjects = set(next(iter(measured.values())).index)
        other, known = first.setdefault(cell["dataset"], (cell["path"], subjects))
        if apart := sorted(subjects ^ known):
            raise _apart(cell["path"], other, apart)


def _apart(path: object, other: object, subjects: Sequence[str]) -> InputError:
    return InputError(
        f"{path}: other subjects than in {other}"
        f" ({', '.join(subjects[:5])}{', ...' if len(subjects) > 5 else ''}); delete both and run"
        " again"
    )


def _trainings(
    cell: Mapping,
) -> list[tuple[str, dict[Column, pd.Series], frozenset[Column]]]:
    """Return the file, the measured and the lost columns of each training that is measured."""
    if cell["skipped"]:
        return []
    paths = [cell["path"], *(repeat["path"] for repeat in cell.get("repeats", ()))]
    there = [path for path in paths if path is not None and Path(path).exists()]
    return [(path, *_measured(_read(path, cell.get("slices", False)))) for path in there]


def _averaged(
    trainings: Sequence[tuple[str, Mapping[Column, pd.Series], frozenset[Column]]],
) -> tuple[dict[Column, pd.Series], frozenset[Column]]:
    """Return each subject's mean over the trainings, and the columns that some training lost."""
    if not trainings:
        return {}, frozenset()
    lost = frozenset().union(*(columns_lost for _, _, columns_lost in trainings))
    (first, measured, _), *others = trainings
    averaged = {}
    for column, scores in measured.items():
        if column in lost or not all(column in other for _, other, _ in others):
            continue
        for path, other, _ in others:
            if apart := sorted(set(scores.index) ^ set(other[column].index)):
                raise _apart(path, first, apart)
        every = [scores, *(other[column][scores.index] for _, other, _ in others)]
        averaged[column] = sum(every[1:], every[0]) / len(every) if others else scores
    return averaged, lost


def _measured(
    by_column: dict[Column, pd.Series],
) -> tuple[dict[Column, pd.Series], frozenset[Column]]:
    """Return the columns that were measured in every subject, and the others."""
    lost = frozenset(column for column, scores in by_column.items() if scores.isna().any())
    return {key: scores for key, scores in by_column.items() if key not in lost}, lost


def _read(path: str | Path, slices: bool) -> dict[Column, pd.Series]:
    """Return measured values by metric and region; those of slices as means of a subject."""
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
    missing = set(table.loc[table["value"].isna(), "metric"])
    if (
        any(_must_have(name) for name in missing)
        or len(subjects) != 1
        or table["subject"].isna().any()
    ):
        raise InputError(
            f"{path}: values are missing, or subjects differ between metrics; delete it and run"
            " again"
        )
    if table.duplicated(["metric", "region", "subject"]).any():
        raise InputError(f"{path}: a subject is there twice; delete it and run again")
    by_column = {key: group.set_index("subject")["value"] for key, group in found.items()}
    if slices:
        return {
            key: series.groupby(subject_of, sort=False).mean() for key, series in by_column.items()
        }
    return by_column


def margin(metric: str, margins: Mapping[str, float] | None = None) -> float:
    """Return the margin below which two means of a metric do not differ in practice, or 0.

    Args:
        metric: Name of the metric.
        margins: The study's margins, which replace those of the metrics.
    """
    return (margins or {}).get(metric, metric_modules.metadata(metric).margin)


def primary_region(columns: Iterable[Column], metric: str) -> str:
    """Return the region where a metric counts first: inside the mask, if it is measured there."""
    return "mask" if (metric, "mask") in set(columns) else "volume"


def _must_have(metric: str) -> bool:
    """Say whether a metric must have a value for every volume."""
    return metric not in metric_modules.names() or (
        metric_modules.metadata(metric).unmeasured is None
    )


def held_by(cells: Iterable[Mapping], columns: Iterable[Column] | None = None) -> str:
    """Return the metric in which learned methods are compared with the baseline, and its region.

    Args:
        cells: Cells of the study.
        columns: Measured columns; None leaves out the region.
    """
    name = next((cell.get("held_by", "psnr") for cell in cells), "psnr")
    label = metric_modules.metadata(name).label
    if columns is None:
        return label
    inside = primary_region(columns, name) == "mask"
    return f"{label} {'inside the mask' if inside else 'over the volume'}"


def _held(row: Row, base: Row | None) -> Held | None:
    """Return the comparison of a row with the baseline; None if no test is possible."""
    metric = row.cell.get("held_by", "psnr")
    column = (metric, primary_region(row.values, metric))
    if base is None or column not in row.values or column not in base.values:
        return None
    differences = paired(row, base, column)
    if len(differences) < FEWEST or np.isnan(differences).any():
        return None
    better = "less" if metric_modules.metadata(metric).better == "lower" else "greater"
    mean, p = float(differences.mean()), wilcoxon(differences, better)
    return Held(metric, mean, p, len(differences))


def trainings_of(cell: Mapping) -> list[Mapping | None]:
    """Return the description of each training of a cell's method, None for those not there yet."""
    return [cell["model"], *(repeat["model"] for repeat in cell.get("repeats", ()))]


def _remarks(cell: Mapping, measured: Mapping, trainings: int) -> list[str]:
    if cell["skipped"]:
        return [f"skipped: {cell['skipped']}"]
    found = [] if measured else ["missing"]
    repeats = cell.get("repeats", ())
    if 0 < trainings <= len(repeats):
        found.append(f"{trainings} of {1 + len(repeats)}{TRAININGS_MEASURED}")
    models = [about or {} for about in trainings_of(cell)]
    goal = cell.get("published_steps")
    if any(model.get("collapsed") for model in models):
        found.append(COLLAPSED)
    elif cell["learned"] and any(
        too_short(model, goal or model.get("published_steps")) for model in models if model
    ):
        found.append(UNDERTRAINED)
    if restarts := sum(model.get("restarts") or 0 for model in models):
        found.append("restarted once" if restarts == 1 else f"restarted {restarts} times")
    if cell.get("beyond") and measured:
        found.append(EXTRAPOLATED)
    return found
