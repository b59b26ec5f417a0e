"""Answers as CSV: what readers saw and said, with the key what it was."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import write_private, write_text
from mrisr.readers.key import Known
from mrisr.readers.store import Answer, Store

#: Of every row. `score` is that of the left image compared with the right one.
COLUMNS = (
    *("reader", "case", "number", "question", "score", "seconds", "revision", "answered_at"),
    *("left", "right"),
)
#: With the key.
KNOWN = ("left_method", "right_method", "repeat_of", "dataset", "subject", "item", "scale")


def export(
    store: Store,
    path: str | Path,
    key: Mapping[str, Known] | None = None,
    history: bool = False,
) -> int:
    """Write the answers of a study, a row a question.

    Args:
        store: Readers and answers.
        path: CSV with the columns `COLUMNS`: number is the case's place in the reader's order,
            seconds the time that the reader had the case on screen in all, left and right the
            images as this reader saw them.
        key: By case, see `mrisr.readers.key.read_key`; adds the columns `KNOWN`.
        history: All that was ever answered, not only what counts; seconds are then those since
            the answer before.

    Returns:
        How many answers were written.

    Raises:
        InputError: The key is that of another study.
    """
    if key is not None:
        _check_key(store, key)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *(KNOWN if key else ())], lineterminator="\n")
    writer.writeheader()
    count = 0
    for reader in store.readers():
        given: dict[str, list[Answer]] = {}
        for answer in store.history(reader):
            given.setdefault(answer.name, []).append(answer)
        for shown in store.cases(reader):
            answers = given.get(shown.name, [])
            seconds = sum(answer.seconds for answer in answers)
            for answer in answers if history else answers[-1:]:
                count += 1
                row = {
                    **{"reader": reader.name, "case": shown.name, "number": shown.number},
                    **{"left": shown.left, "right": shown.right, "revision": answer.revision},
                    "seconds": f"{answer.seconds if history else seconds:.1f}",
                    "answered_at": answer.answered_at,
                    **(_known(key[shown.name], shown.left, shown.right) if key else {}),
                }
                for question, score in answer.scores.items():
                    writer.writerow(
                        {
                            name: _no_formula(value)
                            for name, value in {**row, "question": question, "score": score}.items()
                        }
                    )
    # With the key it tells which method an image is by.
    write_private(path, text.getvalue()) if key else write_text(path, text.getvalue())
    return count


def _no_formula(value: object) -> object:
    """Return a cell that spreadsheets show and do not work out."""
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r"):
        return f"'{value}"
    return value


def _check_key(store: Store, key: Mapping[str, Known]) -> None:
    for case in store.study.cases:
        known_case = key.get(case.name)
        if known_case is None or set(known_case.methods) != {case.left, case.right}:
            raise InputError(
                f"{case.name}: the key is that of another study than {store.study.folder}; give the"
                " one that was made with it"
            )


def _known(known_case: Known, left: str, right: str) -> dict[str, str]:
    """Return what a case is, with the methods as this reader saw them."""
    return {
        **{"left_method": known_case.methods[left], "right_method": known_case.methods[right]},
        **{name: getattr(known_case, name) for name in KNOWN[2:]},
    }
