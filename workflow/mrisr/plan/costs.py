"""What jobs cost: recorded from benchmarks of a study that ran, estimated for another one."""

import csv
import io
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import write_text
from mrisr.common.paths import WORKFLOW
from mrisr.plan.job_list import Jobs
from mrisr.plan.jobs import StudyJobs

log = logging.getLogger("mrisr")

FOLDER = WORKFLOW / "costs"
JOBS, DISK = FOLDER / "jobs.csv", FOLDER / "disk.csv"
#: CPU seconds and MB that any job takes to start Python and its libraries.
START_SECONDS, START_MB = 0.4, 150.0
#: A method with more multiplications a voxel than this is a network.
MACS = 100


@dataclass(frozen=True)
class Cost:
    """What jobs of one kind cost together.

    Attributes:
        kind: See `mrisr.plan.job_list.Jobs`.
        variant: See `mrisr.plan.job_list.Jobs`.
        device: `cpu`, or the GPU's name.
        study: Name of the study that ran.
        jobs: Number of jobs.
        size: Sum of their work, see `Jobs.size`.
        seconds: Sum of their CPU seconds on a CPU, or of their wall seconds on a GPU.
        peak_mb: Memory of the largest job.
        voxels: Voxels of the largest volume of that job.
    """

    kind: str
    variant: str
    device: str
    study: str
    jobs: int
    size: float
    seconds: float
    peak_mb: float
    voxels: float

    @property
    def key(self) -> tuple:
        """Key under which a later record replaces this one."""
        return self.kind, self.variant, self.device, self.study, f"{self.voxels:.8g}"

    @property
    def rate(self) -> float:
        """Seconds for one unit of work."""
        beyond = max(0.0, self.seconds - self.jobs * START_SECONDS)
        return beyond / self.size if self.size else 0.0


