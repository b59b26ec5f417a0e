"""Files that a user gives: have they changed since a result was made of them?

Snakemake compares times. It would keep the old numbers after a scan was replaced by an older one,
or after a link was moved. So jobs that read given files record them. A text that stands for their
content is a parameter of the rule; if it changes, the rule runs again. This module stays light,
because every job of every plan uses it.
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
    """Record of the given files that a result was made of.

    Attributes:
        basis: Text that stands for all replacements since the first run; empty before any. It is
            the rule's parameter, so it must stay as it was when the result was made.
        made_of: SHA-256 of each file at that time, by path.
        seen: Stamp and SHA-256 of each file at the last look, by path.
    """

    basis: str = ""
    made_of: dict[str, str] = field(default_factory=dict)
    seen: dict[str, list] = field(default_factory=dict)


def basis(record: str | Path, files: Iterable[str], refresh: bool = False) -> tuple[str, list[str]]:
    """Return a text for the content of given files, and the files that were replaced.

    A file is read only if size, times or inode differ from the record. Files that are new in the
    list do not count, because Snakemake sees them.

    Args:
        record: Path of the record that `recorded` wrote; the file may be missing.
        files: The files by their present names.
        refresh: Record what was read, so that the next look need not read it again.

    Returns:
        The basis: that of the record if nothing changed, else another one, equal for equal
        contents. And the files that differ from those that the result was made of.
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
    """Return the paths whose SHA-256 differs from the stated one; missing files are left out."""
    there = {name: known for name, known in made_of.items() if Path(name).is_file()}
    return [name for name, known in there.items() if sha256(name) != known]


def warning(name: str, target: str) -> str:
    """Return the warning about a file that was replaced since `target` was made of it."""
    return (
        f"{name}: replaced since {target} was made of it, which is made again with all that follows"
    )


@contextmanager
def recorded(given: Sequence[str], files: Iterable[str]) -> Iterator[dict[str, str]]:
    """Record given files if the block that reads them succeeds.

    Args:
        given: Path of the record, and the basis that the rule ran with.
        files: The given files; without any, nothing is recorded.

    Yields:
        A mapping to fill with the SHA-256 by path of files that the block reads anyway.
    """
    names = list(map(str, files))
    # Taken before the files are read: a replacement in the meantime is seen the next time.
    stamps = {name: _stamp(name) for name in names}
    checksums: dict[str, str] = {}
    yield checksums
    if not names:
        return
    made_of = {name: checksums.get(name) or sha256(name) for name in names}
    seen = {name: [*stamps[name], made_of[name]] for name in names}
    _write(given[0], Record(given[1], made_of, seen))


def read(record: str | Path) -> Record:
    """Return a record; an empty one if it is missing or unreadable."""
    try:
        content = json.loads(Path(record).read_text(encoding="utf-8"))
        return Record(str(content["basis"]), dict(content["made_of"]), dict(content["seen"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Record()


def _write(record: str | Path, content: Record) -> None:
    write_text(record, json.dumps(vars(content), indent=1, ensure_ascii=False) + "\n")


def _stamp(name: str) -> list[int]:
    """Return values that change when a file is replaced, also behind a link."""
    about = Path(name).stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
