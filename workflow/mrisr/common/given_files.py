"""Files that a user gives: are they still those that a result was made of?

Snakemake compares times. A scan that was replaced by an older one, or a link that was moved, would
leave the old numbers. So who reads given files records them, and what stands for their content is
a parameter of the rule: where it changes, the rule runs again. Light, because it is asked for
every job of every plan.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mrisr.common.files import digest, sha256, write_text

BASIS_DIGITS = 16


@dataclass
class Record:
    """What a result was made of.

    Attributes:
        basis: Stands for all replacements since the first run; empty before any. The rule's
            parameter, so it must stay what it was when the result was made.
        made_of: SHA-256 of each file as it was then, by path.
        seen: Stamp and SHA-256 of each file as it was last looked at, by path.
    """

    basis: str = ""
    made_of: dict[str, str] = field(default_factory=dict)
    seen: dict[str, list] = field(default_factory=dict)


def basis(record: str | Path, files: Iterable[str], refresh: bool = False) -> tuple[str, list[str]]:
    """Return what stands for the content of given files, and which of them were replaced.

    A file is read only if size, times or inode are not those of the record. Files that are new
    in the list do not count: Snakemake sees them.

    Args:
        record: Where `recorded` wrote what the result was made of; it may not be there.
        files: The files as they are named now.
        refresh: Write down what was read, so that the next look need not read it again.

    Returns:
        The basis: the record's if all is as it was, else another one, the same for the same
        contents. And the files that are no longer what the result was made of.
    """
    known = read(record)
    replaced, looked_at = {}, {}
    for name in files:
        if name not in known.made_of:
            continue
        try:
            stamp = _stamp(name)
            *before, checksum = known.seen.get(name) or [""]
            if stamp != before:
                checksum = sha256(name)
                looked_at[name] = [*stamp, checksum]
        except OSError:  # gone: Snakemake and the study's check say so
            continue
        if checksum != known.made_of[name]:
            replaced[name] = checksum
    if refresh and looked_at:
        known.seen |= looked_at
        with suppress(OSError):  # a finished study may be read-only
            _write(record, known)
    if not replaced:
        return known.basis, []
    return digest([known.basis, replaced])[:BASIS_DIGITS], list(replaced)


def differing(made_of: dict[str, str]) -> list[str]:
    """Return the paths whose SHA-256 is not the one stated; what is gone is left out."""
    there = {name: known for name, known in made_of.items() if Path(name).is_file()}
    return [name for name, known in there.items() if sha256(name) != known]


def warning(name: str, target: str) -> str:
    """Return what is said of a file that was replaced since `target` was made of it."""
    return (
        f"{name}: replaced since {target} was made of it, which is made again with all that follows"
    )


@contextmanager
def recorded(given: Sequence[str], files: Iterable[str]) -> Iterator[dict[str, str]]:
    """Record given files if the block that reads them succeeds.

    Args:
        given: The record's path, and the basis that the rule was run with.
        files: The given files; nothing is recorded if there is none.

    Yields:
        For SHA-256 by path, of files that the block reads anyway.
    """
    names = list(map(str, files))
    # Before they are read: what is replaced meanwhile is seen the next time.
    stamps = {name: _stamp(name) for name in names}
    checksums: dict[str, str] = {}
    yield checksums
    if not names:
        return
    made_of = {name: checksums.get(name) or sha256(name) for name in names}
    seen = {name: [*stamps[name], made_of[name]] for name in names}
    _write(given[0], Record(given[1], made_of, seen))


def read(record: str | Path) -> Record:
    """Return a record; an empty one if there is none, or none that can be read."""
    try:
        content = json.loads(Path(record).read_text(encoding="utf-8"))
        return Record(str(content["basis"]), dict(content["made_of"]), dict(content["seen"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Record()


def _write(record: str | Path, content: Record) -> None:
    write_text(record, json.dumps(vars(content), indent=1, ensure_ascii=False) + "\n")


def _stamp(name: str) -> list[int]:
    """Return what changes when a file is replaced, wherever a link leads."""
    about = Path(name).stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
