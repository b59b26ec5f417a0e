"""Refusals of a disk or file server in words, found before work starts where possible."""

import errno
import os
import tempfile
from pathlib import Path

from mrisr.common.errors import InputError

# Errors that prevent writing and are not a fault of the program.
STORAGE = {
    errno.ENOSPC: "no space left on the device; free some space",
    errno.EDQUOT: "over the quota; free some space",
    errno.EROFS: "the file system is read-only; mount it for writing",
    errno.EACCES: "no permission; ask the owner, or `chmod u+rw` it",
    errno.EIO: "the disk or file server failed; look after it",
    errno.ESTALE: "the file server lost it; look after it",
}


def storage_problem(error: OSError) -> str | None:
    """Return the meaning of a file system's error and the remedy; None for any other error."""
    known = STORAGE.get(error.errno or 0)
    return known and f"{error.filename or 'writing a file'}: {known}"


def check_writable(folder: str | Path) -> None:
    """Refuse a folder in which no file can be written; make it if need be.

    Raises:
        InputError: The folder cannot be made, or nothing can be written in it.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"mrisr")
    except OSError as error:
        error.filename = str(folder)
        problem = storage_problem(error) or f"{folder}: cannot be written ({error.strerror})"
        raise InputError(problem) from None


def check_replaceable(*folders: str | Path) -> None:
    """Refuse folders with a file or folder that this user cannot write to.

    Snakemake itself writes logs and benchmarks, and would end with a traceback.

    Raises:
        InputError: The first such file or folder.
    """
    for folder in map(Path, folders):
        for path in [folder, *folder.rglob("*")]:
            if path.exists() and not os.access(path, os.W_OK):
                raise InputError(f"{path}: {STORAGE[errno.EACCES]}")
