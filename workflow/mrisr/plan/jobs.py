"""The jobs of a study as the rules make them, with what each has to do; without Snakemake."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

from mrisr.common.errors import MrisrError
from mrisr.common.layout import FIGURE_SUFFIXES, TABLE_SUFFIXES, scale_name
from mrisr.data.datasets import Dataset
from mrisr.methods.method import Method
from mrisr.methods.training_length import steps_per_epoch, total_steps
from mrisr.plan import figures, tables
from mrisr.plan.kept_files import Keep
from mrisr.plan.resources import requests
from mrisr.study.figures_key import shown_cells
from mrisr.study.study import Study

#: Stages in the order of the table.
STAGES = ("data", "degrade", "train", "reconstruct", "evaluate", "segment", "tables")
#: Edges of an adult's brain in mm, for crops whose size only the scans tell.
BRAIN = (145, 185, 150)


@dataclass(frozen=True)
class Jobs:
    """Jobs of one rule that differ in the subject alone; most often it is one.

    Attributes:
        stage: One of `STAGES`.
        rule: Name of the rule.
        kind: What costs are recorded for, e.g. `segment`.
        variant: What else decides the cost: a method, a list of metrics, a transform.
        size: Work of one job: voxels, or for networks multiplications. 0 if it hardly depends on
            the study.
        voxels: Of the largest volume that a job holds.
        outputs: The files of each job.
        benchmarks: The benchmark of each job; none for rules without.
        after: Names of what must be done before.
        name: Of these jobs among all of the study.
        gpu: Whether they ask for a GPU.
        memory_mb: What each asks for.
        threads: What each asks for.
        minutes: Time after which a cluster may end it; None if its rule does not say.
        model: Folder of the model that the job trains.
        most_seconds: Time after which it ends wherever it is (`training.minutes`); None for none.
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
        """How many jobs."""
        return len(self.outputs)


