"""Sections of measurements within a time: each case alone may fail or be late, the others go on."""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

# Share of all time left that a case may take beyond its section's share.
SLACK = 0.25
# Seconds until a late case that imports a module is looked at again.
LATER = 0.2


class OutOfTime(BaseException):
    """The time of a case is over; no code that handles errors shall take it for one."""


@dataclass(frozen=True)
class Section:
    """Measurements of one kind.

    Attributes:
        name: In the JSON.
        title: In the Markdown.
        weight: Of its time among the sections that are left.
        cases: What is measured, the most important first; each is what `measure` is called with.
        measure: Returns what it found by name. `ok` says whether that is as it must be, `note`
            what there is to say, `lacks` why it cannot be measured here.
    """

    name: str
    title: str
    weight: float
    cases: Sequence[tuple]
    measure: Callable[..., dict]


def run(
    sections: Sequence[Section], end: float, found: dict, write: Callable[[dict], None]
) -> None:
    """Measure all sections; what a section does not use of its time is left to the next.

    Args:
        sections: In the order of their importance.
        end: When all must be over, in seconds of `time.monotonic`.
        found: Gets `sections`, each with its title, seconds, state and rows.
        write: Called with `found` as soon as a section is done.
    """
    for index, section in enumerate(sections):
        begun = time.monotonic()
        weights = sum(other.weight for other in sections[index:])
        until = begun + max(0.0, end - begun) * section.weight / weights
        latest = until + SLACK * max(0.0, end - until)
        rows: list[dict] = []
        entry: dict[str, Any] = {"title": section.title, "state": "done", "rows": rows}
        found["sections"][section.name] = entry
        left = list(section.cases)
        while left and time.monotonic() < until:
            case = left.pop(0)
            row = one(section.measure, case, latest)
            if row is None:
                left.insert(0, case)
                break
            rows.append(row)
        if left:
            entry["state"] = "out of time"
            entry["left"] = [" ".join(map(str, case)) for case in left]
        if any("error" in row for row in rows):
            entry["state"] = "errors"
        entry["seconds"] = round(time.monotonic() - begun, 2)
        write(found)


def one(measure: Callable[..., dict], case: tuple, latest: float) -> dict | None:
    """Return what a case gives, or its error; None if it was not done in time."""
    begun = time.monotonic()
    left = latest - begun
    if left <= 0:
        return None

    def late(number: int, frame: FrameType | None) -> None:
        if importing(frame):
            signal.setitimer(signal.ITIMER_REAL, LATER)
        else:
            raise OutOfTime

    alarmed = threading.current_thread() is threading.main_thread()
    if alarmed:
        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, left)
    try:
        made = measure(*case)
    except OutOfTime:
        return None
    except ImportError as error:  # what a bare machine need not have
        made = {"lacks": str(error)}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
        place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
        made = {"error": f"{said[:300]} ({place})"}
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    return {"case": list(case), **made, "took": round(time.monotonic() - begun, 3)}


def importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported; cut short, it would be broken for all others."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def failures(found: dict) -> list[str]:
    """Return the cases that failed: with an error, or with a result that is not as it must be."""
    return [
        f"{name}: {' '.join(map(str, row['case']))}:"
        f" {row.get('error') or row.get('note') or 'not as it must be'}"
        for name, section in found["sections"].items()
        for row in section["rows"]
        if "error" in row or row.get("ok") is False
    ]
