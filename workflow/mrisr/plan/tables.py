"""Which tables a study has and what each is made from: the one list for rules and report.

The Snakefile imports this module at parse time, so it stays light. A file that the arguments name
and that does not exist shows as missing in the table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mrisr.plan import cells as summary
from mrisr.study import readers_key as reader_settings
from mrisr.study.study import Study


@dataclass(frozen=True)
class Planned:
    """A table of a study.

    Attributes:
        name: Of its files, `tables/<name>.{csv,md,tex,html}`.
        title: Heading in the report.
        rule: Name of the rule that makes it.
        maker: The function of `mrisr.tables.from_files` that makes it.
        inputs: Files it is made from.
        arguments: What its maker takes, plain values.
        caption: Caption in Snakemake's report, a file of `workflow/report`.
    """

    name: str
    title: str
    rule: str
    maker: str
    inputs: list[str]
    arguments: dict
    caption: str


def tables(study: Study, path: Callable[[str, str], str] | None = None) -> list[Planned]:
    """Return the tables of a study in the order of the report: laid out as in papers, complete.

    Args:
        study: The study.
        path: Returns where a table that another is a view of lies, by name and suffix; default
            where the workflow writes it.
    """
    path = path or study.layout.table
    return [
        *(_paper(study, spec, path) for spec in summary.paper_tables(study).values()),
        _quality(study),
        *([] if study.segmentation is None else [_overlap(study, path), _tissues(study, path)]),
        _significance(study),
        *_readers(study),
    ]


def in_making_order(planned: list[Planned]) -> list[Planned]:
    """Return tables in an order where each follows the tables that it is a view of."""
    order = ("quality", "overlap", "tissues", "significance", "paper", "readers")
    return sorted(planned, key=lambda table: order.index(table.maker))


def _measured(study: Study) -> list[str]:
    return summary.metric_files(summary.cells(study))


def _common(study: Study) -> dict:
    return {
        "cells": summary.cells(study),
        "baseline": study.config["baseline"],
        "metrics": study.config["metrics"],
        "regions": study.config["regions"],
        "margins": study.config["margins"],
    }


def _quality(study: Study) -> Planned:
    published = summary.published(study)
    # A 2-D study has no average over directions.
    told = study.slice_metrics and study.slices is None
    measured = study.measured_datasets if told else []
    scores = {study.datasets[n].label: study.layout.ground_truth_scores(n) for n in measured}
    fetched = [study.layout.metric_file(metric) for metric in study.metrics_with("fetch")]
    return Planned(
        "quality",
        "Image quality",
        "quality_table",
        "quality",
        [
            *_measured(study),
            *summary.model_files(study),
            *(entry["file"] for entry in published),
            *scores.values(),
            *fetched,
        ],
        {
            **_common(study),
            "notes": summary.notes(study),
            "published": published,
            "scores": scores,
            "fetched": fetched,
            "empty_slices": study.config["empty_slices"],
        },
        "quality.rst",
    )


def _significance(study: Study) -> Planned:
    return Planned(
        "significance",
        "Significance: every method against the baseline and each other",
        "significance_table",
        "significance",
        [*_measured(study), *summary.model_files(study)],
        {
            **_common(study),
            "seed": study.seed,
            "primary": study.config["primary_metric"],
        },
        "significance.rst",
    )


def _readers(study: Study) -> list[Planned]:
    """Return the table of the reader study, once there are answers."""
    settings = reader_settings.completed(study)
    if settings is None or settings["answers"] is None:
        return []
    return [
        Planned(
            "reader_study",
            "Reader study: two methods side by side",
            "reader_study_table",
            "readers",
            [settings["answers"], *(entry["file"] for entry in settings["published"])],
            reader_settings.table(study, settings),
            "reader_study.rst",
        )
    ]


def _overlap(study: Study, path: Callable[[str, str], str]) -> Planned:
    cells, published = summary.segmented_cells(study), summary.published_overlap(study)
    # The quality table tells which rows support no conclusion.
    quality = path("quality", "csv")
    floors = {name: study.layout.noise_floor(name) for name in study.segmented_datasets}
    return Planned(
        "segmentation",
        "Segmentations: overlap, volumes and surfaces",
        "segmentation_table",
        "overlap",
        [
            *(cell.path for cell in cells if cell.path),
            *(entry["file"] for entry in published),
            *floors.values(),
            quality,
        ],
        {
            "cells": [cell.params for cell in cells],
            "notes": summary.segmentation_notes(study),
            "published": published,
            "quality": quality,
            "floors": floors,
            "baseline": study.config["baseline"],
        },
        "segmentation_table.rst",
    )


def _tissues(study: Study, path: Callable[[str, str], str]) -> Planned:
    cells, quality = summary.tissue_cells(study), path("quality", "csv")
    return Planned(
        "tissues",
        "Tissues: errors, SNR and contrast",
        "tissue_table",
        "tissues",
        [*(cell.path for cell in cells if cell.path), quality],
        {
            "cells": [cell.params for cell in cells],
            "notes": summary.segmentation_notes(study),
            "quality": quality,
        },
        "tissue_table.rst",
    )


def _paper(study: Study, spec: dict, path: Callable[[str, str], str]) -> Planned:
    # Means are taken in one place; this table is a view of them.
    complete = path("segmentation" if spec["kind"] == "overlap" else "quality", "csv")
    dataset, taken = spec["dataset"], set(study.slice_metrics) & set(spec["metrics"])
    taken = taken if study.slices is None else set()
    measured = dataset in study.measured_datasets and taken
    scores = study.layout.ground_truth_scores(dataset) if measured else None
    fetched = [
        study.layout.metric_file(metric)
        for metric in study.metrics_with("fetch")
        if metric in spec["metrics"]
    ]
    return Planned(
        spec["name"],
        spec["title"],
        f"table_{spec['name']}",
        "paper",
        [
            complete,
            *(f"{folder}/model.json" for folder in summary.paper_models(study, spec)),
            *(entry["file"] for entry in spec["published"]),
            *([scores] if scores else []),
            *fetched,
        ],
        {
            "spec": spec,
            "cells": [cell.params for cell in summary.paper_cells(study, spec)],
            "notes": summary.paper_notes(study, spec),
            "complete": complete,
            "scores": scores,
            "fetched": fetched,
            "baseline": summary.baseline_label(study),
            "margins": study.config["margins"],
            "empty_slices": study.config["empty_slices"],
        },
        "paper_table.rst",
    )
