"""Which figures a study has, and what each is drawn from: the one list that rules and report use.

Light, because the Snakefile imports it at parse time. A figure's module has a function
`draw(params, outputs)`; a file that is named in `params` and is not there shows as missing.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrisr import summary
from mrisr.layout import scale_name
from mrisr.study import Study

SUFFIXES = ("png", "pdf", "json")


@dataclass(frozen=True)
class Planned:
    """A figure of a study.

    Attributes:
        name: Of its files, `figures/<name>.{png,pdf,json}`.
        module: The module that draws it.
        inputs: Files it is drawn from.
        params: What its module's `draw` takes, plain values.
        about: One sentence, the same in every study.
    """

    name: str
    module: str
    inputs: list[str]
    params: dict
    about: str


def draw(module: str, params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a figure.

    Args:
        module: See `Planned`.
        params: See `Planned`.
        outputs: `.png`, `.pdf` and `.json` files to write.
    """
    importlib.import_module(module).draw(params, outputs)


def figures(study: Study) -> list[Planned]:
    """Return the figures of a study, in the order of the report."""
    return [
        *(its for name in study.measured_datasets for its in _comparison(study, name)),
        *(its for name in study.measured_datasets for its in _segmentation(study, name)),
        *(its for name in study.real_datasets for its in _real(study, name)),
        *_curves(study),
    ]


def _shown(study: Study, cells: list[dict], subject: str) -> list[dict]:
    """Return cells with the `image` of a subject, None for what is skipped."""
    return [
        {
            **cell,
            "image": None
            if cell["skipped"]
            else study.layout.sr(
                cell["dataset"], cell["method"], scale_name(cell["scale"]), subject
            ),
        }
        for cell in cells
    ]


def _files(cells: list[dict], *keys: str) -> list[str]:
    return [cell[key] for key in keys for cell in cells if cell[key] is not None]


def _comparison(study: Study, dataset: str) -> Iterator[Planned]:
    subject = study.items(dataset, "test")[0]
    cells = summary.cells(study, dataset)
    # The ground truth is the first column already.
    cells = [cell for cell in _shown(study, cells, subject) if not cell["ground_truth"]]
    truth, mask = study.layout.hr(dataset, subject), study.layout.mask(dataset, subject)
    yield Planned(
        f"comparison_{dataset}",
        "mrisr.figure_comparison",
        [truth, mask, *_files(cells, "image", "path")],
        {
            "dataset": dataset,
            "label": study.datasets[dataset].label,
            "subject": subject,
            "truth": truth,
            "mask": mask,
            "cells": cells,
        },
        "One slice of every method and scale, and below each image its absolute error.",
    )


def _segmentation(study: Study, dataset: str) -> Iterator[Planned]:
    # One subject at the first scale that is segmented, as the paper shows it.
    cells = [c for c in summary.segmented_cells(study, dataset) if not c["ground_truth"]]
    cells = [cell for cell in cells if cell["scale"] == cells[0]["scale"]]
    if not cells:
        return
    subject = study.items(dataset, "test")[0]
    layout, scale = study.layout, scale_name(cells[0]["scale"])
    cells = [
        {
            **cell,
            "labels": None
            if cell["skipped"]
            else layout.segmentation(dataset, subject, cell["method"], scale),
        }
        for cell in _shown(study, cells, subject)
    ]
    truth, labels = layout.hr(dataset, subject), layout.segmentation(dataset, subject)
    yield Planned(
        f"segmentation_{dataset}",
        "mrisr.figure_segmentation",
        [truth, labels, *_files(cells, "image", "labels", "path")],
        {
            "dataset": dataset,
            "label": study.datasets[dataset].label,
            "subject": subject,
            "truth": truth,
            "labels": labels,
            "cells": cells,
        },
        "The same automatic segmentation of the ground truth and of every reconstruction.",
    )


def _real(study: Study, dataset: str) -> Iterator[Planned]:
    about = study.datasets[dataset]
    subject = about.subjects["test"][0]
    cells = [cell for cell in summary.cells(study, dataset) if not cell["reference"]]
    cells = _shown(study, cells, subject)
    lr = study.layout.lr(dataset, scale_name(study.scales(dataset)[0]), subject)
    reference = study.layout.reference(dataset, subject) if about.reference else None
    yield Planned(
        f"real_{dataset}",
        "mrisr.figure_real",
        [lr, *([reference] if reference else []), *_files(cells, "image")],
        {
            "dataset": dataset,
            "label": about.label,
            "subject": subject,
            "lr": lr,
            "reference": reference,
            "cells": cells,
        },
        "One slice of a real low-resolution scan, of every reconstruction, and of the HR reference"
        " if there is one.",
    )


def _curves(study: Study) -> Iterator[Planned]:
    # Studies without learned methods have no losses.
    if not summary.has_losses(study):
        return
    models = summary.models(study)
    yield Planned(
        "curves",
        "mrisr.figure_curves",
        [f"{model['folder']}/log.csv" for model in models],
        {"models": models},
        "Training and validation loss of every model against optimiser steps.",
    )
