"""The report's first sentences: at each scale, the best method against the baseline."""

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name, subject_of
from mrisr.common.statistics import FEWEST
from mrisr.common.text import listed
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import DOUBTFUL, MARKS, Column, primary_region, trainings_of
from mrisr.methods.budget import minutes_text, time_budget
from mrisr.methods.model_files import with_models
from mrisr.tables.contrasts import BETTER, EQUIVALENT, FEW, OPEN, WORSE, turned
from mrisr.tables.numbers import interval, number, signed


def headlines(
    study_facts: Mapping, quality: pd.DataFrame, contrasts: pd.DataFrame, scores: pd.DataFrame
) -> list[dict[str, str]]:
    """Return what a study found in its primary metric, one entry a dataset and scale.

    Args:
        study_facts: See `mrisr.plan.report.study_facts`.
        quality: Table of image quality, see `mrisr.tables.quality`.
        contrasts: Table of significance, with the columns `mrisr.tables.contrasts.COLUMNS`.
        scores: See `mrisr.evaluate.outliers.subject_values`.

    Returns:
        dataset, scale and text (sentences). Datasets and scales without a value of the primary
        metric are left out.
    """
    cells = [cell for cell in study_facts["cells"] if cell.get("has_ground_truth", True)]
    several = len({cell["dataset"] for cell in cells}) > 1
    found = []
    for dataset, scale in dict.fromkeys((cell["dataset"], cell["scale"]) for cell in cells):
        here = [c for c in cells if (c["dataset"], c["scale"]) == (dataset, scale)]
        where = f"At {scale_name(scale)}×"
        where += f" on {here[0]['dataset_label']}" if several else ""
        tables = [_at(frame, dataset, scale) for frame in (quality, contrasts, scores)]
        if said := _sentence(where, here, study_facts["config"], *tables):
            found.append({"dataset": dataset, "scale": scale_name(scale), "text": said})
    return found


def measure(column: Column) -> str:
    """Return a metric and its region in words: PSNR inside the mask."""
    label = metric_modules.metadata(column[0]).label
    return f"{label} inside the mask" if column[1] == "mask" else label


def _at(frame: pd.DataFrame, dataset: str, scale: float) -> pd.DataFrame:
    if frame.empty:
        return frame
    return frame[(frame["dataset"] == dataset) & (frame["scale"].astype(float) == float(scale))]


def _sentence(
    where: str,
    cells: Sequence[Mapping],
    config: Mapping,
    quality: pd.DataFrame,
    contrasts: pd.DataFrame,
    scores: pd.DataFrame,
) -> str:
    """Return the sentences about one dataset and scale; empty if nothing is measured."""
    metric, baseline = config["primary_metric"], config["baseline"]
    measured = quality if quality.empty else quality[quality["n"] > 0]
    if measured.empty:
        return ""
    names = zip(measured["metric"], measured["region"], strict=True)
    column = (metric, primary_region(names, metric))
    labels = {c["method"]: str(c["method_label"]) for c in cells if not c["control"]}
    means = measured[
        (measured["metric"] == metric)
        & (measured["region"] == column[1])
        & measured["method"].isin(list(labels))
    ].set_index("method")
    if means.empty:
        return ""
    if means["note"].astype(str).str.contains(OUT_OF_ORDER).any():
        return f"{where}, {measure(column)} puts the controls out of order, so it ranks no method."
    lower = metric_modules.metadata(metric).better == "lower"
    order = list(means["mean"].sort_values(ascending=lower, kind="stable").index)
    if len(order) == 1:
        value = number(means["mean"].iloc[0], digits=metric_modules.metadata(metric).digits)
        value = f"{value} {metric_modules.metadata(metric).unit}".rstrip()
        return (
            f"{where}, only {labels[order[0]]} has a value ({measure(column)} {value}): there is"
            " nothing to compare it with."
        )
    best = order[0]
    reference = baseline if baseline in order else order[1]
    subject, leads = (best, True) if best != reference else (order[1], False)
    record = _contrast(contrasts, column, reference, subject)
    if record is None or math.isnan(record["difference"]):
        return (
            f"{where}, {labels[subject]} and {labels[reference]} cannot be compared in"
            f" {measure(column)}: some values are infinite or missing."
        )
    named = {name: labels[name] + _marks(means["note"].get(name)) for name in order}
    compared = _compared(record, column, named[subject], named[reference])
    aside = _aside(record, column, cells, scores)
    if leads:
        among = f", the best of {len(order)} methods," if len(order) > 2 else ""
        said = f"{where}, {compared.replace(named[subject], named[subject] + among, 1)} {aside}."
    else:
        said = f"{where}, no method is better than {named[reference]}: {compared} {aside}."
    said += _others(contrasts, column, reference, labels) if reference == baseline else ""
    said += _seeds(means.loc[[subject, reference]], named)
    said += _time(cells, [subject, reference], named)
    notes = f"{means['note'].get(subject)} {means['note'].get(reference)}"
    doubts = [mark for mark in DOUBTFUL if mark in notes]
    return said + "".join(
        f" {MARKS[doubt]} {doubt}: it says little about the method." for doubt in doubts
    )


def _seeds(means: pd.DataFrame, named: Mapping[str, str]) -> str:
    """Return how many trainings stand behind values, where there are several."""
    if "seeds" not in means:
        return ""
    several = means["seeds"][means["seeds"] > 1]
    return "".join(
        f" Values of {named[method]} are means over {count:.0f} trainings with different seeds."
        for method, count in several.items()
    )


