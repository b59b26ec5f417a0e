"""The leaderboard: one line a method, with its primary metric, its cost and its files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.common.layout import scale_name
from mrisr.evaluate.controls import OUT_OF_ORDER
from mrisr.evaluate.measured import DOUBTFUL, MARKS, primary_region
from mrisr.report.headline import measure
from mrisr.tables.numbers import interval, number

UNKNOWN = "–"
FILES = ("model.safetensors", "weights"), ("model.json", "card")


def leaderboard(
    study_facts: Mapping, quality: pd.DataFrame, models: Sequence[Mapping], output: str | Path
) -> dict | None:
    """Return the leaderboard of a study; None before anything is measured.

    Args:
        study_facts: See `mrisr.plan.report.study_facts`.
        quality: Table of image quality, see `mrisr.tables.quality`.
        models: The models as the page shows them (text by method), with their folder.
        output: The report, from whose folder links to files lead.

    Returns:
        measure, header (one heading a dataset and scale), and rows, the best of the first column
        first: method, label, marks, kind, paper, cells, models and files.
    """
    if quality.empty:
        return None
    metric = study_facts["config"]["primary_metric"]
    measured = quality[quality["n"] > 0]
    region = primary_region(zip(measured["metric"], measured["region"], strict=True), metric)
    about = metric_modules.metadata(metric)
    inside = measured[(measured["metric"] == metric) & (measured["region"] == region)]
    by = {(row.dataset, float(row.scale), row.method): row for row in inside.itertuples()}
    places = {
        (cell["dataset"], float(cell["scale"])): str(cell["dataset_label"])
        for cell in study_facts["cells"]
        if cell.get("has_ground_truth", True) or not about.reference
    }
    several = len({dataset for dataset, _ in places}) > 1
    header = [
        f"{scale_name(scale)}×" + (f" {label}" if several else "")
        for (_, scale), label in places.items()
    ]
    rows = [
        _row(method, places, by, about, models, Path(output).parent)
        for method in study_facts["methods"]
        if not method["control"]
    ]
    sign = 1 if about.better == "lower" else -1
    rows.sort(key=lambda row: [_order(cell, sign) for cell in row["cells"]])
    disordered = inside["note"].astype(str).str.contains(OUT_OF_ORDER, regex=False).any()
    return {
        "measure": measure((metric, region)) + (f" ({about.unit})" if about.unit else ""),
        "ranked": bool(about.better) and not disordered,
        "header": [
            {"text": text, "dataset": dataset, "scale": scale_name(scale)}
            for text, (dataset, scale) in zip(header, places, strict=True)
        ],
        "rows": rows,
    }


def _order(cell: Mapping, sign: int) -> tuple[bool, float]:
    """Return the key that sorts a cell: the best first, those without a value last."""
    return cell["mean"] is None, 0.0 if cell["mean"] is None else sign * cell["mean"]


def _row(
    method: Mapping,
    places: Mapping[tuple[str, float], str],
    by: Mapping,
    about: metric_modules.Metadata,
    models: Sequence[Mapping],
    folder: Path,
) -> dict:
    found = [by.get((*place, method["name"])) for place in places]
    notes = " ".join(str(row.note) for row in found if row is not None)
    mine = [model for model in models if model["method"] == method["name"]]
    return {
        "method": method["name"],
        "label": method["label"],
        "marks": "".join(MARKS[remark] for remark in DOUBTFUL if remark in notes),
        "paper": {"title": "", "doi": "", **(method["paper"] or {})},
        "cells": [_cell(row, about.digits) for row in found],
        "parameters": _joined(mine, "parameters"),
        "steps": _joined(mine, "steps"),
        "seconds": _joined(mine, "seconds"),
        "files": [link for model in mine for link in _files(model, folder)],
        "own": len(method["own"]),
    }


def _joined(models: Sequence[Mapping], key: str) -> str:
    """Return what several models of a method have, each different text once."""
    return ", ".join(dict.fromkeys(model[key] for model in models)) or UNKNOWN


def _cell(row: object, digits: int) -> dict:
    if row is None:
        return {"text": UNKNOWN, "below": "", "mean": None}
    ends = "" if pd.isna(row.ci_low) else interval(row.ci_low, row.ci_high, digits)
    return {"text": number(row.mean, digits=digits), "below": ends, "mean": float(row.mean)}


def _files(model: Mapping, folder: Path) -> list[dict[str, str]]:
    """Return links to the files of a model that exist, as seen from the report's folder."""
    found = []
    for name, word in FILES:
        file = Path(model["folder"]) / name
        if file.exists():
            path = Path(os.path.relpath(file, folder)).as_posix()
            found.append({"href": quote(path), "text": f"{model['trained']} {word}"})
    return found
