"""A trained model as a file: its description, its scales, and its use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.layout import scale_name
from mrisr.common.redact import printable
from mrisr.methods import method as methods
from mrisr.methods.method import Method
from mrisr.methods.model_files import load_model, read_description
from mrisr.own_scans.target import Target

if TYPE_CHECKING:
    import torch

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


@dataclass(frozen=True)
class TrainedModel:
    """A model folder.

    Attributes:
        method: Method of the model, with the hyper-parameters that it was trained with.
        file: Weights of the model.
        description: Content of the model's `model.json`.
    """

    method: Method
    file: Path
    description: dict

    @property
    def grid(self) -> str:
        """Position of the SR grid over the scan's own grid: `corners` or `centres`.

        It is where the model puts its voxels, so that the SR volume's affine is true. Query
        networks take coordinates, so they can keep the field of view whatever they were trained on.
        All others follow the degradation that they were trained with.
        """
        if self.method.spec["network"] == "query":
            return "centres"
        return self.description["degradation"]["grid"]

    def refuses(self, scale: float) -> str | None:
        """Return why the model is not for `scale`, or None if it is."""
        if self.method.models == "all_scales":
            return self.method.refuses(scale)
        trained = self.description["scales"]
        if scale in trained:
            return None
        return f"scale {scale_name(scale)}: it was trained for {_listed(trained)} only"

    @property
    def scale_per_axis(self) -> bool:
        """Whether the model was also trained with different scales along the axes."""
        training = self.description.get("training", {})
        own = training.get("own_scales") or (training.get("thick_slices") or {}).get("share")
        return bool(self.description.get("scale_per_axis") or own)

    def limits(self, target: Target) -> str:
        """Return one line on what the model was made for, and where a target lies beyond that."""
        said, trained = self.description, self.description["scales"]
        span = f"{scale_name(min(trained))} to {scale_name(max(trained))}"
        parts = [
            f"trained on {len(said['train_subjects'])} subjects of {said['dataset']} at {span}x",
            said.get("limits", ""),
        ]
        beyond = [s for s in target.scales if s != 1 and not min(trained) <= s <= max(trained)]
        if beyond:
            parts.append(f"scale {scale_name(beyond[0])} lies beyond its training")
        return "; ".join(filter(None, parts))

    @property
    def scales(self) -> str:
        """The scales of the model, in words."""
        trained = self.description["scales"]
        if self.method.models != "all_scales":
            return f"{_listed(trained)} only"
        limits = self.method.spec.get("limits", {})
        low, high = limits.get("min_scale", min(trained)), limits.get("max_scale", max(trained))
        learned = " to ".join(map(scale_name, trained))
        return f"any from {scale_name(low)} to {scale_name(high)} (trained on {learned})"

    def load(self, device: "torch.device | str" = "cpu") -> "torch.nn.Module":
        """Return the network with its weights."""
        return load_model(self.method, self.file, device)


def open_model(path: str | Path, plugins: Sequence[str | Path] = ()) -> TrainedModel:
    """Describe a model without reading its weights.

    Args:
        path: A model folder of a study (`models/<method>/<trained>`), or its `model.safetensors`.
        plugins: Folders with `methods/<name>/`, for models of methods that do not come with this
            package.

    Raises:
        InputError: No model, files missing or damaged, or a model made for one subject.
        ConfigError: The method is not known.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    for name in (WEIGHTS, DESCRIPTION):
        if not (folder / name).exists() or (path.is_file() and path.name != WEIGHTS):
            raise InputError(
                f"{path}: not a model, {name} is missing; give the folder"
                " results/<study>/models/<method>/<trained>"
            )
    try:
        description = read_description(folder)
        name, model = description["method"], description["model"]
        scales, degradation = description["scales"], description["degradation"]
        if not scales or degradation["grid"] not in ("corners", "centres"):
            raise ValueError("no scale, or no grid")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{folder / DESCRIPTION}: not the description of a model ({error}); train it again"
        ) from None
    found = methods.folders(plugins)
    code = description.get("folder", name)
    if name not in found and code not in found:
        raise ConfigError(
            f"{folder}: a model of the method '{name}', whose folder '{code}' is not here; name"
            " the folder that holds methods/ with --plugins"
        )
    kept = {key: description[key] for key in ("network", "coordinates") if key in description}
    base = {} if name in found else {"base": code}
    method = methods.get(name, {**base, **kept, "model": model}, description["preset"], plugins)
    if method.kind != "supervised" or method.input != "volume":
        raise InputError(
            f"{folder}: a model of {method.label}, which is made for one subject or does not take"
            " a volume; such methods run in a study"
        )
    return TrainedModel(method, folder / WEIGHTS, description)