@dataclass(frozen=True)
class Disk:
    """Bytes that files of one kind take for each voxel (a model: for each parameter).

    Attributes:
        kind: Folder under `results/<study>/`, e.g. `sr`.
        study: Name of the study that ran.
        files: Number of files.
        voxels: Voxels of all files together.
        bytes: Bytes of all files together.
    """

    kind: str
    study: str
    files: int
    voxels: float
    bytes: float


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of one job.

    Attributes:
        seconds: CPU seconds; for a job that asks for a GPU, its CPU seconds on a CPU.
        gpu_seconds: GPU seconds of a job that asks for a GPU, if one was ever recorded, else None.
        peak_mb: Memory in MB.
        basis: Where the estimate comes from: `recorded`, `other` (another method or setting of the
            same kind), `unknown`.
        grown: How many times larger the volumes are than the largest recorded ones, at least 1.
    """

    seconds: float
    gpu_seconds: float | None
    peak_mb: float
    basis: str
    grown: float = 1.0


class Costs:
    """Recorded costs of jobs and files."""

    def __init__(self, costs: Iterable[Cost], disk: Iterable[Disk] = ()):
        self.costs, self.disk = list(costs), list(disk)

    @classmethod
    def load(cls, folder: str | Path = FOLDER) -> "Costs":
        """Read the recorded costs from a folder; without files nothing is known.

        Raises:
            ConfigError: A file has other columns or values than `record` writes.
        """
        folder = Path(folder)
        return cls(_read(folder / JOBS.name, Cost), _read(folder / DISK.name, Disk))

    def save(self, folder: str | Path) -> None:
        """Write all records to a folder."""
        for name, found, what in ((JOBS.name, self.costs, Cost), (DISK.name, self.disk, Disk)):
            text = io.StringIO()
            writer = csv.DictWriter(text, [f.name for f in fields(what)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.8g}" if isinstance(v, float) else v for k, v in asdict(row).items()}
                for row in sorted(found, key=lambda row: tuple(map(str, asdict(row).values())))
            )
            write_text(Path(folder) / name, text.getvalue())

    def updated(self, other: "Costs") -> "Costs":
        """Return these records with the rows of `other`, which replace rows of the same key."""
        costs = {row.key: row for row in [*self.costs, *other.costs]}
        disk = {(row.kind, row.study): row for row in [*self.disk, *other.disk]}
        return Costs(costs.values(), disk.values())

    def estimate(self, jobs: Jobs) -> Estimate:
        """Return the estimated cost of one of `jobs`."""
        if not jobs.benchmarks:  # rules that take hardly any time
            return Estimate(START_SECONDS, None, START_MB, "recorded")
        row, basis = self._nearest(jobs, cpu=True)
        gpu, _ = self._nearest(jobs, cpu=False) if jobs.gpu else (None, "")
        if row is None and gpu is None:
            return Estimate(0.0, None, 0.0, "unknown")
        return Estimate(
            0.0 if row is None else self._seconds(row, jobs),
            None if gpu is None else self._seconds(gpu, jobs),
            self._memory(row or gpu, jobs),
            basis if row is not None else "recorded",
            self._grown(row or gpu, jobs),
        )

    def _seconds(self, known: Cost, jobs: Jobs) -> float:
        seconds = self._work_seconds(known, jobs)
        return seconds if jobs.most_seconds is None else min(seconds, jobs.most_seconds)

    def _work_seconds(self, known: Cost, jobs: Jobs) -> float:
        if not jobs.size or not known.size:
            return known.seconds / known.jobs
        if jobs.kind not in ("train", "reconstruct"):  # their records may be of other networks
            points = [
                (row.size / row.jobs, row.seconds / row.jobs)
                for row in self._like(known)
                if row.device == known.device
            ]
            (x, y), (far, top) = min(points), max(points)
            if far > 2 * x:
                slope = max(0.0, top - y) / (far - x)
                return max(START_SECONDS, y + slope * (jobs.size - x))
        return START_SECONDS + known.rate * jobs.size

    def _grown(self, known: Cost, jobs: Jobs) -> float:
        largest = max(c.voxels for c in self._like(known))
        return max(1.0, jobs.voxels / largest) if largest else 1.0

    def _like(self, known: Cost) -> list[Cost]:
        return [c for c in self.costs if (c.kind, c.variant) == (known.kind, known.variant)]

    def _memory(self, known: Cost, jobs: Jobs) -> float:
        """Return the peak MB of a job, from a line through the records of its kind."""
        # Training holds patches, and a network works in tiles: the volume's size does not matter.
        if jobs.kind == "train" or (
            jobs.kind == "reconstruct" and known.size > MACS * known.voxels
        ):
            return known.peak_mb
        rows = self._like(known)
        small, large = (pick(rows, key=lambda c: c.voxels) for pick in (min, max))
        if large.voxels < 1.5 * small.voxels:
            small, large = None, known
        if not large.voxels or not jobs.voxels:
            return known.peak_mb
        x, y = (small.voxels, small.peak_mb) if small else (0.0, START_MB)
        slope = max(0.0, large.peak_mb - y) / (large.voxels - x)
        return max(START_MB, y + slope * (jobs.voxels - x))

    def _nearest(self, jobs: Jobs, cpu: bool) -> tuple[Cost | None, str]:
        """Return the record most like a job, and how like it is (`Estimate.basis`)."""
        rows = [c for c in self.costs if c.kind == jobs.kind and (c.device == "cpu") == cpu]
        same = [c for c in rows if c.variant == jobs.variant]
        basis = "recorded" if same else "other"
        rows = same or _alike(rows, jobs.variant)
        if not rows:
            return None, "unknown"
        # Small networks use a processor less well, so take the record nearest in work a job.
        return min(rows, key=lambda row: _distance(row.size / row.jobs, jobs.size)), basis

    def bytes_a_voxel(self, kind: str) -> float | None:
        """Return the bytes that files of a kind take a voxel, or None if never recorded."""
        rows = [row for row in self.disk if row.kind == kind and row.voxels]
        return sum(r.bytes for r in rows) / sum(r.voxels for r in rows) if rows else None


def record(study_jobs: StudyJobs, device: str | None = None) -> Costs:
    """Read what a study's jobs cost from its benchmarks and files.

    Jobs without a benchmark are left out. So are trainings that were interrupted and continued:
    their benchmark holds only the last part.

    Args:
        study_jobs: Jobs of a study that ran.
        device: Name of the GPU that ran the jobs which ask for one; None if there was none.

    Raises:
        InputError: Nothing was recorded.
    """
    study = study_jobs.study
    found: dict[tuple, list[tuple[Jobs, float, float]]] = defaultdict(list)
    for jobs in study_jobs.jobs:
        on = device if jobs.gpu and device else "cpu"
        for file in jobs.benchmarks:
            measured = _benchmark(file, on == "cpu")
            if measured is None or _interrupted(jobs, measured[2]):
                continue
            found[jobs.kind, jobs.variant, on].append((jobs, *measured[:2]))
    if not found:
        raise InputError(
            f"{study.layout.root}: holds no benchmark of a job of {study.where}; give the config"
            " that it ran with, from the folder that holds results/"
        )
    costs = []
    for (kind, variant, on), rows in found.items():
        largest = max(rows, key=lambda row: row[2])
        costs.append(
            Cost(
                *(kind, variant, on, study.name, len(rows)),
                float(sum(jobs.size for jobs, _, _ in rows)),
                float(sum(seconds for _, seconds, _ in rows)),
                float(largest[2]),
                float(largest[0].voxels),
            )
        )
    return Costs(costs, _disk(study_jobs))


def _benchmark(file: str, cpu: bool) -> tuple[float, float, float] | None:
    """Return seconds, peak MB and wall seconds of a benchmark, or None if there is none."""
    try:
        with Path(file).open(encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened, delimiter="\t"))
        wall = sum(float(row["s"]) for row in rows) / len(rows)
        load = max(_number(row["mean_load"]) for row in rows) / 100
        peak = max(_number(row["max_rss"]) for row in rows)
    except FileNotFoundError:
        return None
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{file}: not a benchmark of Snakemake ({error!r}); delete it") from None
    # Snakemake looks at the processor's time now and then: of short jobs it sees none of it.
    return (wall * load if cpu and load else wall), peak, wall


def _number(text: str) -> float:
    return 0.0 if text in ("NA", "-", "") else float(text)


def _interrupted(jobs: Jobs, wall: float) -> bool:
    """Say whether a training took longer than its benchmark, so that it was interrupted."""
    if jobs.model is None:
        return False
    from mrisr.methods.model_files import read_description

    trained = read_description(jobs.model).get("seconds")
    return trained is None or trained > 1.2 * wall + 10


def _disk(study_jobs: StudyJobs) -> list[Disk]:
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for jobs in study_jobs.jobs:
        for file, kind, voxels in files(jobs, study_jobs):
            if voxels and Path(file).exists():
                found[kind].append((voxels, Path(file).stat().st_size))
    return [
        Disk(kind, study_jobs.study.name, len(rows), *map(float, map(sum, zip(*rows, strict=True))))
        for kind, rows in found.items()
    ]


def files(jobs: Jobs, study_jobs: StudyJobs) -> Iterable[tuple[str, str, float]]:
    """Yield the images among the outputs of jobs: file, kind (see `Disk`), voxels."""
    root = study_jobs.study.layout.root
    for made in jobs.outputs:
        for file in made:
            if not file.endswith(".nii.gz"):
                continue
            kind, dataset = Path(file).relative_to(root).parts[:2]
            if dataset not in study_jobs.study.datasets:
                continue
            voxels = study_jobs.hr_voxels(dataset)
            if kind == "segmentation" and "priors" in file:
                kind, voxels = f"priors/{Path(file).stem[:-4]}", study_jobs.working_voxels(dataset)
            elif kind == "lr":
                scale = float(Path(file).parent.name.removeprefix("x"))
                study = study_jobs.study
                copies = len(study.inputs(dataset, study.items(dataset, "test")[0]))
                voxels = study_jobs.lr_voxels(dataset, scale) / copies
            yield file, kind, voxels


def _alike(rows: Sequence[Cost], variant: str) -> list[Cost]:
    """Return the records whose variants are most like a variant that was never recorded.

    All other methods are equally like it. Of lists of metrics, the most like have the most metrics
    in common.
    """
    if not rows or "+" not in variant:
        return list(rows)
    wanted = set(variant.split("+"))

    def differing(row: Cost) -> int:
        return len(wanted ^ set(row.variant.split("+")))

    least = min(map(differing, rows))
    return [row for row in rows if differing(row) == least]


def _distance(a: float, b: float) -> float:
    return abs(math.log((a or 1) / (b or 1)))


def _read(file: Path, what: type) -> list:
    if not file.exists():
        return []
    kinds = {f.name: f.type for f in fields(what)}
    with file.open(encoding="utf-8", newline="") as opened:
        try:
            return [
                what(**{name: kinds[name](value) for name, value in row.items()})
                for row in csv.DictReader(opened)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{file}: {error!r}; give a folder that `mrisr plan --record` wrote"
            ) from None
