"""Methods are found, not registered: one folder each, `workflow/methods/<name>/`.

A folder holds `method.yaml` (what it is, see `workflow/schemas/method.schema.yaml`) and `method.py`
(the network or solver) or `rules.smk` (rules of its own, in any language). Tests beside them are
`test_*.py`. A variant has its own name and changes some settings of a folder: an encoder, a loss
weight, a kernel. This module is light: it imports torch only when a network is built.

`method.py` defines some of:

- `build(**hyperparameters) -> torch.nn.Module`: the network. A `grid` network maps (N, 1, X, Y,
  Z), the LR volume interpolated to the HR grid, to the same shape. A `query` network has
  `encode(lr)`, (N, 1, x, y, z) -> (N, C, x, y, z); `on_grid(features, axes)`, (C, x, y, z) at the
  coordinates of the three axes of a grid -> (X, Y, Z); and a call `network(lr, coordinates, cell)`,
  (N, 1, x, y, z), (N, K, 3) and the size of the queried voxels in half LR voxels (N, 3), which on a
  grid is 2 x / X, ... -> (N, K). In place of `on_grid` it may have `decode(features, coordinates)`,
  (K, C) and (K, 3) -> (K,), if it decodes features that are interpolated trilinearly. In 2-D
  (`input: slice`) the last axis is left out of all this, and there is no `decode`; an `upscale`
  network maps LR (N, 1, h, w) to HR of `factor` times its size, an attribute.
  All have an integer `halo`: how many (LR) voxels away an input voxel can change an output voxel
  (of `encode`, for query networks); and they may have `channels_alive`: how many channels of a
  voxel are in memory at once.
- `train(job: mrisr.train.engine.TrainingJob) -> mrisr.train.engine.Trained`: in place of the common
  engine.
- `reconstruct(lr, query: mrisr.reconstruct.apply.Query, model) -> ndarray`: in place
  of the common one. A model that was imported with other `weights_axes` gets LR and grid in them.
"""

import copy
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mrisr.common.errors import ConfigError
from mrisr.common.layout import scale_name, trained_name
from mrisr.common.paths import WORKFLOW
from mrisr.common.provenance import code_digest
from mrisr.common.schema import nearest, read_yaml, validate
from mrisr.methods import shipped

if TYPE_CHECKING:
    import torch

FOLDER = WORKFLOW / "methods"
PUBLISHED = "published"  # training.steps: published_steps, or those of the demo's epochs
WEIGHTS = (".safetensors", ".pkl", ".pt", ".pth")  # files that can be imported


