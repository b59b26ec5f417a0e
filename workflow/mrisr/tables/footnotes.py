"""Sentences that tables share: how numbers were made, and what marks mean."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from mrisr import metrics
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST
from mrisr.evaluate.measured import (
    ALPHA,
    COLLAPSED,
    EXTRAPOLATED,
    MARKS,
    NOT_ABOVE,
    TRAININGS_MEASURED,
    UNDERTRAINED,
    UNTESTED,
    Column,
    margin,
    places,
    trainings_of,
)
from mrisr.methods.budget import FALLING, FEW_STEPS, LAST, minutes_text, time_budget
from mrisr.methods.model_files import own_training, shipped_training

#: Training settings that decide how much data a step sees.
SIZES = {
    "batch": "a batch",
    "patch": "patches",
    "lr_patch": "LR patches",
    "queries": "queries",
}
#: Orders of axes of imported weights that differ from ours.
AXES = {
    "file": " (which see a volume as its scan's file has it)",
    "file_reversed": " (which see a volume as SimpleITK reads its scan's file: z, y, x)",
}


def topics(notes: Mapping[str, str]) -> list[str]:
    """Return one sentence for each topic, with the topic first; empty ones are left out."""
    found = []
    for topic, text in notes.items():
        if text:
            topic = topic.replace("_", " ").capitalize()
            said = str(text).casefold().startswith(topic.casefold())
            found.append(str(text) if said else f"{topic}: {text}")
    return found


def margins(shown: Iterable[Column], given: Mapping[str, float] | None) -> str:
    """Return the margins of metrics as text: PSNR 0.1 dB, SSIM 0.002; empty if none has one.

    Args:
        shown: Metrics and regions of the table.
        given: Margins of the study, see `mrisr.evaluate.measured.margin`.
    """
    about = {metric: margin(metric, given) for metric, _ in shown}
    return ", ".join(
        f"{metrics.metadata(name).label} {width:g} {metrics.metadata(name).unit}".strip()
        for name, width in about.items()
        if width
    )


def marks(where: Mapping[str, str], baseline: str | None, metric: str) -> list[str]:
    """Return the meaning of the marks that a table has.

    Args:
        where: For each remark, the methods and scales that it is about.
        baseline: Label of the method that learned ones are compared with.
        metric: Metric and region of that comparison.
    """
    meaning = {
        UNDERTRAINED: f"undertrained, fewer than {FEW_STEPS:.0%} of the published steps, or a"
        f" validation loss that still fell by more than {FALLING:.0%} over the last {LAST:.0%} of a"
        " training that had not reached them; says little about the method".replace("%", " %"),
        COLLAPSED: "collapsed, training ended in a constant output; says little about the method",
        NOT_ABOVE: f"not above {baseline}, in {metric} a one-sided Wilcoxon"
        f" signed-rank test over the subjects does not find it better (p at least {ALPHA})",
        UNTESTED: f"not tested against {baseline}, fewer than {FEWEST} subjects, or {metric} is"
        " missing",
    }
    return [
        f"{MARKS[remark]} {text}: {where[remark]}."
        for remark, text in meaning.items()
        if remark in where
    ]


def intervals(frame: pd.DataFrame) -> list[str]:
    """Return the sentence on the intervals of a table's rows; none for a table without rows."""
    if frame["ci_low"].notna().any():
        return ["In brackets: Student's t interval of the mean over subjects (95 %)."]
    return [f"Fewer than {FEWEST} subjects have no interval."] if len(frame) else []


