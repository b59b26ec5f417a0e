"""Files of a dataset that have changed since a study's results were made."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from mrisr.common import given_files
from mrisr.study.study import Study


def replaced(study: Study, dataset: str, splits: Sequence[str]) -> list[str]:
    """Return scans, masks and references whose SHA-256 differs from the record, one a line.

    Every file is read, which also finds a new file with the size and times of the old one.

    Args:
        study: The study, whose records count; steps that have not run yet have none.
        dataset: One of the study's datasets.
        splits: Which of its splits.
    """
    found: dict[str, str] = {}
    for record, made_of in _records(study, dataset, splits):
        for file in given_files.differing(made_of):
            found.setdefault(
                file,
                f"{file}: replaced, its sha256 is not the one in {record}; run snakemake, which"
                " makes again what was made of it",
            )
    return list(found.values())


def _records(
    study: Study, dataset: str, splits: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each record, and the SHA-256 of files by path."""
    layout = study.layout
    lists = [layout.sources(dataset, name) for name in (*splits, "reference", "lesions")]
    for sources in lists:
        if Path(sources).exists():
            with Path(sources).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
            yield sources, {row["path"]: row["sha256"] for row in rows}
    stacks = sorted(Path(layout.root, ".made_of", "lr", dataset).glob("x*.json"))
    masks = [layout.made_of(layout.hr_list(dataset, split)) for split in splits]
    for record in [*masks, *map(str, stacks)]:
        yield record, given_files.read(record).made_of
