"""Many subjects: where their raw scans are, one loop over them, their problems told together."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from mrisr.common.errors import InputError
from mrisr.common.files import Staging, finish
from mrisr.common.progress import collected, log, progress


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One subject to prepare; subclasses add the files that it is made from.

    Attributes:
        name: The subject's name.
        outputs: The files to make, in the order in which the work takes them.
    """

    name: str
    outputs: tuple[str | Path, ...]


@dataclass(frozen=True, kw_only=True)
class Scan(Subject):
    """A subject with one raw scan.

    Attributes:
        path: The raw scan.
    """

    path: str


Item = TypeVar("Item", bound=Subject)
#: Function that takes a subject and the path of each of its outputs.
Work = Callable[[Item, list[Path]], None]


def source_rows(sources: str | Path) -> dict[str, dict[str, str]]:
    """Return the rows of the list of raw scans, by subject (or stack)."""
    with Path(sources).open(encoding="utf-8", newline="") as file:
        return {row["subject"]: row for row in csv.DictReader(file, delimiter="\t")}


def source_paths(sources: str | Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return the path of each subject (or stack) in the list of raw scans.

    Raises:
        InputError: The list lacks some of them.
    """
    rows = source_rows(sources)
    missing = [name for name in names if name not in rows]
    if missing:
        raise InputError(f"{sources}: lacks {', '.join(missing)}; make that list again")
    return {name: rows[name]["path"] for name in names}


def each(
    work: Work, subjects: Sequence[Item], staging: Staging, description: str, workers: int = 1
) -> None:
    """Do `work` for all subjects that are not staged yet, then move all to their final names.

    All subjects are tried before problems are reported. Those that are finished stay staged.

    Args:
        work: Function to call; with several workers it must be picklable.
        subjects: All subjects.
        staging: Where finished subjects wait while others are still worked on.
        description: For the log, e.g. `prepare LR`.
        workers: Processes.

    Raises:
        InputError: Some subjects cannot be used, a line each; no final file has been written.
    """
    tasks = [
        (subject, [staging.path(output) for output in subject.outputs])
        for subject in subjects
        if staging.pending(list(subject.outputs))
    ]
    found = _outcomes(work, tasks, description, min(workers, len(tasks)))
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise InputError(
            "\n  ".join([f"{len(problems)} of {len(subjects)} subjects cannot be used:", *problems])
        )
    staging.commit([output for subject in subjects for output in subject.outputs])


def _outcomes(work: Work, tasks: list, description: str, workers: int) -> Iterator[str | None]:
    """Yield the problem of each task, or None."""
    if workers <= 1:
        for subject, staged in progress(tasks, description):
            yield _problem(work, subject, staged)
        return
    with ProcessPoolExecutor(workers) as pool:
        done = pool.map(partial(_remote, work), *zip(*tasks, strict=True))
        for problem, messages in progress(done, description, len(tasks)):
            for level, message in messages:
                log.log(level, "%s", message)
            yield problem


def _remote(
    work: Work, subject: Subject, staged: list[Path]
) -> tuple[str | None, list[tuple[int, str]]]:
    """Work in another process; return the problem and the messages logged there."""
    with collected() as messages:
        problem = _problem(work, subject, staged)
    return problem, messages


def _problem(work: Work, subject: Subject, staged: list[Path]) -> str | None:
    """Work on a subject; return why it cannot be used, or None."""
    try:
        work(subject, staged)
        for file in staged:
            finish(file)
    except InputError as error:
        return f"{subject.name}: {error}"
    return None
