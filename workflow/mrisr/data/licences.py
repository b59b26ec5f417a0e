"""What others need beside a study's results: terms of its datasets, and who was in which split."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrisr.common.files import write_text


def write_split(path: str | Path, subjects: Mapping[str, Sequence[str]]) -> None:
    """Write the subjects that a study used, as TSV with the columns subject and split.

    Args:
        path: The TSV.
        subjects: Those of each split (train, val, test) that the study used.
    """
    rows = [f"{subject}\t{split}\n" for split, names in subjects.items() for subject in names]
    write_text(path, "".join(["subject\tsplit\n", *rows]))


def write_licences(path: str | Path, datasets: Sequence[Mapping[str, Any]]) -> None:
    """Write licence and citation of every dataset of a study, as Markdown.

    Args:
        path: The file.
        datasets: See `mrisr.plan.cells.datasets`.
    """
    write_text(path, "# Licences and citations\n" + "".join(map(_licence, datasets)))


def _licence(dataset: Mapping[str, Any]) -> str:
    simulated = " (simulated)" if dataset["simulated"] else ""
    used = ", ".join(f"{count} {split}" for split, count in dataset["subjects"].items())
    lines = [
        ("Subjects used", used),
        ("Licence", dataset["licence"]),
        ("Cite", dataset["citation"]),
        ("DOI", dataset["doi"] and f"<https://doi.org/{dataset['doi']}>"),
        ("Homepage", dataset["url"] and f"<{dataset['url']}>"),
    ]
    listed = "".join(f"- {what}: {said}\n" for what, said in lines if said)
    return f"\n## {dataset['label']}{simulated}\n\n{listed}"
