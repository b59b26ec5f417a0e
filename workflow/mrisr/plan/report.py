"""What the report is made from, as plain values; light, as the Snakefile uses it when parsing."""

from collections.abc import Mapping

from mrisr.common.layout import scale_name
from mrisr.plan import cells as summary
from mrisr.plan import figures
from mrisr.study.study import Study

#: Settings of the viewer where the config has none.
VIEWER = {"subjects": 1, "scales": None, "megabytes": 20}


def study_facts(study: Study) -> dict:
    """Return what the report needs to know about a study, apart from the study's files.

    Returns:
        config; cells, models, datasets, notes as `mrisr.plan.cells` makes them; methods (name,
        label, kind, control, paper, model, training, own: folders of models made for one
        subject); subjects by dataset (its test items); viewer, see `viewer_sets`.
    """
    return {
        "config": study.config,
        "cells": summary.cells(study),
        "models": summary.models(study),
        "datasets": summary.datasets(study),
        "notes": summary.notes(study),
        "methods": _methods(study),
        "subjects": {name: study.items(name, "test") for name in study.test_datasets},
        "viewer": viewer_sets(study),
    }


def source_lists(study: Study) -> list[str]:
    """Return the lists of all raw scans that the study uses: of splits, references and lesions."""
    return [
        study.layout.sources(dataset, part)
        for dataset, about in study.datasets.items()
        for part in (
            *study.splits(dataset),
            *(["reference"] if about.reference and dataset in study.real_datasets else []),
            *(["lesions"] if dataset in dict(figures.lesion_subjects(study)) else []),
        )
    ]


def viewer_sets(study: Study) -> list[dict]:
    """Return which volumes the viewer shows: one entry a dataset, subject and scale.

    Returns:
        Keys dataset, dataset_label, subject, scale; files: mask (of a real LR scan its SR grid),
        truth (None for a real LR scan), lr, reference (None without); images: method, label and
        file of every reconstruction.
    """
    settings = viewer_settings(study.config)
    if settings is None:
        return []
    return [
        _set(study, dataset, subject, scale)
        for dataset in study.test_datasets
        for subject in study.items(dataset, "test")[: settings["subjects"]]
        for scale in study.scales(dataset)
        if settings["scales"] is None or float(scale) in map(float, settings["scales"])
    ]


def viewer_settings(config: Mapping) -> dict | None:
    """Return a config's settings of the viewer, every key present; None for none."""
    asked = config["report"]["viewer"]
    return {**VIEWER, **(asked if isinstance(asked, dict) else {})} if asked else None


def viewer_files(sets: list[dict]) -> list[str]:
    """Return every file that the viewer reads, once."""
    found = {}
    for shown in sets:
        files = [shown["mask"], shown["truth"], shown["lr"], shown["reference"]]
        files += [image["file"] for image in shown["images"]]
        found |= dict.fromkeys(file for file in files if file)
    return list(found)


def _set(study: Study, dataset: str, subject: str, scale: float) -> dict:
    layout, name, about = study.layout, scale_name(scale), study.datasets[dataset]
    measured = about.has_ground_truth
    return {
        "dataset": dataset,
        "dataset_label": about.label,
        "subject": subject,
        "scale": scale,
        "mask": layout.mask(dataset, subject)
        if measured
        else layout.foreground_on_sr_grid(dataset, name, subject),
        "truth": layout.hr(dataset, subject) if measured else None,
        "lr": layout.lr(dataset, name, study.inputs(dataset, subject)[0]),
        "reference": layout.hr_reference(dataset, subject) if about.reference else None,
        "images": [
            {
                "method": cell.method.name,
                "label": cell.method.label
                + (" (first of several trainings)" if study.further[cell.method.name] else ""),
                "file": layout.sr(dataset, cell.method.name, name, subject),
            }
            for cell in study.cells(dataset)
            # The ground truth itself is there already.
            if cell.scale == scale and not cell.skipped and cell.method.input != "ground_truth"
        ],
    }


def _methods(study: Study) -> list[dict]:
    found = []
    for method in study.methods.values():
        of_subjects = [
            study.layout.model(
                method.name, method.trained(scale_name(cell.scale)), cell.dataset, item
            )
            for cell in study.cells()
            if cell.method is method and method.per_subject and not cell.skipped
            for item in study.items(cell.dataset, "test")
        ]
        found.append(
            {
                "name": method.name,
                "label": method.label,
                "kind": method.kind,
                "control": method.control,
                "paper": method.spec.get("paper"),
                "settings": {
                    key: method.spec[key]
                    for key in ("model", "training", "scale_range", "limits", "weights")
                    if method.spec.get(key)
                },
                "own": of_subjects,
            }
        )
    return found
