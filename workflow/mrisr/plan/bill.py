"""The bill of a study before it runs: jobs, hours, memory and disk by stage."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrisr.common.text import columns, duration, size
from mrisr.plan.costs import Costs, Estimate, files
from mrisr.plan.job_list import Jobs
from mrisr.plan.job_sizes import weights
from mrisr.plan.jobs import STAGES, StudyJobs
from mrisr.plan.kept_files import Keep

#: Estimates are right within this factor. Tests compare them with studies that ran.
FACTOR = 2
SHOWN = 5  # number of longest jobs in the list


@dataclass
class Stage:
    """Jobs of one stage, and what they take together.

    Attributes:
        jobs: Number of jobs.
        cpu_seconds: CPU time of the jobs on a CPU, and of the jobs for a GPU whose time on a GPU is
            not known.
        gpu_jobs: Number of jobs that ask for a GPU.
        gpu_seconds: GPU time of these jobs, as far as their kind was recorded on a GPU.
        gpu_unknown: Number of jobs that ask for a GPU and were never recorded on one.
        on_cpu_seconds: CPU time of these jobs on a CPU; a part of `cpu_seconds`.
        peak_mb: Memory that the largest job needs.
        asked_mb: Largest memory that a job asks for.
        kept_bytes: Size of the files that stay.
        passing_bytes: Size of the files that are deleted after their last use.
        guessed: Number of jobs whose cost comes from another method or setting of their kind.
        unknown: Number of jobs whose kind was never recorded.
    """

    jobs: int = 0
    cpu_seconds: float = 0
    gpu_jobs: int = 0
    gpu_seconds: float = 0
    gpu_unknown: int = 0
    on_cpu_seconds: float = 0
    peak_mb: float = 0
    asked_mb: float = 0
    kept_bytes: float = 0
    passing_bytes: float = 0
    guessed: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Plan:
    """What a whole study takes.

    Attributes:
        stages: The stages by name, in order.
        longest: The longest jobs: name, seconds and estimate of each.
        path: The longest chain of jobs that wait for each other.
        path_seconds: Time of that chain, which more machines do not shorten.
        wall_seconds: Wall time by the number of jobs that run at a time.
        tight: Rules whose jobs will need more memory than they ask for: MB needed, MB asked, and
            how many times larger their volumes are than the largest recorded ones.
    """

    stages: dict[str, Stage]
    longest: list[tuple[str, float, Estimate]]
    path: list[tuple[str, float]]
    path_seconds: float
    wall_seconds: dict[int, float]
    tight: dict[str, tuple[float, float, float]]


def plan(
    study_jobs: StudyJobs, costs: Costs, parallel: Sequence[int] = (1,), remaining: bool = False
) -> Plan:
    """Estimate what a study takes.

    Args:
        study_jobs: The study's jobs.
        costs: Recorded costs.
        parallel: Numbers of jobs at a time, each with its own wall time.
        remaining: Leave out jobs whose files all exist.
    """
    stages = {name: Stage() for name in STAGES}
    todo: list[tuple[Jobs, int, float]] = []
    longest, tight, kept = [], {}, Keep(study_jobs.study)
    for jobs in study_jobs.jobs:
        count = sum(not _done(made) for made in jobs.outputs) if remaining else jobs.count
        stage, estimate = stages[jobs.stage], costs.estimate(jobs)
        seconds = estimate.seconds if estimate.gpu_seconds is None else estimate.gpu_seconds
        _charge(stage, jobs, count, estimate)
        todo.append((jobs, count, seconds))
        if count and jobs.memory_mb and estimate.peak_mb > jobs.memory_mb:
            tight[jobs.rule] = (estimate.peak_mb, jobs.memory_mb, estimate.grown)
        if count:
            longest.append((jobs.name, seconds, estimate))
        _fill(stage, jobs, study_jobs, costs, kept)
    longest.sort(key=lambda row: -row[1])
    path = _critical(todo)
    return Plan(
        stages,
        longest[:SHOWN],
        path,
        sum(seconds for _, seconds in path),
        {workers: _wall(todo, workers) for workers in parallel},
        tight,
    )


def _done(made: Sequence[str]) -> bool:
    return all(Path(file).exists() for file in made)


def _charge(stage: Stage, jobs: Jobs, count: int, estimate: Estimate) -> None:
    """Add the time and memory of jobs to their stage."""
    if not count:
        return
    stage.jobs += count
    stage.peak_mb = max(stage.peak_mb, estimate.peak_mb)
    stage.asked_mb = max(stage.asked_mb, jobs.memory_mb)
    stage.guessed += count * (estimate.basis == "other")
    stage.unknown += count * (estimate.basis == "unknown")
    if not jobs.gpu:
        stage.cpu_seconds += count * estimate.seconds
        return
    stage.gpu_jobs += count
    if estimate.gpu_seconds is None:
        stage.gpu_unknown += count
        stage.cpu_seconds += count * estimate.seconds
        stage.on_cpu_seconds += count * estimate.seconds
    else:
        stage.gpu_seconds += count * estimate.gpu_seconds


def _fill(stage: Stage, jobs: Jobs, study_jobs: StudyJobs, costs: Costs, kept: Keep) -> None:
    """Add the disk space of the files of jobs, whether the files exist already or not."""
    for file, kind, voxels in files(jobs, study_jobs):
        size = voxels * (costs.bytes_a_voxel(kind) or 0)
        item = Path(file).name.removesuffix(".nii.gz")
        always = jobs.rule.startswith(("segment_ground_truth", "segment_noisy"))
        if always or kept.stays(
            kind, Path(file).relative_to(study_jobs.study.layout.root).parts[1], item
        ):
            stage.kept_bytes += size
        else:
            stage.passing_bytes += size
    if jobs.kind == "fetch" and jobs.variant != "read":
        stage.kept_bytes += _raw(jobs, study_jobs)
    if jobs.kind == "train":
        method = study_jobs.study.methods[jobs.variant]
        stage.kept_bytes += 4 * max(weights(method)[0] + weights(method)[1], 0) * jobs.count


def _raw(jobs: Jobs, study_jobs: StudyJobs) -> float:
    for name, dataset in study_jobs.study.datasets.items():
        for split in study_jobs.study.splits(name):
            if jobs.rule == f"fetch_{name}_{split}":
                return len(dataset.subjects[split]) * study_jobs.raw_bytes(name)
    return 0.0


def _critical(todo: Sequence[tuple[Jobs, int, float]]) -> list[tuple[str, float]]:
    """Return the chain of jobs, one after the other, that takes longest."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    lasts = {}
    for jobs, count, seconds in todo:
        last = max(jobs.after, key=lambda name: ends.get(name, 0.0), default=None)
        lasts[jobs.name] = seconds if count else 0.0
        ends[jobs.name] = (ends.get(last, 0.0) if last else 0.0) + lasts[jobs.name]
        before[jobs.name] = last
    name = max(ends, key=ends.get)
    chain = []
    while name is not None:
        if lasts.get(name):
            chain.append((name, lasts[name]))
        name = before.get(name)
    return chain[::-1]


