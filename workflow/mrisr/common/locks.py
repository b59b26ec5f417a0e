"""Locks between processes, on one machine or on several with a shared file system."""

import atexit
import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mrisr.common.errors import InputError

log = logging.getLogger("mrisr")

# Errors of a file system that has no locks, or none for this kind of file.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EROFS)


@contextmanager
def alone(path: str | Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that one process can have at a time; it ends when the process ends, in any way.

    It is for jobs that make the same files: when Snakemake is killed, its Slurm jobs go on, and the
    next run starts the same jobs beside them.

    Args:
        path: Path of the lock file; it is removed at the end.
        waiting: Called with the holder of the lock, if another process has it; then this one waits.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        # Not flock: processes forked from this one would share the lock, and may outlive it.
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                log.warning("%s: no locks on this file system (%s)", path.parent, error.strerror)
                break
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if not told:
                told = True
                file.seek(0)
                waiting(file.read() or "another process")
            file.close()
            time.sleep(0.5)
            continue
        # The holder before may have removed the file that was opened here.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            with suppress(OSError):  # a full disk
                file.truncate(0)
                file.write(_this_process())
                file.flush()
            break
        file.close()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            file.close()


def held(path: str | Path) -> bool:
    """Say whether a process holds the lock of `alone`, without waiting for it."""
    try:
        with Path(path).open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    return False


def claim(root: str, folder: str | Path, workplace: str | Path) -> None:
    """Work on a study from one workplace, until this process ends.

    This is for checkouts that share their results. Snakemake locks only its own working folder, and
    each checkout would delete the files of the other. Processes of one workplace may work side by
    side.

    Args:
        root: The study's results, for the message.
        folder: Folder below `root`; it has a file for each process at work, which the process
            removes.
        workplace: The working folder of this process.

    Raises:
        InputError: A process is at work from another workplace; the message names it.
    """
    folder = Path(folder).resolve()  # Snakemake leaves its --directory before this process ends
    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / secrets.token_hex(6)
    said = f"{Path(workplace).resolve()}: {_this_process()}"
    file = _held(mine, said)
    if file is None:
        return
    for other in folder.iterdir():
        found = _holder(other) if other != mine else None
        if found is not None and found.partition(": ")[0] != said.partition(": ")[0]:
            mine.unlink(missing_ok=True)
            file.close()
            raise InputError(
                f"{root}: another Snakemake works on it, from {found}; two that share results take"
                " each other's files away: wait for its end, or end it; or give this study another"
                " name"
            )

    def leave() -> None:
        mine.unlink(missing_ok=True)
        file.close()

    atexit.register(leave)


def _held(path: Path, text: str) -> TextIO | None:
    """Return a new, locked file with a text; None where there are no locks."""
    while True:
        file = path.open("w+", encoding="utf-8")
        file.write(text)
        file.flush()
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            file.close()
            path.unlink(missing_ok=True)
            if error.errno not in NO_LOCKS:
                raise
            log.warning("%s: no locks on this file system (%s)", path.parent, error.strerror)
            return None
        if path.exists():
            return file
        file.close()  # another process took the file for one that was left over


def _holder(path: Path) -> str | None:
    """Return what a live process wrote to its file; remove a file that was left over."""
    with suppress(OSError), path.open(encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return file.read()
            raise
        path.unlink(missing_ok=True)
    return None


def _this_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    who = f"Slurm job {job}" if job else f"process {os.getpid()}"
    return f"{who} on {os.uname().nodename}, since {time.strftime('%Y-%m-%d %H:%M')}"
