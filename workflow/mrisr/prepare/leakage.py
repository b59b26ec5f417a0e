"""The same scan must not be both learned from and tested on, under whatever name."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrisr.common.errors import InputError

NAMED = 10


def refuse_leakage(lists: Mapping[str, Sequence[str | Path]]) -> None:
    """Refuse a study whose splits share a scan, or whose list has one under two names.

    Copies and links are the same scan.

    Args:
        lists: By split (train, val, test), lists of raw scans (columns subject, path, sha256) and
            of ground truths (image, image_sha256). Ground truths are equal even where a copy was
            packed or turned in another way.

    Raises:
        InputError: Splits share scans; the message names all of them, with their splits.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    twice: dict[str, None] = {}
    for split, files in lists.items():
        for file in files:
            here: dict[str, str] = {}
            for name, checksum in _rows(file):
                found[checksum].setdefault(split, name)
                if here.setdefault(checksum, name) != name:
                    twice[f"{here[checksum]} and {name} ({split})"] = None
    shared = dict.fromkeys(
        " and ".join(f"{name} ({split})" for split, name in names.items())
        for names in found.values()
        if len(names) > 1
    )
    if shared:
        raise InputError(
            _listed("the same scan in two splits:", list(shared))
            + "\nTake each out of one of them: networks would be tested on what they have seen"
        )
    if twice:
        raise InputError(
            _listed("the same scan under two names:", list(twice))
            + "\nTake one of each out: a subject must not be counted twice"
        )


def _listed(head: str, lines: list[str]) -> str:
    more = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "\n  ".join([head, *lines[:NAMED], *more])


def _rows(file: str | Path) -> list[tuple[str, str]]:
    """Return name and checksum of each row of a list."""
    with Path(file).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened, delimiter="\t"))
    if rows and "image" in rows[0]:
        return [(row["image"], row["image_sha256"]) for row in rows]
    return [(row["path"], row["sha256"]) for row in rows]