class StudyJobs:
    """All jobs of a study.

    Attributes:
        study: The study.
    """

    def __init__(self, study: Study):
        self.study = study
        self._keep = Keep(study)
        self.shown = shown_cells(study)
        self._found: list[Jobs] = []

    @cached_property
    def jobs(self) -> list[Jobs]:
        """The jobs, what must be done first before what needs it."""
        self._data()
        self._degrade()
        self._train()
        self._reconstruct()
        self._evaluate()
        if self.study.segmentation is not None:
            self._segment()
        self._tables()
        return self._found

    def hr_voxels(self, dataset: str) -> float:
        """Return the voxels of a prepared item: as on disk, or as crop and scan say."""
        return math.prod(self._shape(dataset))

    def lr_voxels(self, dataset: str, scale: float) -> float:
        """Return the voxels of an item's LR input, all its stacks together."""
        kind, real = self.study.degradation["kind"], dataset in self.study.real_datasets
        axes, copies = {"volume": (3, 1), "stacks": (1, 3), "slice": (2, 1)}[kind]
        return copies * self.hr_voxels(dataset) / scale ** (3 if real else axes)

    def raw_voxels(self, dataset: str) -> float:
        """Return the voxels of a scan as published; as prepared if its dataset does not say."""
        shape = self.study.datasets[dataset].spec.get("scan", {}).get("shape")
        return math.prod(shape) if shape else self.hr_voxels(dataset)

    def raw_bytes(self, dataset: str) -> float:
        """Return the bytes of a scan that is downloaded or made; 0 for those of a folder."""
        its = self.study.datasets[dataset]
        known = its.folder is None
        return 1e6 * its.spec.get("scan", {}).get("megabytes", 0) if known else 0

    @cache  # noqa: B019, one for each plan
    def _shape(self, dataset: str) -> tuple[float, ...]:
        its, study = self.study.datasets[dataset], self.study
        if its.has_ground_truth:
            for split in study.splits(dataset):
                for item in study.items(dataset, split)[:1]:
                    if Path(file := study.layout.hr(dataset, item)).exists():
                        return _header_shape(file)
        shape = _expected_shape(its)
        if not its.has_ground_truth:
            return tuple(n * max(study.scales(dataset)) for n in shape)
        if study.slices is not None:
            axis = ("sagittal", "coronal", "axial").index(study.slices.get("axis", "axial"))
            return (*(n for i, n in enumerate(shape) if i != axis), 1)
        return shape

    def macs(self, method: Method, lr: float, hr: float) -> float:
        """Return the multiplications with which a method makes `hr` voxels from `lr`."""
        lr_weights, hr_weights = weights(method)
        return lr_weights * lr + hr_weights * hr

    def train_macs(self, method: Method, scale: float, steps: int | None = None) -> float:
        """Return the multiplications of a training, of `steps` or its own; forward passes alone."""
        training, study = method.spec.get("training", {}), self.study
        training = {"batch": 1, "epochs": 1, **training}
        if steps is None:
            subjects = len(study.items(study.train_dataset, "train")) if study.train_dataset else 1
            patches = subjects * training.get("patches_per_subject", 1)
            steps = total_steps(training, steps_per_epoch(training, patches))
        if method.spec.get("network") == "query":
            sample = self.macs(method, training["lr_patch"] ** 3, training["queries"])
        else:
            edge = method.patch_size(scale) if method.spec.get("network") == "grid" else 1
            sample = self.macs(method, 0, edge**3)
        return sample * steps * training["batch"]

    def subject_macs(self, method: Method, dataset: str, scale: float) -> float:
        """Return those of the training of one subject's model, on all voxels of its stacks."""
        epochs = method.spec.get("training", {}).get("epochs", 1)
        return self.macs(method, 0, self.lr_voxels(dataset, scale)) * epochs

    def _add(
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

        They ask for what `requests` has of `request`, default their kind.
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
        self._found.append(group)
        return group.name

    def _by_rule(
        self, kind: str, dataset: str, items: Sequence[str]
    ) -> list[tuple[str, Sequence[str]]]:
        """Return the ends of the names of the rules that make a kind of volume, with their items.

        Where such volumes pass, those that are shown stay, and another rule makes them.
        """
        parts = self._keep.parts(kind, dataset)
        apart = [(part.suffix, list(filter(part.holds, items))) for part in parts]
        return [(suffix, chosen) for suffix, chosen in apart if chosen]

    def _of(self, prefix: str) -> list[str]:
        """Return the names of jobs so far whose name is `prefix`, or starts with it and a blank."""
        return [g.name for g in self._found if g.name == prefix or g.name.startswith(f"{prefix} ")]

    def _data(self) -> None:
        study, layout = self.study, self.study.layout
        prepared = []
        for name, its in study.datasets.items():
            for split in study.splits(name):
                subjects, items = its.subjects[split], study.items(name, split)
                work = len(subjects) * self.raw_voxels(name)
                about = {"size": work, "voxels": self.raw_voxels(name)}
                fetched = self._add(
                    *("data", f"fetch_{name}_{split}", "fetch", [layout.sources(name, split)]),
                    layout.sources(name, split),
                    variant="simulate" if its.kind == "bundled" else "read",
                    **about,
                )
                if not its.has_ground_truth:
                    continue
                prepared.append(
                    self._add(
                        *("data", f"prepare_{name}_{split}", "prepare"),
                        [
                            *(f for i in items for f in (layout.hr(name, i), layout.mask(name, i))),
                            layout.hr_list(name, split),
                        ],
                        f"{layout.root}/hr/{name}_{split}",
                        variant=its.spec["mask"]["kind"],
                        after=[fetched],
                        **about,
                    )
                )
            if name in study.real_datasets:
                prepared += self._real(name, its)
        priors = []
        if study.segmentation is not None:
            files = [layout.atlas("template"), layout.atlas("priors")]
            priors = [self._add("data", "fetch_priors", "fetch_priors", files, files[1])]
        imports = []
        for method, trained in study.models():
            if method.imported:
                folder = layout.model(method.name, trained)
                imports.append(
                    self._add(
                        *("data", f"import_{method.name}", "import"),
                        [f"{folder}/model.safetensors", f"{folder}/model.json"],
                        folder,
                        variant=method.name,
                        wildcards=trained,
                    )
                )
        checked = [layout.checked()]
        after = [*prepared, *priors, *imports]
        self._add("data", "check_scans", "check_scans", checked, "", after=after)
        self._add("data", "dataset_terms", "dataset_terms", [layout.licences()], "")

    def _real(self, name: str, its: Dataset) -> list[str]:
        study, layout = self.study, self.study.layout
        subjects = its.subjects["test"]
        voxels = self.raw_voxels(name)
        done = []
        for scale in study.scales(name):
            scale = scale_name(scale)
            inputs = [file for s in subjects for file in study.inputs(name, s)]
            # Of stacks, where each is data as well.
            grids = [*subjects, *(inputs if its.stacked else [])]
            what = "stacks" if its.stacked else "real"
            done.append(
                self._add(
                    *("data", f"prepare_{name}_{what}", f"prepare_{what}"),
                    [layout.lr(name, scale, file) for file in inputs]
                    + [layout.foreground_on_sr_grid(name, scale, file) for file in grids],
                    f"{layout.root}/lr/{name}/x{scale}",
                    wildcards=scale,
                    size=len(subjects) * voxels,
                    voxels=voxels,
                    after=[f"fetch_{name}_test"],
                )
            )
        if its.reference is None:
            return done
        sources = layout.sources(name, "reference")
        fetched = self._add(
            *("data", f"fetch_{name}_reference", "fetch", [sources], sources),
            variant="read",
            size=len(subjects) * voxels,
            voxels=voxels,
        )
        made = self._add(
            *("data", f"prepare_{name}_reference", "prepare_reference"),
            [layout.hr_reference(name, s) for s in subjects],
            f"{layout.root}/references/{name}",
            variant=its.register,
            size=len(subjects) * voxels,
            voxels=voxels,
            after=[fetched, done[0]],
        )
        self._add(
            *("evaluate", f"reference_scores_{name}", "evaluate"),
            [layout.hr_reference_scores(name)],
            layout.hr_reference_scores(name),
            variant=self._metrics(),
            size=len(subjects) * voxels,
            voxels=voxels,
            after=[made],
        )
        return [*done, made]

    def _degrade(self) -> None:
        study, layout = self.study, self.study.layout
        for name in study.measured_datasets:
            items = study.items(name, "test")
            shown = [cell.scale for cell in self.shown if cell.dataset == name]
            for scale in map(scale_name, [*study.scales(name), *shown]):
                self._add(
                    *("degrade", f"degrade_{name}", "degrade"),
                    [
                        *(layout.lr(name, scale, n) for i in items for n in study.inputs(name, i)),
                        layout.lr_list(name, scale),
                    ],
                    f"{layout.root}/lr/{name}/x{scale}",
                    wildcards=scale,
                    variant=study.degradation["kind"],
                    size=len(items) * self.hr_voxels(name),
                    voxels=self.hr_voxels(name),
                    after=[f"prepare_{name}_test"],
                )

    def _train(self) -> None:
        study, layout = self.study, self.study.layout
        targets = self._denoise()
        for method, trained in study.models():
            if not method.imported:
                after = ["check_scans", *(targets if method.denoising else [])]
                self._training(method, f"train_{method.name}", [], None, trained, after)
        for name, about in study.early_stopping.items():
            method = study.methods[name]
            trained = method.trained(scale_name(about["scale"]))
            files = [layout.early_stopping(name, trained, n) for n in ("curve.csv", "images.npz")]
            self._add(
                *("train", f"early_stopping_{name}", "train", files),
                layout.early_stopping(name, trained, "curve"),
                variant=name,
                size=self.train_macs(method, about["scale"], about["steps"]),
                after=["check_scans", *(targets if method.denoising else [])],
                **_asked(method, "train"),
            )
        for cell in study.cells():
            if cell.method.per_subject and not cell.skipped:
                scale = scale_name(cell.scale)
                where = [cell.dataset, "{item}"]
                self._training(
                    cell.method,
                    f"train_{cell.method.name}_{cell.dataset}",
                    where,
                    study.items(cell.dataset, "test"),
                    cell.method.trained(scale),
                    ["check_scans", *self._input(cell.dataset, scale)],
                    self.subject_macs(cell.method, cell.dataset, cell.scale),
                )

    def _denoise(self) -> list[str]:
        """Add what makes the targets of trainings with a denoising term; return its names."""
        study, layout = self.study, self.study.layout
        name, made = study.train_dataset, []
        for sigma, split in product(map(scale_name, study.denoising), ("train", "val")):
            items = study.items(name, split)
            made.append(
                self._add(
                    *("train", f"denoise_{name}_{split}", "denoise"),
                    [layout.denoised(name, sigma, item) for item in items],
                    f"{layout.root}/denoised/{name}_{split}/sigma{sigma}",
                    wildcards=sigma,
                    size=len(items) * self.hr_voxels(name),
                    voxels=self.hr_voxels(name),
                    after=[f"prepare_{name}_{split}"],
                )
            )
        return made

    def _training(
        self,
        method: Method,
        rule: str,
        where: Sequence[str],
        items: Sequence[str] | None,
        trained: str,
        after: Sequence[str],
        macs: float | None = None,
    ) -> None:
        folder = self.study.layout.model(method.name, trained, *where)
        minutes = method.spec.get("training", {}).get("minutes")
        if macs is None:
            scale = float(trained.removeprefix("x")) if method.models == "per_scale" else 1
            macs = self.train_macs(method, scale)
        self._add(
            *("train", rule, "train"),
            [f"{folder}/{file}" for file in ("model.safetensors", "model.json", "log.csv")],
            folder,
            items=items,
            wildcards=trained,
            variant=method.name,
            size=macs,
            after=after,
            **_asked(method, "train"),
            model=None if where else folder,
            most_seconds=60 * minutes if minutes else None,
        )

    def _input(self, dataset: str, scale: str) -> list[str]:
        real = dataset in self.study.real_datasets
        what = "stacks" if self.study.datasets[dataset].stacked else "real"
        made = f"prepare_{dataset}_{what}" if real else f"degrade_{dataset}"
        return self._of(f"{made} {scale}")

    def _reconstruct(self) -> None:
        study, layout = self.study, self.study.layout
        for cell in [*study.cells(), *self.shown]:
            if cell.skipped:
                continue
            method, scale = cell.method, scale_name(cell.scale)
            single = method.granularity == "subject"
            stem = layout.sr_stem(cell.dataset, method.name, scale, "{item}" if single else None)
            work = self.macs(
                method, self.lr_voxels(cell.dataset, cell.scale), self.hr_voxels(cell.dataset)
            )
            trained = method.trained(scale)
            models = [f"train_{method.name}", f"import_{method.name}"]
            models = [f"{rule} {trained}" for rule in [*models, f"{models[0]}_{cell.dataset}"]]
            every = study.items(cell.dataset, "test")
            rules = self._by_rule("sr", cell.dataset, every) if single else [("", every)]
            for end, items in rules:
                files = [layout.sr(cell.dataset, method.name, scale, i) for i in items]
                self._add(
                    *("reconstruct", f"reconstruct_{method.name}_{cell.dataset}{end}"),
                    "reconstruct",
                    [stem + ".nii.gz"] if single else files,
                    stem,
                    items=items if single else None,
                    wildcards=scale,
                    variant=method.name,
                    size=work if single else work * len(items),
                    voxels=self.hr_voxels(cell.dataset),
                    after=[
                        *self._input(cell.dataset, scale),
                        *(n for m in models for n in self._of(m)),
                    ],
                    **_asked(method, "reconstruct"),
                )

    def _reconstructed(self, method: str, dataset: str, scale: str) -> list[str]:
        """Return the names of the jobs that make the reconstructions of a cell."""
        rule = f"reconstruct_{method}_{dataset}"
        return [*self._of(f"{rule} {scale}"), *self._of(f"{rule}_shown {scale}")]

    def _metrics(self) -> str:
        return "+".join(sorted(self.study.config["metrics"]))

    def _evaluate(self) -> None:
        study, layout = self.study, self.study.layout
        fetched = [
            self._add(
                "evaluate", f"fetch_metric_{name}", "fetch_metric", [layout.metric_file(name)], ""
            )
            for name in study.metrics_with("fetch")
        ]

        def about(name: str) -> dict:
            return {
                "variant": self._metrics(),
                "size": len(study.items(name, "test")) * self.hr_voxels(name),
                "voxels": self.hr_voxels(name),
            }

        truths = {}
        for name in study.measured_datasets if study.slice_metrics else []:
            scores = layout.ground_truth_scores(name)
            truths[name] = self._add(
                *("evaluate", f"ground_truth_scores_{name}", "ground_truth_scores"),
                *([scores], scores),
                after=[f"prepare_{name}_test"],
                **about(name),
            )
        for cell in [*study.cells(), *self.shown]:
            if cell.skipped:
                continue
            name, method, scale = cell.dataset, cell.method.name, scale_name(cell.scale)
            self._add(
                *("evaluate", f"evaluate_{name}", "evaluate"),
                [layout.metrics(name, method, scale)],
                f"{layout.root}/metrics/{name}/{method}/x{scale}",
                wildcards=f"{method} {scale}",
                after=[
                    *self._reconstructed(method, name, scale),
                    *([truths[name]] if name in truths else []),
                    *fetched,
                ],
                **about(name),
            )

    def working_voxels(self, dataset: str) -> float:
        """Return the voxels that a dataset is segmented on."""
        edge, hr = self.study.segmentation["voxel_size"], self.hr_voxels(dataset)
        sizes = self.study.datasets[dataset].spec.get("scan", {}).get("voxel_size")
        return hr * math.prod(min(1, s / edge) for s in sizes) if edge and sizes else hr

    def _segment(self) -> None:
        study, layout = self.study, self.study.layout
        settings = study.segmentation
        for name in study.measured_datasets:
            items, voxels = study.items(name, "test"), self.working_voxels(name)
            about = {"size": voxels, "items": items}
            about["voxels"] = self.hr_voxels(name)  # the scan itself is held as well
            files = [layout.subject_priors(name, "{item}", what) for what in ("priors", "mask")]
            aligned = self._add(
                *("segment", f"align_{name}", "align", files, files[0]),
                variant=settings["transform"]
                + ("" if study.datasets[name].brain_known else "+brain"),
                after=[f"prepare_{name}_test", "fetch_priors"],
                **about,
            )
            shared = settings["registration"] == "shared"
            variant = "shared" if shared else f"own {settings['transform']}"
            request = "segment" if shared else "segment_with_registration"
            truth = layout.segmentation(name, "{item}")
            truth = self._add(
                *("segment", f"segment_ground_truth_{name}", "segment", [truth], truth),
                variant="shared",
                after=[aligned],
                **about,
            )
            listed = layout.segmentation_list(name)
            listed = self._add(
                *("segment", f"list_ground_truth_{name}", "list", [listed], ""), after=[truth]
            )
            for cell in study.segmented_cells(name):
                if cell.skipped:
                    continue
                method, scale = cell.method.name, scale_name(cell.scale)
                labels = layout.segmentation(name, "{item}", method, scale)
                segmented = [
                    self._add(
                        *("segment", f"segment_{name}{end}", "segment", [labels], labels),
                        wildcards=f"{method} {scale}",
                        variant=variant,
                        request=request,
                        after=[aligned, *self._reconstructed(method, name, scale)],
                        **{**about, "items": chosen},
                    )
                    for end, chosen in self._by_rule("segmentation", name, items)
                ]
                self._add(
                    *("segment", f"overlap_{name}", "overlap"),
                    [layout.overlap(name, method, scale)],
                    f"{layout.root}/overlap/{name}/{method}/x{scale}",
                    wildcards=f"{method} {scale}",
                    size=len(items) * self.hr_voxels(name),
                    voxels=self.hr_voxels(name),
                    after=[listed, *segmented],
                )

    def _tables(self) -> None:
        study, layout = self.study, self.study.layout
        makers = {file: g.name for g in self._found for made in g.outputs for file in made}

        def after(inputs: Sequence[str]) -> list[str]:
            return list(dict.fromkeys(makers[file] for file in inputs if file in makers))

        made = []
        for table in tables.in_making_order(tables.tables(study)):
            files = [layout.table(table.name, suffix) for suffix in TABLE_SUFFIXES]
            made.append(
                self._add(
                    *("tables", table.rule, "table", files, files[0]),
                    variant=table.maker,
                    after=after(table.inputs),
                )
            )
            makers |= dict.fromkeys(files, made[-1])
        for dataset, _ in figures.lesion_subjects(study):
            sources = layout.sources(dataset, "lesions")
            rule = f"fetch_{dataset}_lesions"
            made.append(
                self._add(
                    *("tables", rule, "fetch", [sources], sources),
                    variant="read",
                    size=1,
                    request="fetch_lesions",
                )
            )
            makers[sources] = made[-1]
        for figure in figures.figures(study):
            made.append(
                self._add(
                    *("tables", f"figure_{figure.name}", "figure"),
                    [layout.figure(figure.name, suffix) for suffix in FIGURE_SUFFIXES],
                    f"{layout.root}/figures/{figure.name}",
                    variant=figure.kind,
                    voxels=max(map(self.hr_voxels, study.test_datasets)),
                    after=after(figure.inputs),
                )
            )
        files = [layout.report(), layout.manifest()]
        self._add("tables", "report_page", "report", files, files[0], after=made)


def _asked(method: Method, stage: str) -> dict[str, Any]:
    """Return what a method's jobs of a stage (train, reconstruct) ask for."""
    asked = method.resources(stage)
    return {
        "gpu": bool(asked.get("gpu")),
        "threads": method.threads(stage),
        "memory_mb": asked.get("mem_mb", 0),
        "minutes": asked.get("runtime"),
    }


@cache
def weights(method: Method) -> tuple[float, float]:
    """Return how many weights a method multiplies a voxel of LR with, and one of HR.

    1 and 1 for a method without a network, which costs what its voxels cost.
    """
    if not method.learned or method.kind == "external" or method.function("build") is None:
        return 1.0, 1.0
    import torch

    with torch.device("meta"):  # shapes alone
        network = method.build()
    every = sum(p.numel() for p in network.parameters())
    if method.spec.get("network") != "query":
        return 0.0, float(every)
    decoder = getattr(network, "decoder", None)
    queried = sum(p.numel() for p in decoder.parameters()) if decoder is not None else 0
    return float(every - queried), float(queried)


def _expected_shape(dataset: Dataset) -> tuple[float, ...]:
    """Return the shape of a ground truth as a dataset's file tells it."""
    crop, scan = dataset.spec["crop"], dataset.spec.get("scan", {})
    if crop["kind"] == "shape":
        return tuple(crop["shape"])
    shape, size = scan.get("shape"), scan.get("voxel_size")
    if shape is None:
        raise MrisrError(
            f"dataset '{dataset.name}': how large its volumes are is not known before they are"
            f" prepared; add scan: {{shape: [...], voxel_size: [...]}} to {dataset.path}"
        )
    if crop["kind"] == "brain" and size is not None:
        box = [mm / s + 2 * crop["margin"] for mm, s in zip(BRAIN, size, strict=True)]
        # Axes as stored may be in any order; a box of about the same size fits all the same.
        return tuple(min(n, edge) for n, edge in zip(shape, box, strict=True))
    return tuple(shape)


def _header_shape(file: str | Path) -> tuple[int, ...]:
    import nibabel as nib

    return nib.load(file).shape[:3]