def of_image_quality(frame: pd.DataFrame, cells: Iterable[Mapping]) -> list[str]:
    """Return what the table of image quality says of methods, for tables that stand beside it.

    Args:
        frame: Rows with method, scale and note.
        cells: The table's cells, for the labels of methods.
    """
    remarks = frame["note"].str.split("; ")
    found = [
        f"{mark} {remark}, see the table of image quality."
        for remark, mark in MARKS.items()
        if remarks.map(lambda present, remark=remark: remark in present).any()
    ]
    labels = {cell["method"]: cell["method_label"] for cell in cells}
    for note, rows in frame[frame["note"].str.startswith("skipped: ")].groupby("note", sort=False):
        where = [
            f"{labels[method]} at {scale_name(scale)}×"
            for method, scale in rows[["method", "scale"]].drop_duplicates().itertuples(index=False)
        ]
        found.append(f"n/a: {', '.join(where)}: {note.removeprefix('skipped: ').rstrip('.')}.")
    return found


def skipped(where: Mapping[str, str]) -> list[str]:
    """Return sentences on skipped methods, restarted trainings and extrapolation.

    Args:
        where: For each remark, the methods and scales that it is about.
    """
    found = []
    for remark, cells_named in where.items():
        if remark.startswith("skipped: "):
            reason = remark.removeprefix("skipped: ").rstrip(".")
            found.append(f"n/a: {cells_named}: {reason}.")
        elif remark.startswith("restarted "):
            found.append(f"Training {remark} after it had collapsed: {cells_named}.")
        elif remark == EXTRAPOLATED:
            found.append(f"Extrapolated, {remark}: {cells_named}.")
        elif remark.endswith(TRAININGS_MEASURED):
            found.append(f"Only {remark} so far: {cells_named}.")
    return found


def several_trainings(cells: Iterable[Mapping]) -> list[str]:
    """Return what the means of methods that are trained several times are; else nothing."""
    cells = [cell for cell in cells if not cell["skipped"]]
    groups: dict[int, list[Mapping]] = {}
    for cell in cells:
        if repeats := cell.get("repeats"):
            groups.setdefault(1 + len(repeats), []).append(cell)
    if not groups:
        return []
    counts = "; ".join(
        f"{count} times: {places(members, cells)}" for count, members in groups.items()
    )
    return [
        f"Trained several times, each time with another seed, {counts}. A subject's value is the"
        " mean over the trainings, so that n counts subjects, and intervals and tests are over"
        " subjects; they do not cover the choice of seeds.",
        "Two spreads of such a row: of these values between subjects, beside the mean; and of each"
        " training's mean over the subjects between seeds, in the second line of the table quality"
        " (both sample standard deviations).",
    ]


def training(cells: Iterable[Mapping]) -> list[str]:
    """Return how long each learned method was trained, or where its weights come from."""
    groups: dict[tuple, list[Mapping]] = {}
    falling: list[Mapping] = []
    per_subject: dict[str, list[Mapping]] = {}  # models of one subject each, and shipped ones
    cells = list(cells)
    for cell in cells:
        if not cell["learned"] or cell["skipped"]:
            continue
        model = cell["model"] or {}
        models = [about for about in trainings_of(cell) if about]
        if any((about.get("loss_fell") or 0.0) > FALLING for about in models):
            falling.append(cell)
        if "models" in model:
            per_subject.setdefault(own_training(model), []).append(cell)
            continue
        goal = cell["published_steps"] or model.get("published_steps")
        file = _imported(model) if model.get("imported") else None
        if model.get("shipped"):
            per_subject.setdefault(shipped_training(model), []).append(cell)
            continue
        published = cell.get("published_training") or {}
        sizes = _passes(model, published) + _sizes(model, published)
        steps = tuple(sorted({about["steps"] for about in models if about.get("steps")}))
        start = _start(model.get("started_from"))
        key = (steps, goal, model.get("preset"), file, sizes, start)
        groups.setdefault(key, []).append(cell)
    lines = []
    for (steps, goal, preset, file, sizes, start), members in groups.items():
        done = "an unknown number of steps (no model.json)"
        if steps:
            ends = dict.fromkeys([steps[0], steps[-1]])
            count = " to ".join(f"{end:,}" for end in ends)
            share = " to ".join(dict.fromkeys(_percent(end / goal) for end in ends)) if goal else ""
            done = (
                f"{count} of the {goal:,} published steps ({share})" if goal else f"{count} steps"
            )
        demo = "; demo preset, a shrunk network and schedule" if preset == "demo" else ""
        trained = f"rained for {done}{demo or sizes}{start}"
        if file is None:
            said = f"T{trained}"
        else:
            said = f"Weights imported from {file}" + (f", t{trained}" if steps else "")
        lines.append(f"{said}: {places(members, cells)}.")
    lines += [
        f"{said[0].upper()}{said[1:]}: {places(members, cells)}."
        for said, members in per_subject.items()
    ]
    lines += time_budgets(cells)
    if falling:
        lines.append(
            f"The validation loss was still falling when training ended: {places(falling, cells)}."
        )
    return lines


