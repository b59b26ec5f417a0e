#!/usr/bin/env python3
"""What the jobs of a run on Slurm waited for, from Snakemake's log and Slurm's times.

    waits.py [LOG ...]                         times from sacct
    waits.py --completions FILE [LOG ...]      times from the log of Slurm's jobcomp/filetxt

LOG is what Snakemake printed, by default of its last run in this folder.

Waiting is from the submission to the start. A job waits for CPUs, memory or GPUs that others hold:
named are how many ran in its partition when it came, and whose end let it start.
"""

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\d+) \(log: (\S+)\)")
FINISHED = re.compile(r"Finished jobid: (\d+) ")
TIME = re.compile(r"\[(\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})\]")
FIELDS = {"Submit": "SubmitTime", "Start": "StartTime", "End": "EndTime"}
STATE = {"Partition": "Partition", "State": "JobState"}
SHOWN = 20


@dataclass(frozen=True)
class Job:
    """A job: what it is, where it ran, and when, in seconds since 1970.

    Attributes:
        rule: Name of its rule.
        wildcards: Their values, or "".
        partition: Where it ran.
        submitted: When Slurm took it.
        started: When it began.
        ended: When it was done.
        noticed: When Snakemake saw that, or None.
    """

    rule: str
    wildcards: str
    partition: str
    submitted: float
    started: float
    ended: float
    noticed: float | None

    @property
    def name(self) -> str:
        """Rule and wildcards."""
        return f"{self.rule} {self.wildcards}".strip()

    @property
    def waited(self) -> float:
        """Seconds in Slurm's queue."""
        return self.started - self.submitted


def jobs(logs: Sequence[str], times: dict[str, dict[str, str]]) -> list[Job]:
    """Return the jobs that ended and were not cancelled.

    Args:
        logs: What Snakemake printed, a text a run.
        times: Of each of Slurm's jobs: Partition, State, Submit, Start and End, as sacct says.
    """
    found = []
    for log in logs:
        submitted, noticed, now = {}, {}, None
        for line in log.splitlines():
            if its_time := TIME.match(line):
                now = datetime.strptime(its_time[1], "%a %b %d %H:%M:%S %Y").timestamp()
            elif its := SUBMITTED.match(line):
                submitted[its[2]] = (its[1], Path(its[3]))
            elif its := FINISHED.match(line):
                noticed[its[1]] = now
        for number, (own, file) in submitted.items():
            its = times.get(number)
            if its is None or its["State"].startswith(("CANCELLED", "PENDING", "RUNNING")):
                continue
            # <logdir>/rule_<rule>/<wildcards>/<number>.log
            rule = next(part for part in reversed(file.parts) if part.startswith("rule_"))
            wildcards = "" if file.parent.name == rule else file.parent.name
            about = (rule.removeprefix("rule_"), wildcards, its["Partition"])
            when = (datetime.fromisoformat(its[key]).timestamp() for key in FIELDS)
            found.append(Job(*about, *when, noticed.get(own)))
    return found


def from_sacct(run: str) -> dict[str, dict[str, str]]:
    """Return the times of a run's jobs as the accounting database knows them."""
    names = ("JobID", *STATE, *FIELDS)
    command = ["sacct", "-X", "-n", "-P", f"--name={run}", f"--format={','.join(names)}"]
    done = subprocess.run([*command, "-S", "now-90days"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sacct: {done.stderr.strip()}\nWithout accounting: --completions <file>")
    rows = [dict(zip(names, line.split("|"), strict=True)) for line in done.stdout.splitlines()]
    return {row["JobID"]: row for row in rows}


def from_completions(text: str) -> dict[str, dict[str, str]]:
    """Return the times of the jobs in the log of Slurm's jobcomp/filetxt."""
    rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    return {row["JobId"]: {k: row[v] for k, v in (STATE | FIELDS).items()} for row in rows}


def cause(job: Job, every: Sequence[Job]) -> str:
    """Say what a job waited for."""
    others = [its for its in every if its.partition == job.partition and its is not job]
    running = [its for its in others if its.started <= job.submitted < its.ended]
    before = [its for its in others if job.submitted <= its.ended <= job.started]
    if not before:
        return f"Slurm itself; {len(running)} ran in {job.partition}"
    last = max(before, key=lambda its: its.ended)
    return f"{last.name}; {len(running)} ran in {job.partition}"


def described(every: Sequence[Job], shown: int = SHOWN) -> Iterator[str]:
    """Yield the jobs by rule, then those that waited longest, as lines."""
    by_rule = defaultdict(list)
    for job in every:
        by_rule[job.rule].append(job)
    yield "rule | jobs | waited, s (median, most) | ran, s (median) | noticed after, s (median)"
    yield "---|---|---|---|---"
    for rule, its in sorted(by_rule.items(), key=lambda row: -len(row[1])):
        late = [job.noticed - job.ended for job in its if job.noticed is not None]
        waits = [job.waited for job in its]
        yield (
            f"{rule} | {len(its)} | {median(waits):.0f}, {max(waits):.0f}"
            f" | {median(job.ended - job.started for job in its):.0f}"
            f" | {f'{median(late):.0f}' if late else ''}"
        )
    yield ""
    yield "job | waited, s | for the end of"
    yield "---|---|---"
    for job in sorted(every, key=lambda job: -job.waited)[:shown]:
        yield f"{job.name} | {job.waited:.0f} | {cause(job, every)}"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="What the jobs of a run on Slurm waited for.")
    parser.add_argument("logs", nargs="*", type=Path, metavar="LOG", help="what Snakemake printed")
    parser.add_argument("--completions", type=Path, metavar="FILE", help="log of jobcomp/filetxt")
    parser.add_argument("--longest", type=int, default=SHOWN, help="how many (%(default)s)")
    given = parser.parse_args()
    files = given.logs or sorted(Path(".snakemake/log").glob("*.snakemake.log"))[-1:]
    if not files:
        sys.exit("error: no log in .snakemake/log; run this where Snakemake ran, or name the log")
    logs = [file.read_text(encoding="utf-8") for file in files]
    runs = [its[1] for log in logs if (its := re.search("SLURM run ID: (\\S+)", log))]
    if not runs:
        sys.exit(f"error: {files[-1]}: nothing was sent to Slurm in that run; name another log")
    if given.completions:
        times = from_completions(given.completions.read_text(encoding="utf-8"))
    else:
        times = {number: row for run in runs for number, row in from_sacct(run).items()}
    print("\n".join(described(jobs(logs, times), given.longest)))


if __name__ == "__main__":
    main()
