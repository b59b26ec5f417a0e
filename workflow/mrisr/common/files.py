"""Files appear under their final name complete or not at all."""

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("mrisr")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps all suffixes, so that writers which look at them still work. It is
    random, because jobs on two machines may write the same file, and process numbers repeat.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        # A machine that fails now must not leave the name without the content.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None:
            error.filename = error.filename or str(path)  # write() does not know it
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_private(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, readable for its owner alone."""
    with atomic(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write `content` to `path` atomically, as indented JSON with its keys in the given order."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: object) -> str:
    """Return the SHA-256 of anything that JSON can hold (other things by their text)."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Staging:
    """Finished items of a long job, kept aside until all are finished.

    Snakemake deletes the outputs of a job that failed or was killed. A job over many subjects
    therefore writes each of them here first, and moves all to their final names at its end. A rerun
    finds the finished items. It uses them only for the same `fingerprint` (parameters and code) and
    the same `versions` of the item (inputs of that item).
    """

    def __init__(self, folder: str | Path, fingerprint: object, versions: Mapping | None = None):
        """Open the folder; empty it if it was made under another fingerprint.

        Args:
            folder: Folder for items.
            fingerprint: What all items depend on.
            versions: By final path, what only this item depends on.
        """
        self.folder, self.versions = Path(folder), versions or {}
        self.fingerprint = digest(fingerprint)
        mark = self.folder / "fingerprint"
        if not mark.exists() or mark.read_text(encoding="utf-8") != self.fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_text(mark, self.fingerprint)

    def path(self, final: str | Path) -> Path:
        """Return where the item that will end at `final` is staged; see `finish`."""
        # The fingerprint is in the name, so that items of another job are never taken for these.
        basis = f"{self.fingerprint}{final}{self.versions.get(final, '')}"
        name = hashlib.sha256(basis.encode()).hexdigest()[:12]
        return self.folder / f"{name}.{Path(final).name}"

    def pending(self, finals: list) -> list:
        """Return, in order, those of `finals` that are not staged yet or have changed since."""
        return [final for final in finals if not is_whole(self.path(final))]

    def commit(self, finals: list) -> None:
        """Move all staged items to their final names and remove the folder."""
        for final in finals:
            Path(final).parent.mkdir(parents=True, exist_ok=True)
            self.path(final).replace(final)
        shutil.rmtree(self.folder, ignore_errors=True)


def finish(staged: Path) -> None:
    """Note the checksum of a staged item, so that no damaged item gets a final name."""
    write_text(_noted(staged), sha256(staged))


def is_whole(staged: Path) -> bool:
    """Say whether an item is staged; one that changed since `finish` is removed."""
    if not staged.exists():
        return False
    noted = _noted(staged)
    if noted.exists() and noted.read_text(encoding="utf-8") != sha256(staged):
        log.warning("%s: damaged since it was staged; making it again", staged)
        staged.unlink()
        return False
    return True


def _noted(staged: Path) -> Path:
    return staged.with_name(f".{staged.name}.sha256")


def checksum(path: Path, kind: str) -> str:
    """Return the `md5` or `sha256` of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        made = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return made.hexdigest()
