"""A study: a config file, checked and completed, and the plan of files that follows from it.

It stays light, because the Snakefile makes a study at parse time, in every job.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mrisr.common import seeds
from mrisr.common.errors import ConfigError
from mrisr.common.layout import SPLITS, STACKS, Layout, scale_name, slice_name
from mrisr.data import datasets as dataset_files
from mrisr.data.datasets import Dataset
from mrisr.degrade.acquisition import AXIS, ORIENTATIONS, PROFILE, by_scale
from mrisr.methods import method as method_folders
from mrisr.methods.method import Method, merge
from mrisr.metrics import Registry

DEFAULTS = {
    "title": "",
    "preset": "published",
    "seeds": 1,
    "deterministic": False,
    "downloads": dataset_files.DOWNLOADS,
    "plugins": [],
    "degradation": {"kernel": "spline", "grid": "corners", "antialias": None},
    "slices": None,
    "training": {},
    "regions": ["volume", "mask"],
    "empty_slices": "exclude",
    "baseline": None,
    "baseline_metric": "psnr",
    "primary_metric": "psnr",
    "margins": {},
    "published": [],
    "segmentation": None,
    "report": {"viewer": True},
    "tables": {},
    "figures": True,
    "keep": ["sr", "segmentation"],
    "early_stopping": {},
    "reader_study": None,
}
EARLY_STOPPING = {"points": 13, "each": 0, "scale": 2}
SEGMENTATION: dict = {
    "engine": "atropos",
    "priors": "oasis30ants",
    "registration": "shared",
    "transform": "syn",
    "voxel_size": None,
    "noise_floor": 3,
    "datasets": None,
    "methods": None,
    "scales": None,
    "published": [],
}
# Fewer LR voxels than this along an axis leave no image to reconstruct; SSIM needs 7 HR voxels.
MIN_LR_SIZE, MIN_HR_SIZE = 4, 7


@dataclass(frozen=True)
class Cell:
    """One entry of the plan: a method applied to a test dataset at a scale.

    Attributes:
        dataset: Name of the dataset.
        scale: Up-sampling scale k.
        method: The method.
        skipped: Why the method is not applied (outside its limits), or None.
    """

    dataset: str
    scale: float
    method: Method
    skipped: str | None


class Study:
    """A study as described by its config file.

    Attributes:
        config: The config, every key present.
        name: Name of the study.
        seed: Seed that all random numbers derive from.
        deterministic: Whether every job has one thread, so that cores change no byte.
        given_degradation: What the config says of the degradation.
        degradation: The same, completed.
        layout: Paths of the study's files.
        datasets: Datasets by name.
        methods: Methods by name, in the config's order.
        further: Further trainings of methods, by the method's name; see `trainings`.
        metrics: Metrics that the study may use; other studies in this process have their own.
        segmentation: Settings of the segmentation, every key present, or None without one.
        train_dataset: The dataset that supervised methods learn from, or None.
        test_datasets: The datasets that tables are about.
    """

    def __init__(self, config: dict, found: Registry, where: str = "config"):
        """Complete a config that its schema accepts, and load its datasets and methods.

        This does not check that all parts go together; use `mrisr.study.load`.

        Args:
            config: The content of `config/<study>.yaml`.
            found: The metrics of this package and of the study's plugins.
            where: The file's name, for messages.

        Raises:
            ConfigError: A dataset or method is not available.
        """
        self.config = merge(DEFAULTS, config)
        self.where = where
        self.metrics = found
        self.name: str = self.config["study"]
        self.seed: int = self.config["seed"]
        self.deterministic: bool = self.config["deterministic"]
        self.given_degradation: dict = config["degradation"]
        self.degradation: dict = self.config["degradation"]
        if self.degradation["kind"] == "stacks" and "kernel" not in config["degradation"]:
            self.degradation["kernel"] = "slice_profile"
        if self.degradation["kind"] == "through_plane":
            self._take_acquisitions(config)
        elif "scales" not in config:
            raise ConfigError(f"{where}: missing key 'scales': the up-sampling scales, a list")
        self.slices: dict | None = self.config["slices"]
        self.segmentation = self.config["segmentation"] = self._segmentation()
        self.layout = Layout(self.name)
        self.plugins: list[str] = self.config["plugins"]
        self.datasets = self._datasets()
        self.methods = self._methods()
        self.further = {name: self._further(method) for name, method in self.methods.items()}

    def _take_acquisitions(self, config: dict) -> None:
        """Complete the degradation of thick slices: its scales are the acquisitions' spacings."""
        given = config["degradation"]
        self.degradation = self.config["degradation"] = {
            "kind": "through_plane",
            "axis": AXIS,
            "profile": PROFILE,
            **given,
            "grid": "centres",  # where the slices lie, see `mrisr.degrade.through_plane`
            **{"kernel": "slice_profile", "antialias": None},
        }
        try:
            listed = by_scale(given.get("acquisitions") or ())
        except ConfigError as error:
            raise ConfigError(f"{self.where}: {error}") from None
        self.config.setdefault("scales", list(listed))

    def dataset_overrides(self, name: str, split: str | None = None) -> dict:
        """Return the study's changes to a dataset's YAML; for one split, those that affect it."""
        overrides = dict(self.config["datasets"][name] or {})
        if overrides.get("split"):
            overrides["split"] = {"seed": self.seed, **overrides["split"]}
        if split is None:
            return {k: v for k, v in overrides.items() if k not in ("roles", "scales")}
        kept = {key: overrides[key] for key in ("folder", "split") if overrides.get(key)}
        return {**kept, "subjects": {split: self.datasets[name].subjects[split]}}

    def plugins_of(self, path: str | Path) -> list[str]:
        """Return the plugin folder of a dataset's file or a method's folder, if any.

        A stage with only this folder need not run again when another plugin is added to the study.
        """
        path = Path(path).resolve()
        return [plugin for plugin in self.plugins if path.is_relative_to(Path(plugin).resolve())]

    def _datasets(self) -> dict[str, Dataset]:
        found, roles = {}, {}
        only = len(self.config["datasets"]) == 1
        for name, overrides in self.config["datasets"].items():
            changes = self.dataset_overrides(name)
            found[name] = dataset_files.load(name, changes, self.plugins, self.config["downloads"])
            if found[name].needs_folder and not found[name].placeholders:
                raise ConfigError(f"{self.where}: {found[name].lacking}")
            both = only and found[name].has_ground_truth
            roles[name] = (overrides or {}).get("roles", ["train", "test"] if both else ["test"])
        training = [name for name, uses in roles.items() if "train" in uses]
        if len(training) > 1:
            raise ConfigError(
                f"{self.where}: datasets: {' and '.join(training)} both have the role train;"
                " leave it to one"
            )
        self.train_dataset = training[0] if training else None
        self.test_datasets = [name for name, uses in roles.items() if "test" in uses]
        return found

    @property
    def measured_datasets(self) -> list[str]:
        """The test datasets with a ground truth, from which LR is simulated."""
        return [name for name in self.test_datasets if self.datasets[name].has_ground_truth]

    @property
    def segmented_datasets(self) -> list[str]:
        """The test datasets whose ground truths and reconstructions are segmented."""
        chosen = (self.segmentation or {"datasets": []})["datasets"]
        return [name for name in self.measured_datasets if chosen is None or name in chosen]

    @property
    def real_datasets(self) -> list[str]:
        """The test datasets that are real LR scans, without a ground truth."""
        return [name for name in self.test_datasets if not self.datasets[name].has_ground_truth]

    def degradation_of(self, dataset: str) -> dict:
        """Return the study's degradation; for real LR with the grid of a scanner (`centres`)."""
        real = {} if self.datasets[dataset].has_ground_truth else {"grid": "centres"}
        return {**self.degradation, **real}

    @property
    def slice_axis(self) -> int | None:
        """The axis that runs through thick slices; None in studies without."""
        if self.degradation["kind"] != "through_plane":
            return None
        return ORIENTATIONS.index(self.degradation["axis"])

    @property
    def no_reference_metrics(self) -> list[str]:
        """The study's metrics that need no ground truth."""
        return [n for n in self.config["metrics"] if not self.metrics.metadata(n).reference]

    def _methods(self) -> dict[str, Method]:
        preset, shared = self.config["preset"], {"training": dict(self.config["training"])}
        if self.train_dataset and self.datasets[self.train_dataset].holds_patches:
            shared["training"] |= {"patches_per_subject": 1, "border": 0}
        found = {}
        for name, overrides in self.config["methods"].items():
            try:
                method = method_folders.get(name, overrides, preset, self.plugins)
                if method.kind == "supervised":
                    overrides = merge(shared, overrides or {})
                    method = method_folders.get(name, overrides, preset, self.plugins)
            except ConfigError as error:
                raise ConfigError(f"{self.where}: {error}") from None
            if self.deterministic:
                method = replace(method, spec={**method.spec, "deterministic": True})
            found[name] = method
        # `--config` adds methods at the end, but the bound must stay last in every table.
        return dict(sorted(found.items(), key=lambda item: item[1].input == "ground_truth"))

    def _further(self, method: Method) -> list[Method]:
        shared = self.config["seeds"] if method.trained_here and not method.per_subject else 1
        count = method.spec.get("seeds", shared)
        return [method.trained_again(repeat) for repeat in range(2, count + 1)]

    def trainings(self, method: Method) -> list[Method]:
        """Return a method once for each of its trainings, itself the first.

        The first training has the method's name and the study's seed, so that it is the same in a
        study without `seeds`. The further ones have names of their own, by which rules make their
        files; tables and figures show all of them as one method.
        """
        return [method, *self.further[method.name]]

    @property
    def all_trainings(self) -> dict[str, Method]:
        """All methods by name, each followed by its further trainings."""
        every = [each for method in self.methods.values() for each in self.trainings(method)]
        return {method.name: method for method in every}

    def seed_of(self, method: Method) -> int:
        """Return the seed of a training: the study's, or one that derives from it."""
        if method.repeat == 1:
            return self.seed
        return seeds.seed(self.seed, "training", method.repeat)

    @property
    def metric_settings(self) -> dict[str, dict]:
        """The settings of the study's metrics, completed by their defaults.

        `folder` is the folder of the metrics' files.
        """
        folder = {"folder": self.config["downloads"]}
        return {
            name: {**self.metrics.defaults(name), **folder, **self.config.get(name, {})}
            for name in self.config["metrics"]
            if self.metrics.defaults(name)
        }

    def metrics_with(self, hook: str) -> list[str]:
        """Return the study's metrics whose module has a function of this name."""
        return [name for name in self.config["metrics"] if hasattr(self.metrics.module(name), hook)]

    @property
    def slice_metrics(self) -> list[str]:
        """The study's metrics that are computed on 2-D slices."""
        return [name for name in self.config["metrics"] if self.metrics.metadata(name).slices]

    @property
    def early_stopping(self) -> dict[str, dict]:
        """Settings of the longer trainings of Fig. 3 and A1, by method, every key present."""
        asked = self.config["early_stopping"]
        return {name: {**EARLY_STOPPING, **settings} for name, settings in asked.items()}

    @property
    def denoising(self) -> list[float]:
        """The strengths of BM3D that the study's trainings need."""
        found = {m.denoising["sigma"]: None for m in self.supervised if m.denoising}
        return list(found)

    def _segmentation(self) -> dict | None:
        asked = self.config["segmentation"]
        if asked is None or asked is False:
            return None
        return merge(SEGMENTATION, {} if asked is True else asked)

    @property
    def supervised(self) -> list[Method]:
        """The methods that learn from the training set, in the config's order.

        Methods with imported weights do not.
        """
        return [
            method
            for method in self.methods.values()
            if method.kind == "supervised" and not method.imported
        ]

    @property
    def imported(self) -> list[Method]:
        """The methods whose weights were made elsewhere, in the config's order."""
        return [method for method in self.methods.values() if method.imported]

    def splits(self, dataset: str) -> list[str]:
        """Return the splits of a dataset that the study uses."""
        used = []
        if dataset == self.train_dataset and self.supervised:
            used += ["train", "val"]
        if dataset in self.test_datasets:
            used.append("test")
        return [split for split in SPLITS if split in used]

    def scales(self, dataset: str) -> list[float]:
        """Return the scales that a dataset is tested at."""
        return (self.config["datasets"][dataset] or {}).get("scales", self.config["scales"])

    def items(self, dataset: str, split: str) -> list[str]:
        """Return the names of the prepared files: subjects, or `<subject>_slice-<n>` in 2-D."""
        subjects = self.datasets[dataset].subjects[split]
        if self.slices is None:
            return list(subjects)
        return [slice_name(s, n) for s in subjects for n in range(1, self.slices["count"] + 1)]

    def inputs(self, dataset: str, item: str) -> list[str]:
        """Return the names of an item's LR files: the item itself, or its stacks."""
        return [f"{item}_{stack}" for stack in self.stacks(dataset, item)] or [item]

    def stacks(self, dataset: str, item: str) -> list[str]:
        """Return the names of an item's stacks, three if they are simulated; empty without."""
        about = self.datasets[dataset]
        if about.stacked:
            return about.stacks[item]
        return list(STACKS) if self.degradation["kind"] == "stacks" else []

    def min_size(self, split: str) -> int:
        """Return the least number of voxels along an axis of a volume in a split."""
        if split != "test":
            trained = [m for m in self.supervised if "training" in m.spec]
            return max([MIN_HR_SIZE, *(m.patch_size(self._largest_scale) for m in trained)])
        slices = [self.metrics.metadata(name).min_size for name in self.slice_metrics]
        return max(MIN_HR_SIZE, math.ceil(MIN_LR_SIZE * self._largest_scale), *slices)

    @property
    def _largest_scale(self) -> float:
        """Largest scale, at least 4, so that another scale up to 4 prepares nothing again."""
        return max([4, *(k for name in self.measured_datasets for k in self.scales(name))])

    def multiple(self, dataset: str) -> int:
        """Return the number that divides a ground truth's sizes, so that thick slices tile it."""
        if self.degradation["kind"] != "stacks" or dataset not in self.test_datasets:
            return 1
        return math.lcm(*(int(k) for k in self.scales(dataset) if float(k).is_integer()))

    def min_lr_size(self, scale: float | None = None) -> int:
        """Return the least voxels along an axis of a real LR scan, or (no scale) a reference."""
        sizes = [self.metrics.metadata(name).min_size for name in self.no_reference_metrics]
        return max([MIN_LR_SIZE, *(math.ceil(size / (scale or 1)) for size in sizes)])

    def cells(self, dataset: str | None = None) -> Iterator[Cell]:
        """Yield every (dataset, scale, method) of the study's tables, in their order.

        Without a ground truth, the control that is the ground truth has no cell.
        """
        for name in self.test_datasets if dataset is None else [dataset]:
            for scale in self.scales(name):
                for method in self.methods.values():
                    if method.input == "ground_truth" and name in self.real_datasets:
                        continue
                    yield Cell(name, scale, method, method.refuses(scale, name))

    def measured_cells(self) -> Iterator[Cell]:
        """Yield `cells` once for each training of the cell's method."""
        for cell in self.cells():
            for method in self.trainings(cell.method):
                yield replace(cell, method=method)

    def segmented_cells(self, dataset: str | None = None) -> list[Cell]:
        """Return the cells whose reconstructions are segmented, in the order of the tables."""
        if self.segmentation is None:
            return []
        methods, scales = self.segmentation["methods"], self.segmentation["scales"]
        return [
            cell
            for cell in self.cells(dataset)
            if cell.dataset in self.segmented_datasets
            and (methods is None or cell.method.name in methods)
            and (scales is None or float(cell.scale) in map(float, scales))
        ]

    def perturbed_items(self, dataset: str) -> list[str]:
        """Return the test subjects on which the noise floor of the segmentation is measured."""
        if self.segmentation is None:
            return []
        return self.items(dataset, "test")[: self.segmentation["noise_floor"]]

    def models(self) -> list[tuple[Method, str]]:
        """Return the models of the training set, as method and folder name."""
        found = {(method, method.trained(scale)): None for method, scale in self.model_scales()}
        return list(found)

    def model_scales(self) -> list[tuple[Method, str]]:
        """Return method and scale of all reconstructions by supervised methods."""
        found = {
            (cell.method, scale_name(cell.scale)): None
            for cell in self.cells()
            if cell.method.kind == "supervised" and not cell.skipped
        }
        return list(found)