def _wall(todo: Sequence[tuple[Jobs, int, float]], workers: int) -> float:
    """Return the wall time of `workers` jobs at a time; those with a long chain behind go first."""
    follow: Mapping[str, list[str]] = defaultdict(list)
    open_: dict[str, int] = {}
    left: dict[str, int] = {}
    by_name = {jobs.name: (jobs, count, seconds) for jobs, count, seconds in todo}
    for jobs, count, _ in todo:
        open_[jobs.name] = len(jobs.after)
        left[jobs.name] = count
        for name in jobs.after:
            follow[name].append(jobs.name)
    rest: dict[str, float] = {}
    for jobs, _, seconds in reversed(todo):
        rest[jobs.name] = seconds + max((rest[name] for name in follow[jobs.name]), default=0.0)

    now, ready, running = 0.0, [], []
    settled = [name for name, count in open_.items() if not count]

    def settle() -> None:
        """Make jobs ready to run; jobs after a kind with no jobs left are ready at once."""
        while settled:
            name = settled.pop()
            if left[name]:
                heapq.heappush(ready, (-rest[name], name, left[name]))
                continue
            for after in follow[name]:
                open_[after] -= 1
                if not open_[after]:
                    settled.append(after)

    settle()
    free = workers
    while ready or running:
        while ready and free:
            priority, name, waiting = heapq.heappop(ready)
            # Jobs of one kind that start together end together.
            batch = min(free, waiting)
            heapq.heappush(running, (now + by_name[name][2], name, batch))
            free -= batch
            if waiting > batch:
                heapq.heappush(ready, (priority, name, waiting - batch))
        now, name, batch = heapq.heappop(running)
        free += batch
        left[name] -= batch
        if not left[name]:
            settled.append(name)
            settle()
    return now


