"""What failed, is missing, was left out or deserves no trust, as short lines with links."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.statistics import FEWEST
from mrisr.common.text import listed
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import COLLAPSED, UNDERTRAINED, UNTESTED, heading, places
from mrisr.methods.model_files import with_models
from mrisr.tables import footnotes

#: How bad a line is, worst first: a job failed; a result is not there; a result deserves no trust;
#: a thing to know.
LEVELS = FAILED, ABSENT, DOUBTFUL, NOTE = "failed", "missing", "doubtful", "note"
SAID = {
    COLLAPSED: (DOUBTFUL, "‡ Training collapsed"),
    UNDERTRAINED: (DOUBTFUL, "† Undertrained, says little about the method"),
    UNTESTED: (NOTE, "§ Not tested against the baseline"),
}


def left_out(
    study_facts: Mapping,
    quality: pd.DataFrame,
    cohorts: Sequence[Mapping],
    *,
    state: Mapping | None = None,
    remarks: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Return what a reader must know before trusting the numbers, the worst first.

    Args:
        study_facts: See `mrisr.plan.report.study_facts`.
        quality: Table of image quality, see `mrisr.tables.quality`.
        cohorts: Each test dataset with its label, `apart` (number of values that stand out) and
            `subjects`.
        state: State of an unfinished study, see `mrisr.report.partial.for_page`.
        remarks: Sentences on what the viewer leaves out.

    Returns:
        level (see `LEVELS`), text, and link (an address on the page, or empty).
    """
    cells = study_facts["cells"]
    lines = [
        *_jobs(cells, state),
        *_trainings(cells, quality),
        *_metrics(cells, quality),
        *_subjects(cells, quality, cohorts),
        *_skipped(cells),
    ]
    if study_facts["config"].get("preset") == "demo":
        said = "Demo preset: networks and training are shrunk; no row tells how good a method is."
        lines.append(_line(DOUBTFUL, said, "#manifest"))
    lines += [_line(NOTE, f"Slice viewer: {remark}", "#viewer") for remark in remarks]
    return sorted(lines, key=lambda line: LEVELS.index(line["level"]))


def _line(level: str, text: str, link: str = "") -> dict[str, str]:
    return {"level": level, "text": text, "link": link}


def _jobs(cells: Sequence[Mapping], state: Mapping | None) -> list[dict[str, str]]:
    found = []
    if state and state["done"] < state["of"]:
        said = f"Unfinished: {state['done']} of {state['of']} cells are measured."
        found.append(_line(ABSENT, said, "#state"))
    failures = len(state["failures"]) if state else 0
    if failures:
        said = f"{failures} job{'s' * (failures != 1)} failed"
        found.append(_line(FAILED, f"{said}; the state has their logs.", "#state"))
    missing = [
        cell
        for cell in cells
        if not cell["skipped"] and not (cell["path"] and Path(cell["path"]).exists())
    ]
    if missing:
        link = "#state" if state else ""
        found.append(_line(ABSENT, f"Not measured: {places(missing, cells)}.", link))
    partly = [
        cell
        for cell in cells
        if not all(Path(repeat["path"]).exists() for repeat in cell.get("repeats", ()))
        and cell not in missing
    ]
    if partly:
        said = f"Not all trainings are measured: {places(partly, cells)}."
        found.append(_line(ABSENT, said, "#state" if state else ""))
    return found


def _noted(cells: Sequence[Mapping], quality: pd.DataFrame, remark: str) -> list[Mapping]:
    """Return the cells whose row of the table has a remark."""
    if quality.empty:
        return []
    with_it = quality[quality["note"].astype(str).str.contains(remark, regex=False)]
    places_found = (with_it["dataset"], with_it["scale"].astype(float), with_it["method"])
    keys = set(zip(*places_found, strict=True))
    return [c for c in cells if (c["dataset"], float(c["scale"]), c["method"]) in keys]


def _trainings(cells: Sequence[Mapping], quality: pd.DataFrame) -> list[dict[str, str]]:
    found = []
    for remark, (level, said) in SAID.items():
        if chosen := _noted(cells, quality, remark):
            found.append(_line(level, f"{said}: {places(chosen, cells)}.", "#methods"))
    found += [_line(NOTE, said, "#methods") for said in footnotes.time_budgets(with_models(cells))]
    if chosen := _noted(cells, quality, "restarted "):
        said = f"Training started anew after a collapse: {places(chosen, cells)}."
        found.append(_line(NOTE, said, "#methods"))
    return found


def _metrics(cells: Sequence[Mapping], quality: pd.DataFrame) -> list[dict[str, str]]:
    if quality.empty:
        return []
    labels = {str(cell["dataset"]): str(cell["dataset_label"]) for cell in cells}
    found = []
    for dataset, inside in quality.groupby("dataset", sort=False):
        disordered = inside[inside["note"].astype(str).str.contains(OUT_OF_ORDER, regex=False)]
        if names := _headings(disordered):
            said = f"Not ranked on {labels.get(dataset, dataset)}, as the controls are out of order"
            found.append(_line(DOUBTFUL, f"{said}: {names}.", "#table-quality"))
        measured = inside.groupby(["metric", "region"], sort=False)["n"].max()
        empty = [column for column, n in measured.items() if not n] if measured.any() else []
        if empty:
            absent = listed([_name(*column) for column in empty])
            said = f"Without any value on {labels.get(dataset, dataset)}: {absent}."
            found.append(_line(NOTE, said, "#table-quality"))
    return found


def _headings(frame: pd.DataFrame) -> str:
    columns = dict.fromkeys(zip(frame["metric"], frame["region"], strict=True))
    return listed([_name(*column) for column in columns])


def _name(metric: str, region: str) -> str:
    """Return a metric's heading without arrow and unit."""
    if metric not in metric_modules.names():
        return metric
    return heading(metric, region).split(" ↑")[0].split(" ↓")[0].split(" (")[0]


def _subjects(
    cells: Sequence[Mapping], quality: pd.DataFrame, cohorts: Iterable[Mapping]
) -> list[dict[str, str]]:
    found = []
    for cohort in cohorts:
        inside = quality if quality.empty else quality[quality["dataset"] == cohort["dataset"]]
        n = 0 if inside.empty else int(inside["n"].max())
        link = f"#subjects-{cohort['dataset']}"
        if 0 < n < FEWEST:
            subjects = f"{n} test subject{'s' * (n != 1)}"
            said = f"Only {subjects} of {cohort['label']}: no intervals, and no test can decide."
            found.append(_line(DOUBTFUL, said, link))
        if apart := cohort["apart"]:
            said = f"{apart} value{'s' * (apart != 1)} of {cohort['label']} out of the ordinary"
            found.append(_line(NOTE, f"{said}, among those of every subject.", link))
    return found


def _skipped(cells: Sequence[Mapping]) -> list[dict[str, str]]:
    reasons: dict[str, list[Mapping]] = {}
    for cell in cells:
        if cell["skipped"]:
            reasons.setdefault(str(cell["skipped"]).rstrip("."), []).append(cell)
    return [
        _line(NOTE, f"Not applied (n/a): {places(chosen, cells)}: {reason}.", "#methods")
        for reason, chosen in reasons.items()
    ]
