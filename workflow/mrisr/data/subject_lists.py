"""Who belongs to which split: tables of subjects, as they come with datasets or from users.

Light, because the Snakefile uses it at parse time.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.layout import SPLITS
from mrisr.common.schema import nearest
from mrisr.data.finding import SUBJECT

#: Columns that say what is published about a subject's file.
CHECKSUMS = {"sha256": r"[0-9a-f]{64}", "md5": r"[0-9a-f]{32}", "bytes": r"[0-9]+"}
#: The column of subjects in a list of ours, and in BIDS's participants.tsv.
NAMES = ("subject", "participant_id")


@dataclass
class Listed:
    """What a list says of a dataset's subjects.

    Attributes:
        subjects: Those of each split (train, val, test), in the list's order.
        checksums: What is published about a subject's file: some of `CHECKSUMS`.
        grids: What the publisher's annotations say about a subject's grid.
    """

    subjects: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SPLITS})
    checksums: dict[str, dict] = field(default_factory=dict)
    grids: dict[str, dict] = field(default_factory=dict)


def read_split(path: Path, where: str, bids: bool, only: str | None = None) -> Listed:
    """Read subjects and checksums from a table.

    Args:
        path: TSV with the columns `subject` and `split`, and some of `CHECKSUMS`, no other; or
            like BIDS's participants.tsv with `participant_id` in place of `subject`, where other
            columns do not matter.
        where: The dataset's file and key, for messages.
        bids: Whether `sub-` may be left out of a name.
        only: The split of all subjects; the table then has no column `split`.

    Raises:
        ConfigError: The file is missing or wrong; all lines that are wrong are named.
    """
    columns, rows = _table(path, where)
    problems, found = _column_problems(columns, only), Listed()
    if not problems:
        first: dict[str, int] = {}
        for line, row in rows:
            row = _named(row, columns, bids)
            wrong = list(_row_problems(row, first, only))
            problems += [f"line {line}: {problem}" for problem in wrong]
            if wrong:
                continue
            first[row["subject"]] = line
            found.subjects[only or row["split"]].append(row["subject"])
            found.checksums[row["subject"]] = {
                kind: int(row[kind]) if kind == "bytes" else row[kind].lower()
                for kind in CHECKSUMS
                if row.get(kind) not in (None, "", "n/a")
            }
    if problems:
        raise ConfigError("\n  ".join([f"{path}:", *problems]))
    return found


def read_list(path: str, split: str, where: str, known: Sequence[str]) -> list[str]:
    """Return the subjects that a user's file lists.

    Args:
        path: A text file with a subject a line; or a TSV with the column `subject` or
            `participant_id`, others do not matter, except that of a column `split` only the rows
            of this split count.
        split: train, val or test.
        where: The config's key, for messages.
        known: The dataset's subjects; one that is listed without its `sub-` is found.

    Raises:
        ConfigError: The file is missing, empty, or its columns are not told apart.
    """
    file = Path(path).expanduser()
    columns, rows = _table(file, where)
    if any(name in columns for name in NAMES):
        named = [_named(row, columns, False) for _, row in rows]
        found = [row.get("subject") or "" for row in named if row.get("split") in (None, split)]
    elif len(columns) < 2:
        found = [*columns, *(row[columns[0]] for _, row in rows)]
    else:
        raise ConfigError(
            f"{where}: {file}: no column '{NAMES[0]}' or '{NAMES[1]}'; give a TSV with one of"
            " them, or a subject a line"
        )
    found = [subject.strip() for subject in found if subject.strip()]
    if not found:
        raise ConfigError(f"{where}: {file} lists no {split} subject; a line for each is expected")
    return [f"sub-{s}" if s not in known and f"sub-{s}" in known else s for s in found]


def read_annotations(pattern: str, folder: Path, where: str) -> Listed:
    """Read subjects and grids from annotation files of the publisher (SKM-TEA's JSON).

    Args:
        pattern: Path of the file of a split inside the dataset's folder, with `{split}` for
            train, val and test. Each holds the list `images` of records with `scan_id`,
            `voxel_spacing` (mm) and `orientation` (such as `[SI, AP, LR]`).
        folder: The dataset's folder.
        where: The dataset and the key of its file, for messages.

    Raises:
        InputError: A file is missing, is no JSON, or a record is incomplete; all are named.
    """
    problems: list[str] = []
    first: dict[str, str] = {}
    found = Listed()
    for split in SPLITS:
        path = folder / pattern.replace("{split}", split)
        try:
            images = json.loads(path.read_text(encoding="utf-8"))["images"]
            records = [(r["scan_id"], r["voxel_spacing"], r["orientation"]) for r in images]
        except FileNotFoundError:
            problems.append(f"no file {path}")
            continue
        except (ValueError, KeyError, TypeError) as error:
            problems.append(
                f"{path}: no JSON with images of scan_id, voxel_spacing, orientation ({error!r})"
            )
            continue
        for subject, voxel_size, orientation in records:
            if not re.fullmatch(SUBJECT, str(subject)):
                problems.append(f"{path}: '{subject}' cannot name a subject")
            elif subject in first:
                problems.append(f"{path}: subject {subject} is in {first[subject]} already")
            else:
                first[subject] = split
                found.subjects[split].append(subject)
                found.grids[subject] = {"voxel_size": voxel_size, "orientation": orientation}
    if problems:
        head = (
            f"{where} cannot be used; give"
            " the folder that has the publisher's own files in their places:"
        )
        raise InputError("\n  ".join([head, *problems]))
    return found


def _table(path: Path, where: str) -> tuple[list[str], list[tuple[int, dict]]]:
    """Return the columns of a TSV and its rows with their line numbers."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigError(
            f"{where}: no file {path}; a dataset's list lies beside its YAML or in its folder, a"
            " study's list is looked up from the working folder"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {path}: cannot be read ({error}); give a text file") from None
    # A quotation mark in a TSV is a letter like others: it would join lines.
    reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = list(reader.fieldnames or [])
    return columns, [(reader.line_num, row) for row in reader]


def _named(row: Mapping, columns: Sequence[str], bids: bool) -> dict:
    """Return a row with its subject in the column `subject`."""
    row = dict(row)
    if NAMES[0] not in columns:
        row["subject"] = row.pop(NAMES[1])
    if bids and re.fullmatch("[A-Za-z0-9]+", row["subject"] or ""):
        row["subject"] = f"sub-{row['subject']}"
    return row


def _column_problems(columns: Sequence[str], only: str | None) -> list[str]:
    known = [*NAMES, "split", *CHECKSUMS]
    others = [column for column in columns if column not in known]
    problems = []
    if not any(name in columns for name in NAMES):
        problems.append(
            "no column 'subject' (or 'participant_id'); tabs separate the columns subject, split"
            f" (and, if published, {', '.join(CHECKSUMS)})"
        )
    if only is None and "split" not in columns:
        problems.append(
            "no column 'split' (train, val or test); add it, or give all subjects one split with"
            " split: {kind: table, file: ..., as: test} in the dataset's file"
        )
    if only is not None and "split" in columns:
        problems.append(
            f"has a column 'split', but the dataset's file says as: {only}; leave out one of them"
        )
    # participants.tsv holds ages and the like; a column is only wrong if it was meant as ours.
    for column in [] if problems else others:
        lacking = [name for name in known[2:] if name not in columns]
        if NAMES[1] not in columns:
            problems.append(f"unknown column '{column}': {nearest(column, known)}")
        elif close := difflib.get_close_matches(column, lacking, n=1, cutoff=0.8):
            problems.append(f"unknown column '{column}': did you mean '{close[0]}'?")
    return problems


def _row_problems(row: dict, first: Mapping[str, int], only: str | None) -> Iterator[str]:
    if None in row or None in row.values():
        yield "as many cells as there are columns are expected; separate them by tabs"
        return
    subject = row["subject"]
    if not re.fullmatch(SUBJECT, subject):
        yield f"'{subject}' cannot name a subject; use letters, digits, - and _, e.g. sub-01"
    if subject in first:
        yield f"subject {subject} is in line {first[subject]} already; a subject has one split"
    if only is None and row["split"] not in SPLITS:
        yield f"subject {subject}: unknown split '{row['split']}': {nearest(row['split'], SPLITS)}"
    for kind, form in CHECKSUMS.items():
        value = row.get(kind, "")
        if value not in ("", "n/a") and not re.fullmatch(form, value.lower()):
            yield f"subject {subject}: '{value}' is no {kind}; leave it empty if none is published"
