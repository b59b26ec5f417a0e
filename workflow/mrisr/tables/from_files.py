"""Tables from files: makes each table from the inputs and params of the rule that asks for it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mrisr.evaluate.measured import slices_note
from mrisr.evaluate.read_table import read_table
from mrisr.methods.model_files import with_models
from mrisr.tables.overlap import overlap_table
from mrisr.tables.paper import paper_table
from mrisr.tables.quality import quality_table
from mrisr.tables.reader_study import reader_table
from mrisr.tables.significance import significance_table
from mrisr.tables.table import Table
from mrisr.tables.tissues import tissue_table


def quality(
    cells: Sequence[Mapping],
    notes: Mapping[str, str],
    *,
    published: Sequence[Mapping],
    scores: Mapping[str, str],
    fetched: Sequence[str],
    baseline: str | None,
    metrics: Sequence[str],
    regions: Sequence[str],
    margins: Mapping[str, float],
    empty_slices: str,
) -> Table:
    """Return the complete table of image quality.

    Args:
        cells: From `mrisr.plan.cells.cells`.
        notes: From `mrisr.plan.cells.notes`.
        published: From `mrisr.plan.cells.published`.
        scores: Scores of the ground truths, by label of the dataset.
        fetched: For each metric that needs a downloaded file, the JSON that tells whether the file
            exists.
        baseline: Baseline of the study.
        metrics: Metrics of the study.
        regions: Regions of the study.
        margins: Margins of the study.
        empty_slices: Setting of the study.
    """
    return quality_table(
        with_models(cells),
        _published(published),
        {**notes, "Slices": slices_note(metrics, scores, empty_slices)},
        baseline=baseline,
        metrics=metrics,
        regions=regions,
        margins=margins,
        unavailable=_unavailable(fetched),
    )


def significance(cells: Sequence[Mapping], **settings: object) -> Table:
    """Return the table of significance; `settings` go to `significance_table`."""
    return significance_table(with_models(cells), **settings)


def overlap(
    cells: Sequence[Mapping],
    notes: Mapping[str, str],
    *,
    published: Sequence[Mapping],
    quality: str,
    floors: Mapping[str, str],
    baseline: str | None,
) -> Table:
    """Return the complete table of overlap.

    Args:
        cells: From `mrisr.plan.cells.segmented_cells`.
        notes: From `mrisr.plan.cells.segmentation_notes`.
        published: From `mrisr.plan.cells.published_overlap`.
        quality: The CSV of the table of image quality.
        floors: By dataset, the CSV of its noise floor.
        baseline: Baseline of the study.
    """
    return overlap_table(
        cells,
        _published(published),
        notes,
        read_table(quality),
        floors=floors,
        baseline=baseline,
    )


def tissues(cells: Sequence[Mapping], notes: Mapping[str, str], *, quality: str) -> Table:
    """Return the table of tissues.

    Args:
        cells: From `mrisr.plan.cells.tissue_cells`.
        notes: From `mrisr.plan.cells.segmentation_notes`.
        quality: The CSV of the table of image quality.
    """
    return tissue_table(cells, notes, read_table(quality))


def paper(
    spec: Mapping,
    cells: Sequence[Mapping],
    notes: Mapping[str, str],
    *,
    complete: str,
    scores: str | None,
    fetched: Sequence[str],
    baseline: str | None,
    margins: Mapping[str, float],
    empty_slices: str,
) -> Table:
    """Return a table as a paper lays it out.

    Args:
        spec: One of `mrisr.plan.cells.paper_tables`.
        cells: From `mrisr.plan.cells.paper_cells`.
        notes: From `mrisr.plan.cells.paper_notes`.
        complete: CSV of the complete table that this table is a view of.
        scores: Scores of the dataset's ground truths, None if there are none.
        fetched: For each metric that needs a downloaded file, the JSON that tells whether the file
            exists.
        baseline: Label of the method that learned ones are compared with.
        margins: Margins of the study.
        empty_slices: Setting of the study.
    """
    slices = ""
    if scores:
        slices = slices_note(spec["metrics"], {spec["dataset_label"]: scores}, empty_slices)
    return paper_table(
        spec,
        read_table(complete),
        with_models(cells),
        _published(spec["published"], as_printed=True),
        {**notes, "Slices": slices},
        baseline=baseline,
        margins=margins,
        unavailable=_unavailable(fetched),
    )


def readers(answers: str | Path, *, published: Sequence[Mapping] = (), **settings: object) -> Table:
    """Return the table of a reader study.

    Args:
        answers: CSV that `mrisr readers export` wrote with the key.
        published: File and source of published means.
        **settings: Arguments of `reader_table`.
    """
    columns = ("reader", "case", "repeat_of", "subject", "question", "dataset", "scale")
    try:
        given = read_table(answers, columns)
    except pd.errors.EmptyDataError:
        given = pd.DataFrame()
    found = [read_table(entry["file"]) for entry in published]
    return reader_table(
        given,
        published=pd.concat(found) if found else None,
        sources=[entry["source"] for entry in published],
        where=str(answers),
        **settings,
    )


def _published(entries: Sequence[Mapping], as_printed: bool = False) -> pd.DataFrame | None:
    """Return published values of several files as one frame; None if there are none.

    Args:
        entries: Each has a file, and columns to add to all its values.
        as_printed: Whether means and deviations stay text, with the digits of the paper.
    """
    text = ("mean", "std") if as_printed else ()
    found = [
        read_table(entry["file"], text).assign(
            **{key: entry[key] for key in ("dataset", "source") if key in entry}
        )
        for entry in entries
    ]
    return pd.concat(found) if found else None


def _unavailable(fetched: Sequence[str]) -> dict[str, str]:
    said = {Path(file).stem: json.loads(Path(file).read_text()) for file in fetched}
    return {name: answer["reason"] for name, answer in said.items() if not answer["available"]}


#: Functions by the name that `mrisr.plan.tables` gives them.
MAKERS = {
    "quality": quality,
    "significance": significance,
    "overlap": overlap,
    "tissues": tissues,
    "paper": paper,
    "readers": readers,
}


def make(maker: str, arguments: Mapping) -> "Table":
    """Make a table from existing files.

    Args:
        maker: See `Planned`.
        arguments: See `Planned`.
    """
    given = dict(arguments)
    if "fetched" in given:
        given["fetched"] = [file for file in given["fetched"] if Path(file).exists()]
    scores = given.get("scores")
    if isinstance(scores, Mapping):
        given["scores"] = {key: file for key, file in scores.items() if Path(file).exists()}
    elif scores is not None and not Path(scores).exists():
        given["scores"] = None
    return MAKERS[maker](**given)
