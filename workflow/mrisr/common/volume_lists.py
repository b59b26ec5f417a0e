"""Lists of the volumes that one job made, with their checksums.

A rule that needs all volumes of a split takes their list as its input, or Snakemake would look up
hundreds of files. The list is written last: if it exists, the volumes exist.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import sha256, write_text

#: Number of unusable volumes that a message names.
NAMED = 5


def write(path: str | Path, workers: int = 1, **kinds: Sequence[str | Path]) -> None:
    """Write a list of volumes, with one item a row.

    Args:
        path: TSV to write; each kind has a column of its name and one `<kind>_sha256`.
        workers: Threads that read the volumes.
        kinds: `image=[...]`, and `mask=[...]` of the same items in the same order: existing files,
            by the paths of the study's layout.
    """
    with ThreadPoolExecutor(workers) as pool:
        columns = [
            column
            for volumes in kinds.values()
            for column in (map(str, volumes), list(pool.map(sha256, volumes)))
        ]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow([name for kind in kinds for name in (kind, f"{kind}_sha256")])
    writer.writerows(zip(*columns, strict=True))
    write_text(path, text.getvalue())


def files(given: Iterable[str | Path], kind: str = "image") -> list[str]:
    """Return the volumes that lists name, and volumes that are given themselves.

    Args:
        given: Lists (`.tsv`) and volumes, in any mixture.
        kind: Kind of the volumes in the lists.

    Raises:
        InputError: A listed volume is missing.
    """
    return [file for file, _, _ in _volumes(given, kind)]


def checksums(given: Iterable[str | Path], kind: str = "image") -> dict[str, str]:
    """Return the SHA-256 of every volume, in the order of `files`.

    Args:
        given: Lists (`.tsv`) and volumes, in any mixture.
        kind: Kind of the volumes in the lists.

    Raises:
        InputError: A listed volume is missing, or has another checksum than its list.
    """
    found, changed = {}, []
    for file, known, its_list in _volumes(given, kind):
        found[file] = sha256(file)
        if known not in (None, found[file]):
            changed.append((file, its_list))
    if changed:
        _refuse(
            changed, "changed since it was made: its checksum is not that in", "delete it, then"
        )
    return found


def _volumes(given: Iterable[str | Path], kind: str) -> list[tuple[str, str | None, str]]:
    """Return each volume, its checksum if known, and its list."""
    found: list[tuple[str, str | None, str]] = []
    for file in map(str, given):
        found += _rows(file, kind) if file.endswith(".tsv") else [(file, None, "")]
    missing = [(file, its_list) for file, _, its_list in found if its_list and not _there(file)]
    if missing:
        _refuse(missing, "not there, but listed in", "for this")
    return found


def _rows(path: str, kind: str) -> Iterator[tuple[str, str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row[kind], row[f"{kind}_sha256"], path


def _there(file: str) -> bool:
    return Path(file).is_file()


def _refuse(problems: Sequence[tuple[str, str]], what: str, before: str) -> None:
    lines = [f"{file}: {what} {its_list}" for file, its_list in problems[:NAMED]]
    if len(problems) > NAMED:
        lines.append(f"and {len(problems) - NAMED} more")
    first = problems[0][0]
    raise InputError(
        "\n  ".join(lines) + f"\n{before.capitalize()} run snakemake as before with {first} as its"
        " target, which makes it again"
    )
