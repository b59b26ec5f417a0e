"""The growing list of one study's jobs; each job is added after those that it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mrisr.methods.method import Method
from mrisr.plan.job_sizes import JobSizes
from mrisr.plan.kept_files import Keep
from mrisr.plan.resources import requests
from mrisr.plan.study_files import StudyFiles
from mrisr.study.figures_key import shown_cells
from mrisr.study.study import Study


@dataclass(frozen=True)
class Jobs:
    """Jobs of one rule that differ only in the subject; most often a single job.

    Attributes:
        stage: One of `mrisr.plan.jobs.STAGES`.
        rule: Name of the rule.
        kind: What costs are recorded for, e.g. `segment`.
        variant: What else decides the cost: a method, a list of metrics, a transform.
        size: Work of one job: voxels, or for networks multiplications. 0 if it hardly depends on
            the study.
        voxels: Voxels of the largest volume that a job holds.
        outputs: The files of each job.
        benchmarks: The benchmark of each job; none for rules without.
        after: Names of the jobs that must be done before.
        name: Name of these jobs, unique in the study.
        gpu: Whether they ask for a GPU.
        memory_mb: Memory that each job asks for.
        threads: Threads that each job asks for.
        minutes: Time after which a cluster may end a job; None if the rule does not say.
        model: Folder of the model that the job trains.
        most_seconds: Time after which the training ends wherever it is (`training.minutes`), or
            None.
    """

    stage: str
    rule: str
    kind: str
    variant: str
    size: float
    voxels: float
    outputs: Sequence[Sequence[str]]
    benchmarks: Sequence[str]
    after: Sequence[str] = ()
    name: str = ""
    gpu: bool = False
    memory_mb: float = 0
    threads: int = 1
    minutes: int | None = None
    model: str | None = None
    most_seconds: float | None = None

    @property
    def count(self) -> int:
        """Number of jobs."""
        return len(self.outputs)


class JobList:
    """Jobs that are added stage by stage.

    Attributes:
        study: The study.
        sizes: How much work the jobs have.
        layout: Paths of the study's files.
        files: Lists of the study's files.
        shown: Cells that only figures show and no table has.
        found: The jobs so far.
    """

    def __init__(self, study: Study, sizes: JobSizes):
        self.study, self.sizes = study, sizes
        self.layout, self.files = study.layout, StudyFiles(study)
        self.shown = shown_cells(study)
        self.found: list[Jobs] = []
        self._kept = Keep(study)

    def add(
        self,
        stage: str,
        rule: str,
        kind: str,
        outputs: Sequence[str],
        stem: str,
        *,
        items: Sequence[str] | None = None,
        wildcards: str = "",
        request: str | None = None,
        **more: Any,
    ) -> str:
        """Add jobs: one, or one for each of `items`; `outputs` and `stem` may name `{item}`.

        The jobs ask for what `requests` has under `request`, by default under their kind.
        """
        layout = self.study.layout
        if asked := requests(self.study.deterministic).get(request or kind):
            more = {**vars(asked), **more}

        def named(text: str, item: str) -> str:
            return text.replace("{item}", item)

        names = [""] if items is None else items
        group = Jobs(
            stage=stage,
            rule=rule,
            kind=kind,
            outputs=[[named(file, item) for file in outputs] for item in names],
            benchmarks=[layout.benchmark(named(stem, item)) for item in names] if stem else [],
            name=f"{rule} {wildcards}".strip(),
            **{"variant": "", "size": 0.0, "voxels": 0.0, **more},
        )
        self.found.append(group)
        return group.name

    def by_rule(
        self, kind: str, dataset: str, items: Sequence[str]
    ) -> list[tuple[str, Sequence[str]]]:
        """Return the suffix of each rule that makes a kind of volume, with the items of the rule.

        Where volumes of this kind are deleted after use, another rule makes those on show, which
        stay.
        """
        parts = self._kept.parts(kind, dataset)
        apart = [(part.suffix, list(filter(part.holds, items))) for part in parts]
        return [(suffix, chosen) for suffix, chosen in apart if chosen]

    def names(self, prefix: str) -> list[str]:
        """Return the names of the jobs so far that are `prefix`, or start with it and a blank."""
        return [g.name for g in self.found if g.name == prefix or g.name.startswith(f"{prefix} ")]

    def lr(self, dataset: str, scale: str) -> list[str]:
        """Return the names of the jobs that make a dataset's LR input."""
        real = dataset in self.study.real_datasets
        what = "stacks" if self.study.datasets[dataset].stacked else "real"
        made = f"prepare_{dataset}_{what}" if real else f"degrade_{dataset}"
        return self.names(f"{made} {scale}")

    def sr(self, method: str, dataset: str, scale: str) -> list[str]:
        """Return the names of the jobs that make the reconstructions of a cell."""
        rule = f"reconstruct_{method}_{dataset}"
        return [*self.names(f"{rule} {scale}"), *self.names(f"{rule}_shown {scale}")]

    @property
    def metrics(self) -> str:
        """The study's metrics: the variant of the jobs that compute them."""
        return "+".join(sorted(self.study.config["metrics"]))


def method_request(method: Method, stage: str) -> dict[str, Any]:
    """Return what a method's jobs of a stage (train, reconstruct) ask for."""
    asked = method.resources(stage)
    return {
        "gpu": bool(asked.get("gpu")),
        "threads": method.threads(stage),
        "memory_mb": asked.get("mem_mb", 0),
        "minutes": asked.get("runtime"),
    }