def described(found: Plan, study_jobs: StudyJobs) -> str:
    """Return a plan as text: a table of the stages, the longest jobs, the wall time."""
    rows = [("stage", "jobs", "CPU time", "GPU time", "memory (asked)", "disk")]
    total = Stage()
    for name, stage in found.stages.items():
        if not stage.jobs and not stage.kept_bytes:
            continue
        rows.append(_row(name, stage))
        for key in vars(total):
            combine = max if key.endswith("_mb") else lambda a, b: a + b
            setattr(total, key, combine(getattr(total, key), getattr(stage, key)))
    rows.append(_row("total", total))
    lines = [columns(rows), *_remarks(total, found)]
    lines.append("\nLongest jobs:")
    lines += [
        f"  {duration(seconds):>8}  {name}" + _on(estimate)
        for name, seconds, estimate in found.longest
    ]
    where = " (those for a GPU on a CPU)" if total.gpu_unknown else ""
    lines.append(
        f"\nJobs that wait for each other take {duration(found.path_seconds)} at least{where}:"
        f"\n  {' > '.join(name for name, _ in found.path)}"
    )
    lines += [
        f"With {workers} job{'s' * (workers != 1)} at a time: about {duration(seconds)}{where}"
        for workers, seconds in found.wall_seconds.items()
    ]
    lines.append(
        "\nTimes are those of one core a job, on the machines of workflow/costs; expect a factor of"
        f" {FACTOR}. Downloads take no time here."
    )
    return "\n".join(lines)


def _remarks(total: Stage, found: Plan) -> Iterator[str]:
    if total.gpu_unknown:
        yield (
            f"\n* Unknown on a GPU: none of these {total.gpu_unknown} jobs was recorded on one. The"
            f" {duration(total.on_cpu_seconds)} that they take on a CPU are part of the CPU time."
        )
    if total.passing_bytes:
        yield (
            f"\n{size(total.passing_bytes)} more are written and deleted again, see keep in the"
            " config; the order of the jobs decides how much of it is there at once."
        )
    if total.guessed:
        yield (
            f"\n{total.guessed:,} jobs are estimated from other methods or settings of their kind."
        )
    if total.unknown:
        yield f"\nOf {total.unknown:,} jobs nothing is known: their kind was never recorded."
    for rule, (needed, asked, grown) in found.tight.items():
        basis = f", extrapolated from volumes {grown:.0f} times smaller" if grown >= 2 else ""
        yield (
            f"\n{rule} may need {size(1e6 * needed)}{basis}, and asks for {size(1e6 * asked)};"
            f" snakemake --set-resources {rule}:mem_mb=... asks for more."
        )


def _on(estimate: Estimate) -> str:
    return "" if estimate.basis == "recorded" else "  (estimated from others)"


def _row(name: str, stage: Stage) -> tuple[str, ...]:
    gpu = ""
    if stage.gpu_jobs:
        known = duration(stage.gpu_seconds) if stage.gpu_seconds else ""
        unknown = "unknown*" if stage.gpu_unknown else ""
        gpu = " + ".join(filter(None, [known, unknown]))
    asked = f" ({size(1e6 * stage.asked_mb)})" if stage.asked_mb else ""
    return (
        name,
        f"{stage.jobs:,}",
        duration(stage.cpu_seconds),
        gpu,
        f"{size(1e6 * stage.peak_mb)}{asked}",
        size(stage.kept_bytes),
    )
