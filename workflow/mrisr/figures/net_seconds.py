"""Seconds that a reconstruction took, from the logs and benchmarks of its jobs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr.evaluate.read_table import read_table

#: Line of a reconstruction's log that names device and threads; a job's volumes follow it.
RAN = re.compile(r"on (?P<device>.+), (?P<threads>\d+) threads?$", re.MULTILINE)
#: Part of a line that says how long a volume took: on a CPU also the time of all its cores.
NET = re.compile(r", net (?P<wall>[\d.]+) s(?:, CPU (?P<cpu>[\d.]+) s)?$", re.MULTILINE)


@dataclass(frozen=True)
class Seconds:
    """Seconds a volume of one method.

    Attributes:
        volumes: One for each timed volume, shape (n,): CPU time of all cores, on a GPU wall time.
        cold: Whether no volume went before them in their jobs, so that they hold what is done once.
        whole: Whether they are the wall time of whole jobs, because the program times no volume.
    """

    volumes: np.ndarray
    cold: bool = False
    whole: bool = False


def seconds(cell: Mapping) -> Seconds | None:
    """Return the seconds a volume of a method; None if no log and no benchmark tells.

    Args:
        cell: Has `runs` (log and benchmark of every reconstruction job) and `volumes` (the number
            of volumes of each job).
    """
    jobs = [found for run in cell["runs"] if (found := net(_text(run["log"])))]
    if warm := [value for found in jobs for value in found[1:]]:
        return Seconds(np.array(warm))
    if jobs:
        return Seconds(np.array([found[0] for found in jobs]), cold=True)
    whole = []
    for run in cell["runs"]:
        try:
            table = read_table(run["benchmark"], separator="\t", missing=("-", "NA"))
            whole.append(float(table["s"].mean()) / cell["volumes"])
        except (OSError, KeyError, ValueError, pd.errors.ParserError):
            continue
    return Seconds(np.array(whole), whole=True) if whole else None


def net(log: str) -> list[float]:
    """Return the seconds of each volume in a log, in their order."""
    return [float(found["cpu"] or found["wall"]) for found in NET.finditer(log)]


def where(run: Mapping) -> str:
    """Return the device and threads that the log of a job names; empty if it names none."""
    said = RAN.search(_text(run["log"]))
    if said is None:
        return ""
    count = said["threads"]
    return f"{said['device']}, {count} thread{'' if count == '1' else 's'}"


def _text(log: str | Path) -> str:
    try:
        return Path(log).read_text(errors="replace")
    except OSError:
        return ""
