"""Locks between processes, on one machine or on several with a shared file system."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("mrisr")

# Errors of a file system that has no locks, or none for this file.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EROFS)


@contextmanager
def alone(path: str | Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that one process has at a time; it ends with the process, however that ends.

    For jobs that make the same files: when Snakemake is killed, its Slurm jobs go on, and the next
    run starts the same jobs beside them.

    Args:
        path: Path of the lock file; it is removed at the end.
        waiting: Told who holds the lock, if another process does; then this one waits.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        # Not flock: processes forked from this one would hold it too, and may outlive it.
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
        # The one before may have removed the file that was opened here.
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


def _this_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    who = f"Slurm job {job}" if job else f"process {os.getpid()}"
    return f"{who} on {os.uname().nodename}, since {time.strftime('%Y-%m-%d %H:%M')}"