def _start(start: Mapping | None) -> str:
    """Return in words the weights that a training began with."""
    if not start:
        return ""
    steps = f" ({start['steps']:,} steps)" if start.get("steps") else ""
    if start.get("shipped"):
        return f", begun with the weights that come with mrisr{steps}"
    return f", begun with the weights of {Path(start['file']).name}{steps}"


def time_budgets(cells: Iterable[Mapping]) -> list[str]:
    """Return which trainings a time budget ended, and after how many minutes.

    Args:
        cells: Cells with the descriptions of their models.
    """
    cells = [cell for cell in cells if cell["learned"] and not cell["skipped"]]
    groups: dict[tuple[float, bool], list[Mapping]] = {}
    for cell in cells:
        models = filter(None, trainings_of(cell))
        for budget in dict.fromkeys(filter(None, map(time_budget, models))):
            groups.setdefault(budget, []).append(cell)
    return [
        f"Ended by a time budget, each training after {minutes_text(*budget)}:"
        f" {places(members, cells)}."
        for budget, members in groups.items()
    ]


def _imported(model: Mapping) -> str:
    """Return the source of imported weights, and the order of axes that they expect."""
    order = AXES.get(model.get("weights_axes", ""), "")
    return Path(model["file"]).name + order


def _passes(model: Mapping, published: Mapping) -> str:
    """Return how often a training saw each patch: with few subjects, many steps are many passes."""
    passes, goal = model.get("passes"), published.get("epochs")
    if passes is None or not goal or published.get("steps_per_epoch"):  # the paper states no passes
        return ""
    count = f"{passes:,.0f}" if passes >= 10 else f"{passes:.2g}"
    return f", {count} passes over its patches ({goal:,} published)"


def _sizes(model: Mapping, published: Mapping) -> str:
    """Return how much data a step saw, where that is not as published: steps alone mislead."""
    used, published = _seen(model.get("training") or {}), _seen(published)
    changed = [
        f"{words} of {used[key]} ({published[key]})"
        for key, words in SIZES.items()
        if key in used and key in published and used[key] != published[key]
    ]
    return f", each with {', '.join(changed)} in place of the published" if changed else ""


def _seen(training: Mapping) -> dict:
    """Return training settings, with the edge of HR patches in words if the scale sets it."""
    if "patch" not in training:
        return dict(training)
    edge = training["patch"] or f"{training.get('lr_patch')} times the scale"
    return {**{key: said for key, said in training.items() if key != "lr_patch"}, "patch": edge}


def unavailable(shown: Iterable[str], reasons: Mapping[str, str]) -> list[str]:
    """Return why some of the metrics shown could not be computed."""
    return [
        f"{metrics.metadata(name).label}: {reasons[name].rstrip('.')}."
        for name in dict.fromkeys(shown)
        if name in reasons
    ]


def simulated(cells: Iterable[Mapping]) -> list[str]:
    """Return which datasets are simulated."""
    labels = dict.fromkeys(cell["dataset_label"] for cell in cells if cell.get("simulated"))
    return [f"{label}: no scans; values say nothing about real brains." for label in labels]


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %" if ratio >= 0.01 else f"{100 * ratio:.2g} %"
