"""Progress of long work, and the frame around every job: log file, threads, readable errors."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path

from tqdm import tqdm

from mrisr.common.errors import MrisrError
from mrisr.common.layout import RESULTS
from mrisr.common.locks import alone
from mrisr.common.redact import printable, redacted
from mrisr.common.storage import storage_problem

log = logging.getLogger("mrisr")
_bars = True
_said = "progress"


def say(what: str) -> None:
    """Set the messages of commands: `warnings` alone, `progress` (default), `everything`.

    `everything` adds messages of libraries, and the traceback of a user's error.
    """
    global _said
    _said = what


def progress(items: Iterable, description: str, total: int | None = None) -> Iterator:
    """Yield `items`; show a bar on a terminal, else a plain line at most every 10 seconds.

    Args:
        items: Items to work on.
        description: Name of the work, e.g. `prepare ds002748`.
        total: Number of items, if `items` has no length.
    """
    if _bars and sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total)
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    start = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if count == total or now - last > 10:
            last = now
            log.info("%s: %d of %d, %.1f s", description, count, total, now - start)


@contextmanager
def collected() -> Iterator[list[tuple[int, str]]]:
    """Keep the block's messages out of the log; yield a list that has them, with level, at the end.

    It is for work in other processes, and for messages that are shown in another way.
    """
    notes = BufferingHandler(capacity=10_000)
    found: list[tuple[int, str]] = []
    propagate, level = log.propagate, log.level
    log.addHandler(notes)
    log.propagate = False
    log.setLevel(logging.INFO)
    try:
        yield found
    finally:
        log.removeHandler(notes)
        log.propagate = propagate
        log.setLevel(level)
        found += [(record.levelno, record.getMessage()) for record in notes.buffer]


class _Safe(logging.Formatter):
    """Removes secrets and control characters from messages of libraries and servers."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(redacted(super().format(record)))


@contextmanager
def job(log_file: str | Path | None, threads: int = 1) -> Iterator[None]:
    """Run a job's body: messages go to `log_file`, and a user's error ends it without traceback.

    It waits while another process runs the same job, so that two writers of one output never mix.

    Args:
        log_file: File for messages and progress, only for this job; None for the terminal.
        threads: Threads that torch and the numerical libraries may use.
    """
    for name in (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ):
        os.environ[name] = str(threads)
    global _bars
    # Jobs run side by side, and their bars would overwrite each other on the terminal.
    _bars = log_file is None and _said != "warnings"
    levels = {"warnings": logging.WARNING, "everything": logging.DEBUG}
    level = levels.get(_said, logging.INFO) if log_file is None else logging.INFO
    # The code that cannot write its result reports a full disk; the log need not.
    logging.raiseExceptions = False
    with ExitStack() as held:
        logged = False
        try:
            handler: logging.Handler = logging.StreamHandler()
            if log_file is not None:
                file = Path(log_file)
                held.enter_context(alone(file.with_name(f".{file.name}.lock"), _waiting))
                handler = logging.FileHandler(file, mode="w", encoding="utf-8")
                logged = True
            handler.setFormatter(_Safe("%(asctime)s %(message)s"))
            logging.basicConfig(level=level, handlers=[handler], force=True)
            logging.captureWarnings(True)
            # fontTools reports every glyph in a PDF.
            logging.getLogger("fontTools").setLevel(logging.WARNING)
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(threads)
            yield
        except Exception as error:
            text = _explained(error)
            if text is None:
                log.error("unexpected error\n%s", traceback.format_exc())
                raise
            if _said == "everything":
                log.error("%s", traceback.format_exc())
            text = printable(redacted(text))
            if logged:
                log.error("error: %s", text)
            print(f"error: {text}", file=sys.stderr, flush=True)
            sys.exit(1)


def _explained(error: Exception) -> str | None:
    """Return what a user needs to know; None for an error that is a fault of the program."""
    if isinstance(error, MrisrError):
        return str(error)
    if isinstance(error, FileNotFoundError) and str(error.filename).startswith(f"{RESULTS}/"):
        return (
            f"{error.filename}: gone while this job needed it; if another Snakemake works in the"
            " same results folder (a second checkout, or a link to it), end one of them; then run"
            " again"
        )
    problem = storage_problem(error) if isinstance(error, OSError) else None
    return problem and f"{problem}, then run again"


def _waiting(other: str) -> None:
    remedy = "if it is left over from a run that was killed, end it (`scancel`, `kill`)"
    print(f"waiting for {other}, which makes the same files; {remedy}", file=sys.stderr, flush=True)