def folders(search: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Return the folder of every method found, by name.

    Args:
        search: Further folders with `methods/<name>/`; a name there must be new.
    """
    found: dict[str, Path] = {}
    for root in [FOLDER, *(Path(folder) / "methods" for folder in search)]:
        for file in sorted(root.glob("*/method.yaml")):
            name = file.parent.name
            if name in found:
                raise ConfigError(
                    f"method '{name}' is in {found[name]} and in {file.parent}; rename one"
                )
            found[name] = file.parent
    return found


def names(search: Sequence[str | Path] = ()) -> list[str]:
    """Return the names of all methods found, sorted."""
    return sorted(folders(search))


def get(
    name: str,
    overrides: dict | None = None,
    preset: str = "published",
    search: Sequence[str | Path] = (),
) -> "Method":
    """Load a method or a variant of a method.

    Args:
        name: Name of a method's folder, or any name if `overrides` has a `base`.
        overrides: Changes to the folder's `method.yaml`, in the same keys. `model` may be a file of
            weights, which is short for `weights`; `shipped` stands for the weights that come with
            this package.
        preset: `demo` applies the method's `demo` block first; imported weights and weights that a
            training starts from keep the method's own network.
        search: Further folders with `methods/<name>/`.

    Raises:
        ConfigError: Unknown method (with the nearest name), a key that the schema refuses, or
            `weights: shipped` for a method without shipped weights.
    """
    overrides = _weights_apart(overrides or {}, f"method '{name}'")
    found = folders(search)
    spec, folder = _read(overrides.get("base", name), found, f"methods.{name}")
    published = spec.get("training", {})
    if preset == "demo":
        shrunk = dict(spec.get("demo", {}))
        if "weights" in {**spec, **overrides} or overrides.get("training", {}).get("start_from"):
            shrunk.pop("model", None)
        spec = merge(spec, shrunk)
    changed = {key: value for key, value in overrides.items() if key != "base"}
    spec = merge(spec, changed)
    if spec.get("weights") == shipped.SHIPPED:
        file = shipped.weights_file(overrides.get("base", name), f"method '{name}': weights")
        spec["weights"] = os.path.relpath(file)  # like all paths of a config
    if spec.get("training", {}).get("start_from") == shipped.SHIPPED:
        where = f"method '{name}': training.start_from"
        file = shipped.weights_file(folder.name, where)
        spec["training"]["start_from"] = os.path.relpath(file)
    if spec.get("training", {}).get("steps") == PUBLISHED:
        if "published_steps" not in spec:
            raise ConfigError(
                f"method '{name}': training.steps: published: its method.yaml has no"
                " published_steps; give a number"
            )
        spec["training"]["steps"] = None if preset == "demo" else spec["published_steps"]
    if "base" in overrides and "label" not in overrides:
        spec["label"] = f"{spec['label']} ({name})"
    validate(spec, "method", f"method '{name}'")
    method = Method(name, spec, folder, preset, published)
    method.check()
    return method


def unpack(packed: dict) -> "Method":
    """Return the method that `Method.pack` packed, with the parts that it packed."""
    folder = (FOLDER / packed["folder"]).resolve()
    return Method(packed["name"], packed["spec"], folder, packed["preset"])


def _weights_apart(overrides: dict, where: str) -> dict:
    if not isinstance(overrides.get("model"), str):
        return overrides
    if "weights" in overrides:
        raise ConfigError(f"{where}: model and weights both name a file; leave one out")
    rest = {key: value for key, value in overrides.items() if key != "model"}
    return {**rest, "weights": overrides["model"]}


def _read(name: str, found: dict[str, Path], where: str) -> tuple[dict, Path]:
    if name not in found:
        raise ConfigError(f"{where}: no method '{name}': {nearest(name, found)}")
    folder = found[name]
    content = read_yaml(folder / "method.yaml")
    if "base" in content:
        base = content.pop("base")
        below, code = _read(base, found, str(folder / "method.yaml"))
        has_code = (folder / "method.py").exists() or (folder / "rules.smk").exists()
        if has_code:  # hyper-parameters belong to the code
            below.pop("model", None)
            below.get("demo", {}).pop("model", None)
        content = merge(below, content)
        folder = folder if has_code else code
    validate(content, "method", str(found[name] / "method.yaml"))
    return content, folder


def merge(base: dict, changes: dict) -> dict:
    """Return `base` with `changes` laid over it, mappings merged key by key."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _ending(repeat: int) -> str:
    """Return what a further training adds to the name of its method."""
    return f"_seed{repeat}" if repeat > 1 else ""


def hr_patch(training: Mapping[str, Any], scale: float) -> int:
    """Return the edge of the HR patches of a `grid` network: `patch`, else `lr_patch` times k."""
    return training.get("patch") or round(training.get("lr_patch", 0) * scale)


@dataclass(frozen=True, eq=False)
class Method:
    """A method with the settings of a study.

    Attributes:
        name: Name in paths and tables.
        spec: `method.yaml` with the preset and all overrides applied; with `deterministic` if the
            study is deterministic.
        folder: Folder of the method's code.
        preset: `published` or `demo`.
        published: The training settings of the folder's `method.yaml`.
        repeat: Which of several trainings of the method this is, from 1; see
            `mrisr.study.study.Study.trainings`.
    """

    name: str
    spec: dict
    folder: Path
    preset: str = "published"
    published: dict = field(default_factory=dict)
    repeat: int = 1

    label = property(lambda self: self.spec["label"], doc="Name in tables and figures.")
    kind = property(lambda self: self.spec["kind"], doc="interpolation, supervised, ...")
    input = property(lambda self: self.spec["input"], doc="volume, stacks, slice, ground_truth.")
    models = property(lambda self: self.spec["models"], doc="per_scale, all_scales or none.")
    granularity = property(lambda self: self.spec["granularity"], doc="dataset or subject.")

    @property
    def listed_name(self) -> str:
        """Name in the config, which all trainings of the method share."""
        return self.name.removesuffix(_ending(self.repeat))

    def trained_again(self, repeat: int) -> "Method":
        """Return a further training of the method: the same under a name of its own.

        Args:
            repeat: 2 for the second training.
        """
        return replace(self, name=f"{self.name}{_ending(repeat)}", repeat=repeat)

    def check(self) -> None:
        """Refuse a specification that contradicts itself.

        Raises:
            ConfigError: The message names the method and the key.
        """
        where = f"method '{self.name}'"
        if self.kind == "external" and not self.rules:
            raise ConfigError(f"{where}: kind external needs {self.folder}/rules.smk")
        if self.kind != "external" and not (self.folder / "method.py").exists():
            raise ConfigError(f"{where}: {self.folder}/method.py is missing")
        if self.kind == "supervised" and self.models == "none":
            raise ConfigError(f"{where}: kind supervised needs models: per_scale or all_scales")
        if self.models == "all_scales" and "scale_range" not in self.spec:
            raise ConfigError(f"{where}: models: all_scales needs scale_range")
        if self.spec.get("seeds", 1) > 1 and not self.trained_here:
            raise ConfigError(f"{where}: seeds: {self._why_not_trained()}; leave it out")
        if self.per_subject and self.spec.get("training", {}).get("steps"):
            raise ConfigError(
                f"{where}: training.steps is for networks of all subjects; give training.epochs"
            )
        if self.imported:
            self._check_weights(where)
        elif "weights_axes" in self.spec:
            raise ConfigError(f"{where}: weights_axes is for imported weights; leave it out")

    def _check_weights(self, where: str) -> None:
        file = self.spec["weights"]
        if self.kind != "supervised":
            raise ConfigError(
                f"{where}: weights: only a supervised method can import them; leave '{file}' out"
            )
        if self.input != "volume" and "weights_axes" in self.spec:
            raise ConfigError(f"{where}: weights_axes is for volumes; leave it out")
        if Path(file).suffix not in WEIGHTS:
            raise ConfigError(
                f"{where}: weights: '{file}' is not one of the files that can be imported"
                f" ({', '.join(WEIGHTS)})"
            )
        left = file.replace("{scale}", "") if self.models == "per_scale" else file
        if "{" in left or "}" in left:
            allowed = (
                "{scale} alone may stand in braces"
                if self.models == "per_scale"
                else "braces have no meaning, for one model serves all scales"
            )
            raise ConfigError(f"{where}: weights: '{file}': {allowed}")

    @property
    def trained_here(self) -> bool:
        """Whether the common rules train the method: on a training set, or for each subject."""
        learns = self.kind == "supervised" or self.per_subject
        return learns and not self.imported and self.rules is None

    def _why_not_trained(self) -> str:
        if self.imported:
            return "its weights were made elsewhere, so that nothing is trained here"
        if self.rules is not None:
            return "its own rules.smk trains it, or nothing does"
        return "it learns nothing, so that every seed gives the same"

    @property
    def rules(self) -> Path | None:
        """The method's own rules, or None."""
        # Absolute: Snakemake takes a relative path from the file that includes it.
        file = (self.folder / "rules.smk").absolute()
        return file if file.exists() else None

    @property
    def control(self) -> bool:
        """Whether the method bounds the tables instead of competing."""
        return self.kind == "control"

    @property
    def learned(self) -> bool:
        """Whether the method has a model."""
        return self.models != "none"

    @property
    def imported(self) -> bool:
        """Whether the weights were made elsewhere, so that nothing is trained."""
        return "weights" in self.spec

    def weights_axes(self, file: str | Path) -> str:
        """Return the order in which weights see the axes, if no file beside them tells it."""
        pickled = Path(file).suffix == ".pkl"
        authors = self.spec.get("authors_axes", "canonical") if pickled else "canonical"
        return self.spec.get("weights_axes", authors)

    @property
    def start(self) -> list[str]:
        """File of weights that a training begins with; empty if they are random, or none trains."""
        file = None if self.imported else self.spec.get("training", {}).get("start_from")
        return [file] if file else []

    def weights(self, scale: object) -> Path:
        """Return the file of weights that is imported for `scale`."""
        return Path(self.spec["weights"].replace("{scale}", str(scale)))

    def patch_size(self, scale: float) -> int:
        """Return the edge of the HR patches that a supervised method is trained on, in voxels.

        Args:
            scale: Scale of the model, if there is one model for each scale.
        """
        training = self.spec["training"]
        match self.spec.get("network"):
            case "query":
                return round(training["lr_patch"] * max(self.spec["scale_range"]))
            case "upscale":
                return training["lr_patch"] * self.spec["model"]["factor"]
        return hr_patch(training, scale)

    @property
    def denoising(self) -> dict | None:
        """Weight and strength of the denoising term of the loss, or None without one."""
        asked = self.spec.get("training", {}).get("denoise", {})
        return asked if asked.get("weight") else None

    @property
    def per_subject(self) -> bool:
        """Whether a model is made for each subject."""
        return self.learned and self.kind == "optimised"

    def trained(self, scale: object = "{scale}") -> str:
        """Return the folder name of the model used at `scale`: `x2`, or `x2-4` for all scales."""
        if self.models == "all_scales":
            return trained_name(dict.fromkeys(self.spec["scale_range"]))
        return f"x{scale}"

    def refuses(self, scale: float, dataset: str | None = None) -> str | None:
        """Return why `scale` or `dataset` is outside the method's limits, or None if neither is."""
        limits = self.spec.get("limits", {})
        if dataset is not None and dataset not in limits.get("datasets", [dataset]):
            only = ", ".join(limits["datasets"])
            return (
                f"dataset {dataset} not asked for (only {only}: {limits.get('reason', 'limits')})"
            )
        low, high = limits.get("min_scale", 0), limits.get("max_scale", float("inf"))
        allowed = limits.get("scales")
        if low <= scale <= high and (allowed is None or scale in allowed):
            return None
        if allowed is not None:
            span = "only " + ", ".join(scale_name(s) for s in allowed)
        elif high == float("inf"):
            span = f"at least {scale_name(low)}"
        else:
            span = f"{scale_name(low)} to {scale_name(high)}"
        reason = limits.get("reason", "its limits")
        return f"scale {scale_name(scale)} not supported ({span}: {reason})"

    def resources(self, stage: str) -> dict:
        """Return what a job of `stage` (train, reconstruct) asks for, without its threads."""
        asked = dict(self.spec["resources"].get(stage, {}))
        asked.pop("threads", None)
        return asked

    def threads(self, stage: str) -> int:
        """Return the threads of a job of `stage`; one in a deterministic study."""
        if self.spec.get("deterministic"):
            return 1
        return self.spec["resources"].get(stage, {}).get("threads", 1)

    def code(self, module: str) -> str:
        """Return the digest of a stage's module and of this method's code without tests."""
        files = sorted(self.folder.glob("*.py"))
        return code_digest(module, *(file for file in files if not file.match("test_*")))

    def pack(self, *keys: str) -> dict:
        """Return the parts of the specification that a stage depends on, for its params.

        Only these make Snakemake run the stage again: a new label does not retrain a model. Whether
        a study is deterministic is always among them, because other threads make other bytes.
        """
        spec = {key: self.spec[key] for key in (*keys, "deterministic") if key in self.spec}
        folder = os.path.relpath(self.folder, FOLDER)
        return {"name": self.listed_name, "folder": folder, "preset": self.preset, "spec": spec}

    def pack_training(self) -> dict:
        """Return what a training on the training set depends on, see `pack`.

        A curve reconstructs on the way, which needs to know the kind of input.
        """
        measured = ("input",) if self.spec["training"].get("curve") else ()
        return self.pack("network", "coordinates", "model", "training", *measured)

    @cached_property
    def module(self) -> ModuleType:
        """The method's `method.py`, imported as a member of its folder."""
        package = f"mrisr_methods_{self.folder.name}"
        name = f"{package}.method"
        if name not in sys.modules or sys.modules[name].__file__ != str(self.folder / "method.py"):
            parent = ModuleType(package)
            parent.__path__ = [str(self.folder)]
            sys.modules[package] = parent
            where = importlib.util.spec_from_file_location(name, self.folder / "method.py")
            assert where is not None and where.loader is not None  # for it ends in .py
            module = importlib.util.module_from_spec(where)
            sys.modules[name] = module
            where.loader.exec_module(module)
        return sys.modules[name]

    def function(self, name: str) -> Any:
        """Return a function of `method.py`, or None if there is none of that name."""
        return getattr(self.module, name, None)

    def build(self, **hyperparameters: object) -> "torch.nn.Module":
        """Build the network with the method's hyper-parameters, overridden by `hyperparameters`."""
        if self.function("build") is None:
            raise ConfigError(f"method '{self.name}' has no network: its method.py has no build()")
        return self.module.build(**{**self.spec.get("model", {}), **hyperparameters})