def _time(cells: Sequence[Mapping], methods: Sequence[str], named: Mapping[str, str]) -> str:
    """Return after how many minutes a time budget ended the training of methods."""
    chosen = {cell["method"]: cell for cell in cells if cell["method"] in methods}
    found: dict[str, list[str]] = {}
    for method in methods:
        (cell,) = with_models([chosen[method]])
        for model in filter(None, trainings_of(cell)):
            if budget := time_budget(model):
                found.setdefault(minutes_text(*budget), []).append(named[method])
    return "".join(
        f" A time budget ended the training of {listed(list(dict.fromkeys(names)))} after {said}."
        for said, names in found.items()
    )


def _marks(note: object) -> str:
    return "".join(MARKS[remark] for remark in DOUBTFUL if remark in str(note))


def _contrast(contrasts: pd.DataFrame, column: Column, reference: str, method: str) -> dict | None:
    """Return the comparison of a method with a reference, turned if the table has it so."""
    if contrasts.empty:
        return None
    for one, other, way in ((reference, method, dict), (method, reference, turned)):
        found = contrasts[
            (contrasts["metric"] == column[0])
            & (contrasts["region"] == column[1])
            & (contrasts["reference"] == one)
            & (contrasts["method"] == other)
        ]
        if len(found):
            record = found.iloc[0].to_dict()
            record["conclusion"] = _text(record["conclusion"])
            if way is turned:
                record["ci_low"], record["ci_high"] = -record["ci_high"], -record["ci_low"]
            return {**way(record), "turned": way is turned}
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _compared(record: Mapping, column: Column, method: str, reference: str) -> str:
    about = metric_modules.metadata(column[0])
    difference = record["difference"]
    amount = number(abs(difference), digits=about.digits)
    if not amount.strip("0."):
        said = f"{method} is level with {reference} ({amount} {about.unit}".rstrip() + ")"
    else:
        way = "above" if difference > 0 else "below"
        said = f"{method} is {way} {reference} by {amount} {about.unit}".rstrip()
    ends = record["ci_low"], record["ci_high"]
    if not math.isnan(ends[0]):
        # The interval is of the amount that is said, so it turns with the word below.
        ends = ends if difference >= 0 else (-ends[1], -ends[0])
        said += f" {interval(*ends, about.digits)}"
    said += f" in {measure(column)}"
    return said + (", where lower is better" if about.better == "lower" else "")


def _aside(record: Mapping, column: Column, cells: Sequence[Mapping], scores: pd.DataFrame) -> str:
    """Return the number of subjects, and what a test says or each subject's difference."""
    n, about = int(record["n"]), metric_modules.metadata(column[0])
    if n < FEWEST:
        points = _points(record, column, cells, scores)
        shown = ", ".join(signed(point, about.digits) for point in points)
        of_each = f"; by subject {shown} {about.unit}".rstrip() if points else ""
        return f"(n = {n}, too few for an interval or a test{of_each})"
    said = [f"n = {n}", "95 % interval"] if not math.isnan(record["ci_low"]) else [f"n = {n}"]
    words = record["conclusion"].split(", ")
    if not math.isnan(record["p_holm"]):
        p = "< 0.001" if record["p_holm"] < 0.001 else f"= {record['p_holm']:.3f}"
        said.append(f"adjusted p {p}")
    if EQUIVALENT in words:
        said.append(f"equivalent within {record['margin']:g} {about.unit}".rstrip())
    if OPEN in words:
        few = _text(record["note"]) == FEW
        said.append("too few subjects for the tests to decide" if few else "not decided")
    return f"({', '.join(said)})"


def _points(
    record: Mapping, column: Column, cells: Sequence[Mapping], scores: pd.DataFrame
) -> list[float]:
    """Return each subject's difference, in the order of the subjects."""
    if scores.empty:
        return []
    inside = scores[(scores["metric"] == column[0]) & (scores["region"] == column[1])]
    sliced = any(cell.get("slices") for cell in cells)
    subjects = inside["subject"].map(subject_of) if sliced else inside["subject"]
    means = inside.groupby(["method", subjects], sort=False)["value"].mean()
    method, reference = record["method"], record["reference"]
    if not {method, reference} <= set(means.index.get_level_values(0)):
        return []
    differences = (means[method] - means[reference]).dropna()
    return list(-differences if record["turned"] else differences)


def _others(
    contrasts: pd.DataFrame, column: Column, baseline: str, labels: Mapping[str, str]
) -> str:
    """Return how many methods are better and worse than the baseline; empty below two methods."""
    inside = contrasts[
        (contrasts["metric"] == column[0])
        & (contrasts["region"] == column[1])
        & (contrasts["reference"] == baseline)
        & (contrasts["n"] >= FEWEST)
        & contrasts["p_holm"].notna()
    ]
    if len(inside) < 2:
        return ""
    words = [_text(said).split(", ") for said in inside["conclusion"]]
    counts = {word: sum(word in said for said in words) for word in (BETTER, WORSE, EQUIVALENT)}
    counts[OPEN] = sum(said == [OPEN] for said in words)
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f" Of {len(inside)} methods against {labels[baseline]}: {told}."


def mentioned(lines: Iterable[Mapping[str, str]]) -> tuple[dict | None, list[dict]]:
    """Return the first line and the others, as the page shows them."""
    first, *others = [*map(dict, lines)] or [None]
    return first, others
