"""Progress of long work, and the frame around every job: log file, threads, readable errors."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path

from tqdm import tqdm

from mrisr.errors import MrisrError

log = logging.getLogger("mrisr")
_bars = True


def progress(items: Iterable, description: str, total: int | None = None) -> Iterator:
    """Yield `items`; show a bar on a terminal, else a plain line at most every 10 seconds.

    Args:
        items: What is worked on.
        description: What is done, e.g. `prepare ds002748`.
        total: Number of items, if `items` has no length.
    """
    if _bars and sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total)
        return
    total = total if total is not None else len(items)
    start = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if count == total or now - last > 10:
            last = now
            log.info("%s: %d of %d, %.1f s", description, count, total, now - start)


@contextmanager
def collected() -> Iterator[list[tuple[int, str]]]:
    """Keep what the block logs from the log; yield a list that has level and text of it after.

    For work in other processes, and for messages that are shown in another way.
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


@contextmanager
def job(log_file: str | Path | None, threads: int = 1) -> Iterator[None]:
    """Run a job's body: messages go to `log_file`, a user's error ends it without a traceback.

    Args:
        log_file: Where messages and progress go; None for the terminal.
        threads: Threads that torch and the numerical libraries may use.
    """
    for name in (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ):
        os.environ[name] = str(threads)
    global _bars
    handlers: list[logging.Handler] = []
    # Jobs run side by side: their bars would overwrite each other on the terminal.
    _bars = log_file is None
    if log_file is not None:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
    else:
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    # It tells of every glyph that a PDF holds.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    try:
        yield
    except MrisrError as error:
        if log_file is not None:
            log.error("error: %s", error)
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception:
        log.error("unexpected error\n%s", traceback.format_exc())
        raise
