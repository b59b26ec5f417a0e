"""How far a study is, told by its files alone: what is measured, failed, at work, waiting.

This asks neither Snakemake nor Slurm and writes nothing. So it works at any time, on any machine
that sees the files.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from mrisr.common.layout import scale_name
from mrisr.common.locks import held
from mrisr.study.study import Cell, Study

DONE, FAILED, RUNNING, STOPPED, WAITING, SKIPPED = (
    *("done", "failed", "running", "stopped", "waiting", "n/a"),
)
TAIL = 20_000  # bytes at the end of a log that are read
#: Folders of Slurm's own logs: that of our profile, and the plugin's default.
SLURM_LOGS = ("results/logs/slurm", ".snakemake/slurm_logs")
#: How a job's log reports a failure, see `mrisr.common.progress.job`.
SAID = re.compile(r"^(?:[\d-]+ [\d:,]+ )?(?:error: (.*)|unexpected error$)", re.MULTILINE)
#: What Slurm and Python write when a job ends before it can report anything.
KILLED = re.compile(
    r"^(?:slurmstepd: error: .*|.*\b(?:oom[-_ ]?kill|OUT_OF_MEMORY|TIME LIMIT)\b.*)$",
    re.MULTILINE | re.IGNORECASE,
)
#: The line of Snakemake's log that names its machine.
HOST = re.compile(r"^ +Host: (\S+)$", re.MULTILINE)
LISTED = re.compile(r"^\s+log: (.+?)(?: \(check log file.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """A job that failed and has not been run again.

    Attributes:
        log: Its log.
        reason: The last error in the log, one line.
    """

    log: str
    reason: str


@dataclass(frozen=True)
class State:
    """How far a study is.

    Attributes:
        cells: Every cell of the tables with its state.
        failures: Jobs that failed, the oldest first.
        active: Whether a Snakemake works in this folder.
        overlaps: Number of overlaps of segmentations that exist, and number in the finished study.
    """

    cells: list[tuple[Cell, str]]
    failures: list[Failure]
    active: bool
    overlaps: tuple[int, int]

    def count(self, *states: str) -> int:
        """Return how many cells are in one of these states."""
        return sum(state in states for _, state in self.cells)

    @property
    def wanted(self) -> int:
        """Number of cells in the finished study."""
        return len(self.cells) - self.count(SKIPPED)

    def table(self) -> tuple[list[str], list[tuple[str, str, list[tuple[str, str]]]]]:
        """Return the scales; and each method's name, label, and text and state for each scale."""
        scales = list(dict.fromkeys(scale_name(cell.scale) for cell, _ in self.cells))
        methods = {cell.method.name: cell.method.label for cell, _ in self.cells}
        rows = []
        for name, label in methods.items():
            line = []
            for scale in scales:
                states = [
                    state
                    for cell, state in self.cells
                    if cell.method.name == name and scale_name(cell.scale) == scale
                ]
                line.append(_together(states))
            rows.append((name, label, line))
        return scales, rows


def _together(states: list[str]) -> tuple[str, str]:
    """Return the text for one method and scale on all datasets, and the most urgent state."""
    wanted = [state for state in states if state != SKIPPED]
    if not wanted:
        return ("n/a", SKIPPED) if states else ("", SKIPPED)
    done = wanted.count(DONE)
    worst = next(s for s in (FAILED, RUNNING, STOPPED, WAITING, DONE) if s in wanted)
    if len(wanted) > 1 and done:
        text = f"{done} of {len(wanted)}"
        return (text if worst in (DONE, WAITING) else f"{text}, {worst}"), worst
    return worst, worst


def state(study: Study) -> State:
    """Look at a study's files and logs, from the folder that Snakemake runs in."""
    active = _active()
    cells = list(study.cells())
    measured = [
        None
        if cell.skipped
        else all(Path(_metrics(study, each)).exists() for each in _trainings(study, cell))
        for cell in cells
    ]
    done = {
        stem
        for cell, there in zip(cells, measured, strict=True)
        if there
        for each in _trainings(study, cell)
        for stem in (_sr(study, each), study.layout.metrics_stem(*_place(each)))
    }
    failures = _failures(study, done)
    failed = {failure.log for failure in failures}
    found = [
        (cell, _of(study, cell, there, failed, active))
        for cell, there in zip(cells, measured, strict=True)
    ]
    overlaps = [
        Path(study.layout.overlap(*_place(cell))).exists()
        for cell in study.segmented_cells()
        if not cell.skipped
    ]
    return State(found, failures, active, (sum(overlaps), len(overlaps)))


def _active() -> bool:
    """Say whether a Snakemake works in this folder. One that was killed leaves its lock behind."""
    if not any(Path(".snakemake/locks").glob("*.lock")):
        return False
    newest = sorted(Path(".snakemake/log").glob("*.snakemake.log"))[-1:]
    hosts = [HOST.search(file.read_text(errors="replace")) for file in newest]
    if not any(host and host[1] == os.uname().nodename for host in hosts):
        return True  # on another machine, whose processes are not visible here
    here = str(Path.cwd())
    return any(
        process.info["cwd"] in (here, None)  # None: a process of another user
        and any("snakemake" in word for word in process.info["cmdline"] or ())
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.pid != os.getpid()
    )


