"""Model files: weights as safetensors, with a description of the training and the losses beside."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.files import atomic, write_json, write_text
from mrisr.methods.budget import loss_fell

if TYPE_CHECKING:
    import torch

    from mrisr.methods.method import Method

PER_SUBJECT = ("epochs", "steps", "seconds", "ended")  # lists, for models made for one subject each
FILES = ("model.safetensors", "log.csv", "model.json")
LOSSES = ["epoch", "step", "train_loss", "val_loss", "learning_rate"]  # columns of log.csv


def save_model(folder: str | Path, state: dict, rows: list[dict], description: dict) -> None:
    """Write `model.safetensors`, `log.csv` and `model.json` into `folder`.

    Args:
        folder: `models/<method>/<trained>`.
        state: Weights by name.
        rows: Losses, one row for each epoch; empty if the model was not trained here.
        description: Content of `model.json`.
    """
    from safetensors.torch import save

    folder = Path(folder)
    for name in FILES:
        seals.unseal(folder / name)
    with atomic(folder / "model.safetensors") as temporary:
        # Not save_file: its files are not readable for others who share a cluster.
        temporary.write_bytes(save({name: value.contiguous() for name, value in state.items()}))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else LOSSES)
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "log.csv", text.getvalue())
    write_json(folder / "model.json", description)
    for name in FILES:
        seals.seal(folder / name)


def read_description(folder: str | Path | Sequence[str | Path]) -> dict:
    """Return the content of a model folder's `model.json`.

    Args:
        folder: Folder of a model, or folders of the models of one subject each. Their description
            is that of the first, with `models`, their number; with `epochs`, `steps`, `seconds` and
            `ended` of each as lists; and with `collapsed` if any of them collapsed.

    Raises:
        InputError: The file changed since it was made, or is damaged.
    """
    if not isinstance(folder, str | Path):
        each = [read_description(one) for one in folder]
        lists = {key: [about.get(key) for about in each] for key in PER_SUBJECT}
        collapsed = any(about.get("collapsed") for about in each)
        return {**each[0], **lists, "models": len(each), "collapsed": collapsed}
    path = Path(folder) / "model.json"
    seals.check(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, not UTF-8
        raise InputError(f"{path}: damaged ({error}); train the model again") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: damaged (no JSON object); train the model again")
    return found


def known(folder: str | Sequence[str] | None) -> dict | None:
    """Return `read_description` of the models that exist so far; None without any.

    A single model also has `loss_fell`, see `mrisr.methods.budget.loss_fell`.
    """
    folders = [folder] if isinstance(folder, str) else folder or []
    there = [one for one in folders if (Path(one) / "model.json").is_file()]
    if not there:
        return None
    if isinstance(folder, str):
        return {**read_description(folder), "loss_fell": loss_fell(folder)}
    return read_description(there)


def with_models(cells: Iterable[Mapping]) -> list[dict]:
    """Return cells (`mrisr.plan.cells.cells`) with descriptions in place of models' folders.

    See `known`; the same for the further trainings in `repeats`.
    """
    return [
        {
            **cell,
            "model": known(cell["model"]),
            "repeats": [
                {**repeat, "model": known(repeat["model"])} for repeat in cell.get("repeats", ())
            ],
        }
        for cell in cells
    ]


def own_training(description: Mapping) -> str:
    """Return in words how the models of one subject each were trained.

    Args:
        description: Result of `read_description` for several folders.
    """
    count, goal = description["models"], description.get("epochs_asked")
    done = [entry for entry in description["epochs"] if entry is not None]
    steps = [entry for entry in description["steps"] if entry is not None]
    said = f"a network a subject ({count}), each trained for {_range(steps)} steps"
    if done and goal:
        said += f", {_range(done)} of {goal:,} epochs"
    reasons = sorted({entry for entry in description["ended"] if entry not in (None, "epochs")})
    if "time budget" in reasons and description.get("minutes_asked"):
        reasons[reasons.index("time budget")] += f" of {description['minutes_asked']:g} minutes"
    if reasons:
        said += f", ended by {' or '.join(f'the {reason}' for reason in reasons)}"
    demo = "; demo preset, a shrunk network and schedule"
    return said + (demo if description.get("preset") == "demo" else "")


def shipped_training(description: Mapping) -> str:
    """Return in words how weights that come with mrisr were trained.

    Args:
        description: Content of the weights' `model.json`.
    """
    subjects = len(description["train_subjects"])
    return (
        "weights that come with mrisr, trained elsewhere for"
        f" {description['steps']:,} steps on {subjects} subjects of {description['dataset']}"
    )


def _range(numbers: Sequence[float]) -> str:
    if not numbers:
        return "an unknown number of"
    low, high = (f"{number:,g}" for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def described(file: str | Path) -> bool:
    """Say whether weights lie in a model folder of a study, with their description beside them."""
    file = Path(file)
    return file.name == "model.safetensors" and file.with_name("model.json").exists()


def made_for_axes(file: str | Path) -> str:
    """Return the order in which a model sees axes, see `mrisr.volumes.axis_order`."""
    about = read_description(Path(file).parent) if described(file) else {}
    return about.get("weights_axes", "canonical")


def load_model(
    method: "Method", file: str | Path, device: "torch.device | str" = "cpu"
) -> "torch.nn.Module":
    """Build a method's network and load its weights.

    Args:
        method: The method, with the hyper-parameters that the model was made with.
        file: A `model.safetensors`.
        device: Device to put it on.

    Returns:
        The network; its attribute `axes` has the order in which it sees a volume's axes.

    Raises:
        InputError: The file is damaged or changed since it was made, or its weights do not fit
            the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    seals.check(file)
    network = method.build()
    network.axes = made_for_axes(file)  # type: ignore[assignment]
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: cannot be read ({error}); train the model again") from None
    except RuntimeError as error:
        raise InputError(
            f"{file}: does not fit method '{method.name}': {str(error).splitlines()[1].strip()};"
            " its hyper-parameters (methods.<name>.model) must be those it was trained with"
        ) from None
    from mrisr.networks.tiles import convert

    return convert(network, device).eval()