def _listed(scales: Sequence[float]) -> str:
    return ", ".join(map(scale_name, scales))


def describe(model: TrainedModel, path: str | Path) -> list[tuple[str, str]]:
    """Return the facts about a model, as lines of a name and a text.

    Args:
        model: See `open_model`.
        path: Path as the user gave it, for the command that applies the model.

    Raises:
        InputError: The description has no numbers where they are expected.
    """
    try:
        lines = _lines(model, path)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{model.file.with_name(DESCRIPTION)}: not the description of a model ({error}); train"
            " it again"
        ) from None
    return [(name, printable(text)) for name, text in lines if text]


def _lines(model: TrainedModel, path: str | Path) -> list[tuple[str, str]]:
    from mrisr.common.files import sha256

    said, spec = model.description, model.method.spec
    paper = spec.get("paper") or {}
    steps = said.get("steps")
    goal = None if said.get("shipped") else spec.get("published_steps")
    done = f"{steps:,}" if steps is not None else "unknown"
    if steps is not None and goal:
        done += f" of {goal:,} published ({100 * steps / goal:.3g} %)"
    state = " (its output is constant: it collapsed)" if said.get("collapsed") else ""
    low = said["degradation"]
    how = f"cubic B-splines, grid {low['grid']}, anti-alias {low.get('antialias') or 'none'}"
    if low.get("kind") == "through_plane":
        how = f"thick slices along one axis, {low['profile']} profile, field of view kept"
    return [
        ("model", f"{model.method.label} ({model.method.name}, preset {said['preset']})"),
        ("paper", ", ".join(filter(None, [paper.get("title"), _doi(paper)]))),
        ("parameters", f"{said['parameters']:,}" if "parameters" in said else ""),
        ("hyper-parameters", ", ".join(f"{key} {value}" for key, value in said["model"].items())),
        ("scales", model.scales),
        ("degradation", how),
        ("SR grid", model.grid),
        ("axes", said.get("weights_axes", "canonical")),
        ("trained on", _trained_on(said)),
        ("limits", said.get("limits", "")),
        ("steps", done),
        ("validation loss", f"{said['val_loss']:.5f}{state}" if "val_loss" in said else ""),
        ("date", said.get("date", "")),
        ("code", _code(said)),
        ("file", f"{model.file} ({model.file.stat().st_size / 2**20:.1f} MiB)"),
        ("sha256", sha256(model.file)),
        ("apply", f"mrisr sr SCAN.nii.gz --model {path} --scale {_example(said)} -o SR.nii.gz"),
    ]


def _doi(paper: dict) -> str | None:
    return f"https://doi.org/{paper['doi']}" if "doi" in paper else None


def _trained_on(said: dict) -> str:
    if "dataset" not in said:
        return ""
    train, val = len(said.get("train_subjects", [])), len(said.get("val_subjects", []))
    return f"{said['dataset']}, {train} subjects, {val} for validation, seed {said.get('seed')}"


def _code(said: dict) -> str:
    parts = [f"commit {said['commit']}"] if said.get("commit") else []
    versions = said.get("versions", {})
    parts += [f"{name} {versions[name]}" for name in ("torch",) if name in versions]
    parts += [f"on {said['device']}"] if "device" in said else []
    return ", ".join(parts)


def _example(said: dict) -> str:
    return scale_name(min(said["scales"]))