def _at_work(log: str) -> bool:
    """Say whether a job holds the lock of its log. It may go on after Snakemake has ended."""
    file = Path(log)
    return held(file.with_name(f".{file.name}.lock"))


def _trainings(study: Study, cell: Cell) -> list[Cell]:
    """Return a cell once for each training of its method."""
    return [replace(cell, method=method) for method in study.trainings(cell.method)]


def _place(cell: Cell) -> tuple[str, str, str]:
    return cell.dataset, cell.method.name, scale_name(cell.scale)


def _metrics(study: Study, cell: Cell) -> str:
    return study.layout.metrics(*_place(cell))


def _sr(study: Study, cell: Cell) -> str:
    return study.layout.sr_stem(*_place(cell))


def _of(study: Study, cell: Cell, there: bool | None, failed: set[str], active: bool) -> str:
    """Return the state of a cell."""
    if there is None:
        return SKIPPED
    if there:
        return DONE
    logs = [log for each in _trainings(study, cell) for log in _logs(study, each)]
    if failed & set(logs):
        return FAILED
    if not any(Path(log).exists() for log in logs):
        return WAITING
    return RUNNING if active or any(map(_at_work, logs)) else STOPPED


def _logs(study: Study, cell: Cell) -> Iterator[str]:
    """Yield the logs of the unfinished jobs that a cell waits for."""
    layout, method, scale = study.layout, cell.method, scale_name(cell.scale)
    items = study.items(cell.dataset, "test")
    if method.learned and method.kind != "external":
        whose = [(cell.dataset, item) for item in items] if method.per_subject else [()]
        for owner in whose:
            folder = layout.model(method.name, method.trained(scale), *owner)
            if not Path(folder, "model.safetensors").exists():
                yield layout.log(folder)
    one = method.granularity == "subject"
    for item in items:
        if not Path(layout.sr(*_place(cell), item)).exists():
            yield layout.log(layout.sr_stem(*_place(cell), item if one else None))
    yield layout.log(layout.metrics_stem(*_place(cell)))


def _failures(study: Study, done: set[str]) -> list[Failure]:
    """Return the failed jobs, by their own logs, Snakemake's last log and Slurm's logs."""
    root = Path(study.layout.log(study.layout.root + "/x")).parent
    finished = {study.layout.log(stem) for stem in done}
    found: dict[str, str] = {}
    named = dict(_named())
    for file in sorted(root.rglob("*.log")):
        log = str(file)
        if log in finished or str(file.parent) + ".log" in finished:
            continue
        text = _tail(file)
        said = list(SAID.finditer(text))
        if said and _ends(text, said[-1]):
            found[log] = _reason(text, said[-1])
        elif log in named and named[log][0] >= file.stat().st_mtime:
            found[log] = named[log][1]
    for log, (_, reason) in named.items():
        if not Path(log).exists() and log.startswith(f"{root}/") and log not in finished:
            found[log] = reason
    return [Failure(log, found[log]) for log in sorted(found, key=_age)]


def _age(log: str) -> float:
    return Path(log).stat().st_mtime if Path(log).exists() else 0.0


def _ends(text: str, said: re.Match) -> bool:
    """Say whether an error is the last entry of a log; a traceback may follow it."""
    return said[1] is None or not text[said.end() :].strip()


def _reason(text: str, said: re.Match) -> str:
    """Return an error on one line: its message, or the last line of the traceback."""
    return said[1] if said[1] is not None else text.strip().splitlines()[-1].strip()


def _named() -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield the logs of jobs that Snakemake or Slurm report as failed, with time and source."""
    newest = sorted(Path(".snakemake/log").glob("*.snakemake.log"))[-1:]
    slurm = [file for folder in SLURM_LOGS for file in _newest(Path(folder))]
    for file in [*newest, *slurm]:
        text = _tail(file)
        killed = KILLED.findall(text)
        for block in text.split("\nError in ")[1:] if "\nError in " in text else []:
            logs = LISTED.search(block)
            reason = killed[-1] if killed else f"failed, and its log does not say why; see {file}"
            for log in re.split(r",\s*", logs[1]) if logs else []:
                yield log, (file.stat().st_mtime, reason)
        if killed and "\nError in " not in text:
            for logs in LISTED.findall(text):
                yield logs, (file.stat().st_mtime, killed[-1])


def _newest(folder: Path) -> Iterable[Path]:
    """Return the last log of every job in a folder of Slurm's logs."""
    last: dict[Path, Path] = {}
    for file in folder.rglob("*.log"):
        other = last.get(file.parent)
        if other is None or file.stat().st_mtime > other.stat().st_mtime:
            last[file.parent] = file
    return last.values()


def _tail(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL))
        return "\n" + opened.read().decode("utf-8", errors="replace")
