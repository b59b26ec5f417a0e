"""The config's key `tables`, tables laid out as in papers: checked and completed.

It stays light and uses plain values, because the Snakefile reads it at parse time.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from mrisr.common.layout import HR_REFERENCE, scale_name
from mrisr.common.paths import ROOT
from mrisr.common.schema import nearest
from mrisr.study.study import Study
from mrisr.volumes.regions import MEAN, REGIONS

PUBLISHED = ROOT / "config" / "published"
OVERLAP_METRICS = ["dice", "iou"]
#: Tables that every study has; `tables` cannot take their names.
RESERVED = ("quality", "reader_study", "segmentation", "significance", "tissues")
LAYOUTS = {
    "quality": {"groups": "scale", "rows": "method", "columns": "metric"},
    "overlap": {"groups": "scale", "rows": "region", "columns": "method", "cells": "metric"},
}
#: Columns that a file of published values must have; `mean` and `std` may be empty.
PUBLISHED_COLUMNS = {
    "quality": ("scale", "method", "metric", "region", "mean", "std"),
    "overlap": ("scale", "method", "metric", "region", "mean"),
}
AXES = ("groups", "rows", "columns", "cells")


def specs(study: Study) -> list[dict]:
    """Return the study's tables, every key present.

    A study without segmentation has no tables of overlap.

    Returns:
        Plain values, one a table: name, title, kind, dataset, dataset_label, stands_for, heading,
        methods (name, label or None, group, columns), scales, metrics, unmeasured (metrics asked
        for that the study does not take), regions, layout (groups, rows, columns, cells; None
        where nothing lies there), mean, published (file, source).
    """
    return [
        _completed(study, name, asked)
        for name, asked in (study.config["tables"] or {}).items()
        if asked.get("kind") != "overlap" or study.segmentation is not None
    ]


def problems(study: Study) -> Iterator[str]:
    """Yield problems of the key `tables` that the schema does not find."""
    for name, asked in (study.config["tables"] or {}).items():
        where = f"tables.{name}"
        if name in RESERVED:
            yield f"{where}: every study has a table of this name; choose another"
        if asked["dataset"] not in study.test_datasets:
            yield (
                f"{where}.dataset: '{asked['dataset']}' is not among the test datasets:"
                f" {nearest(asked['dataset'], study.test_datasets)}"
            )
        elif asked.get("kind") == "overlap" and study.segmentation is None:
            continue  # the study has no tables of overlap
        elif asked.get("kind") == "overlap" and asked["dataset"] not in study.segmented_datasets:
            yield (
                f"{where}.dataset: '{asked['dataset']}' is not segmented; add it to"
                " segmentation.datasets"
            )
        else:
            spec = _completed(study, name, asked)
            yield from _unknown(study, where, spec)
            yield from _misplaced(where, spec)
            for entry in spec["published"]:
                yield from _unreadable(f"{where}.published", entry["file"], spec["kind"])


def file(path: str) -> str:
    """Return the path of published values; a relative one is below `config/published`."""
    return str(PUBLISHED / path)


def _completed(study: Study, name: str, asked: dict) -> dict:
    dataset = study.datasets[asked["dataset"]]
    kind = asked.get("kind", "quality")
    layout = asked.get("layout", LAYOUTS[kind])
    wanted = asked.get("metrics", _possible_metrics(study, kind, asked["dataset"]))
    # A study may measure less than the paper; a name that no metric has is refused later.
    taken = study.config["metrics"] if kind == "quality" else OVERLAP_METRICS
    unmeasured = [name for name in wanted if name in study.metrics.names() and name not in taken]
    return {
        "name": name,
        "title": asked.get("title", f"{name}: {dataset.label}"),
        "kind": kind,
        "dataset": asked["dataset"],
        "dataset_label": dataset.label,
        "stands_for": asked.get("stands_for"),
        "heading": asked.get("heading", "Method"),
        "methods": _listed(study, kind, asked),
        "scales": asked.get("scales", _possible_scales(study, kind, asked["dataset"])),
        "metrics": [name for name in wanted if name not in unmeasured],
        "unmeasured": unmeasured,
        "regions": [*REGIONS, MEAN] if kind == "overlap" else [asked.get("region", "volume")],
        "layout": {axis: layout.get(axis) for axis in AXES},
        "mean": asked.get("mean", False),
        "published": [
            {**entry, "file": file(entry["file"])} for entry in asked.get("published", [])
        ],
    }


def _listed(study: Study, kind: str, asked: dict) -> list[dict]:
    """Return the methods of a table; those of plugin folders come last, but before the bound."""
    possible = _possible_methods(study, kind, asked["dataset"])
    listed = _methods(asked.get("methods", possible))
    known = {method["name"] for method in listed}
    of_plugins = [
        name
        for name in possible
        if name in study.methods
        and name not in known
        and study.plugins_of(study.methods[name].folder)
    ]
    bounds = [m for m in listed if m["name"] in study.methods and _is_bound(study, m["name"])]
    others = [method for method in listed if method not in bounds]
    return [*others, *_methods(of_plugins), *bounds] if of_plugins else listed


def _is_bound(study: Study, name: str) -> bool:
    """Say whether a method is the control that is the ground truth."""
    return study.methods[name].input == "ground_truth"


def _methods(asked: list | dict) -> list[dict]:
    if isinstance(asked, list):
        asked = dict.fromkeys(asked)
    found = []
    for name, about in asked.items():
        about = {"label": about} if isinstance(about, str) else about or {}
        columns = {key: str(value) for key, value in about.get("columns", {}).items()}
        row = {"name": name, "label": about.get("label"), "group": about.get("group", "")}
        found.append({**row, "columns": columns})
    return found


def _possible_methods(study: Study, kind: str, dataset: str) -> list[str]:
    cells = study.segmented_cells(dataset) if kind == "overlap" else study.cells(dataset)
    found = list(dict.fromkeys(cell.method.name for cell in cells))
    return [*found, *([HR_REFERENCE] if study.datasets[dataset].reference else [])]


def _possible_scales(study: Study, kind: str, dataset: str) -> list[float]:
    if kind == "overlap":
        return list(dict.fromkeys(cell.scale for cell in study.segmented_cells(dataset)))
    return list(study.scales(dataset))


def _possible_metrics(study: Study, kind: str, dataset: str, ranked: bool = True) -> list[str]:
    if kind == "overlap":
        return OVERLAP_METRICS
    truth = study.datasets[dataset].has_ground_truth
    known = [name for name in study.config["metrics"] if name in study.metrics.names()]
    return [
        name
        for name in known
        if (study.metrics.metadata(name).better or not ranked)
        and (truth or not study.metrics.metadata(name).reference)
    ]


def _unknown(study: Study, where: str, spec: dict) -> Iterator[str]:
    """Yield entries of a table that the study does not have."""
    kind, dataset = spec["kind"], spec["dataset"]
    possible = {
        "methods": _possible_methods(study, kind, dataset),
        "scales": list(map(scale_name, _possible_scales(study, kind, dataset))),
        "metrics": _possible_metrics(study, kind, dataset, ranked=False),
    }
    asked = {
        "methods": [method["name"] for method in spec["methods"]],
        "scales": list(map(scale_name, spec["scales"])),
        "metrics": spec["metrics"],
    }
    if not spec["metrics"]:
        yield f"{where}.metrics: none of them is measured; add one to the study's metrics"
    what = "segmented" if kind == "overlap" else "measured"
    for key, names in asked.items():
        for name in names:
            if name not in possible[key]:
                yield (
                    f"{where}.{key}: '{name}' is not {what} on {dataset}:"
                    f" {nearest(name, possible[key])}"
                )
    if kind == "quality":
        region = spec["regions"][0]
        if region not in study.config["regions"]:
            yield f"{where}.region: '{region}' is not among the study's regions"
        for name in spec["metrics"]:
            if name in possible["metrics"] and not study.metrics.metadata(name).takes(region):
                yield f"{where}.metrics: {name} cannot be taken in the region {region}"


def _unreadable(where: str, path: str, kind: str) -> Iterator[str]:
    """Yield problems of a file of published values."""
    if not Path(path).is_file():
        yield f"{where}: {path}: no such file; correct the path"
        return
    with Path(path).open(newline="", encoding="utf-8") as lines:
        found = next(csv.reader(lines), [])
    lacking = [name for name in PUBLISHED_COLUMNS[kind] if name not in found]
    if lacking:
        yield f"{where}: {path}: lacks the columns {', '.join(lacking)}; add them"


def _misplaced(where: str, spec: dict) -> Iterator[str]:
    """Yield problems of a table's layout."""
    used = [axis for axis in spec["layout"].values() if axis]
    counts = {
        "scale": len(spec["scales"]),
        "method": len(spec["methods"]),
        "metric": len(spec["metrics"]),
        "region": len(spec["regions"]),
    }
    for axis in dict.fromkeys(used):
        if used.count(axis) > 1:
            yield f"{where}.layout: {axis} stands twice"
    for axis, count in counts.items():
        if count > 1 and axis not in used:
            yield (
                f"{where}.layout: {count} values of {axis} have no place; say whether they are"
                f" {', '.join(AXES[:-1])}" + (" or cells" if axis == "metric" else "")
            )
    if "group" in used and spec["layout"]["rows"] != "method":
        yield f"{where}.layout: groups: group puts methods in groups, so rows must be method"
    if spec["mean"] and spec["layout"]["rows"] != "scale":
        yield f"{where}.mean: is a row below the scales, so layout.rows must be scale"
    attributes = {tuple(method["columns"]) for method in spec["methods"]}
    if attributes != {()} and spec["layout"]["rows"] != "method":
        yield f"{where}.methods: columns describe rows, so layout.rows must be method"
    elif len(attributes) > 1:
        yield f"{where}.methods: every method must have the same columns"
