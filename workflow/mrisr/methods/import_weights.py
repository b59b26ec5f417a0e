"""Weights made elsewhere: read without running code, checked against a network, imported."""

import logging
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.files import sha256
from mrisr.methods import method as methods
from mrisr.methods.method import Method
from mrisr.methods.model_files import described, read_description, save_model

log = logging.getLogger("mrisr")

SHOWN = 3  # number of keys that a message names
# Facts of model.json about a network that its weights alone do not tell.
FACTS = ("network", "coordinates", "scales", "weights_axes")

Shapes = dict[str, tuple[int, ...]]


def read_weights(file: str | Path) -> dict[str, torch.Tensor]:
    """Read a state dict.

    Args:
        file: `.safetensors`, or a file of `torch.save` with a state dict (or with a mapping that
            has one as `state_dict`). The prefix `module.` of DataParallel is removed from every
            key.

    Returns:
        Weights by name, on the CPU.

    Raises:
        InputError: The file is damaged, holds something else, or could run code when loaded.
    """
    file = Path(file)
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and torch.is_tensor(v) for k, v in content.items())
    ):
        raise InputError(
            f"{file}: holds no state dict (weights by name); save it with"
            " torch.save(network.state_dict(), file)"
        )
    prefix = "module."
    if all(key.startswith(prefix) for key in content):
        return {key.removeprefix(prefix): value for key, value in content.items()}
    return dict(content)


def _read_safetensors(file: Path) -> dict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    seals.check(file)
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: cannot be read ({error}); copy it again") from None


def _read_pickle(file: Path) -> object:
    with file.open("rb") as opened:
        if opened.read(1) not in (b"P", b"\x80"):  # a zip archive, or a pickle
            raise InputError(f"{file}: damaged, or not a file of torch.save; copy it again")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it asks for {wanted[1]}" if wanted else "it holds more than tensors"
        raise InputError(
            f"{file}: refused, because loading it could run code ({what}). If you trust whoever"
            " made it, open it where it was made and keep the weights alone:"
            " torch.save(network.state_dict(), file)"
        ) from None
    except Exception as error:  # torch raises about anything for a damaged file
        reason = str(error).split(". ")[0].splitlines() or [type(error).__name__]
        raise InputError(
            f"{file}: damaged, or not a file of torch.save ({reason[0]}); copy it again"
        ) from None


def fitting_weights(
    method: Method, file: str | Path, search: Sequence[str | Path] = ()
) -> dict[str, torch.Tensor]:
    """Read weights of a method's network.

    Args:
        method: The method, with the hyper-parameters of its network.
        file: See `read_weights`.
        search: Further folders with `methods/<name>/`, used to tell what a wrong file looks like.

    Returns:
        Weights by name, in the network's types, on the CPU.

    Raises:
        InputError: The weights cannot be read, are not finite, or do not fit the network.
    """
    file = Path(file)
    state, wanted = read_weights(file), method.build().state_dict()
    _check_fit(method, file, _shapes(state), _shapes(wanted), search)
    state = {key: state[key].to(own.dtype) for key, own in wanted.items()}
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{file}: {key} holds NaN or infinity; it is no trained model")
    return state


def start_of(method: Method, file: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Return weights that a training begins with, and what `model.json` says of them.

    Args:
        method: The method to be trained.
        file: See `read_weights`.

    Returns:
        See `fitting_weights`; and `file`, `sha256`, with `steps`, `dataset`, `train_subjects` and
        `shipped` where a description lies beside the file.

    Raises:
        InputError: As `fitting_weights`; or the weights were made for another kind of input.
    """
    file = Path(file)
    state, facts = fitting_weights(method, file), _facts(file)
    kinds = ("network", "coordinates", "weights_axes")
    own = {key: method.spec[key] for key in ("network", "coordinates") if key in method.spec}
    own["weights_axes"] = "canonical"
    _check_facts(method, file, {key: facts[key] for key in kinds if key in facts}, own)
    told = ("steps", "dataset", "train_subjects", "shipped")
    about = {key: facts[key] for key in told if key in facts}
    return state, {"file": str(file), "sha256": sha256(file), **about}


def import_model(
    method: Method,
    file: str | Path,
    folder: str | Path,
    scales: Sequence[float],
    search: Sequence[str | Path] = (),
) -> None:
    """Write `model.safetensors`, `model.json` and `log.csv` from weights made elsewhere.

    A `model.safetensors` of another study also brings the facts in the files beside it. Of other
    files only the weights are known. `model.json` says `imported`, and names the file.

    Args:
        method: The method that the weights are for, with the hyper-parameters of its network.
        file: See `read_weights`.
        folder: `models/<method>/<trained>`.
        scales: The scale that the model is for, or the lowest and the highest.
        search: Further folders with `methods/<name>/`, used to tell what a wrong file looks like.

    Raises:
        InputError: The weights cannot be read, or do not fit the method.
    """
    file = Path(file)
    state = fitting_weights(method, file, search)
    facts = _facts(file)
    own = {key: method.spec[key] for key in (*FACTS, "model") if key in method.spec}
    if not facts:
        own["weights_axes"] = method.weights_axes(file)
    else:
        own.setdefault("weights_axes", facts["weights_axes"])
    own["scales"] = [float(scale) for scale in scales]
    _check_facts(method, file, facts, own)
    description = {
        "preset": "published",  # without other knowledge: the method's own hyper-parameters
        "steps": None,
        **facts,
        "method": method.name,
        **own,
        "imported": True,
        "file": str(file),
        "bytes": file.stat().st_size,
        "sha256": sha256(file),
        "parameters": sum(p.numel() for p in method.build().parameters()),
    }
    save_model(folder, state, [], description)
    losses = file.with_name("log.csv")
    if facts and losses.exists():
        seals.check(losses)
        seals.write(Path(folder) / "log.csv", losses.read_text(encoding="utf-8"))
    if description["weights_axes"] != "canonical":
        log.info("%s: %s: sees axes in the order %s", method.name, file, own["weights_axes"])
    log.info("%s: %d parameters from %s", method.name, description["parameters"], file)


def _facts(file: Path) -> dict:
    """Return known facts about how weights were made, from the file beside them."""
    if not described(file):
        return {}
    return {"weights_axes": "canonical", **read_description(file.parent)}


def _shapes(state: Mapping[str, torch.Tensor]) -> Shapes:
    return {key: tuple(value.shape) for key, value in state.items()}


def _check_fit(
    method: Method, file: Path, given: Shapes, wanted: Shapes, search: Sequence[str | Path]
) -> None:
    if given == wanted:
        return
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    misshaped = [
        f"{key} is {_size(given[key])} where {_size(wanted[key])} is expected"
        for key in wanted
        if key in given and given[key] != wanted[key]
    ]
    parts = [
        f"{len(keys)} {title}: {_first(keys)}"
        for title, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshaped", misshaped),
        )
        if keys
    ]
    alike = [name for name in _alike(given, search) if name != method.name]
    if alike:
        said = f" Its keys are those of {' or '.join(alike)}."
        remedy = f"name it there (methods.{alike[0]}.model), or give {method.name} its own file"
    elif not missing and not unexpected:
        said = " Its keys are right, its shapes are not."
        remedy = (
            f"the hyper-parameters must be those it was trained with, methods.{method.name}:"
            " {weights: <file>, model: {...}}"
        )
    else:
        said = " No method found here has a network like it."
        remedy = "give a file of this network"
    raise InputError(
        f"{file}: does not fit method '{method.name}'.{said} Keys: {'; '.join(parts)}."
        f" To do: {remedy}"
    )


def _alike(given: Shapes, search: Sequence[str | Path]) -> Iterable[str]:
    """Yield the methods whose published network has these keys and shapes."""
    for name in methods.names(search):
        try:
            method = methods.get(name, search=search)
            if not method.learned or method.kind == "external":
                continue
            with torch.device("meta"):
                found = _shapes(method.build().state_dict())
        except Exception as error:  # only a hint: another method's fault must not hide this
            log.info("%s: not compared (%s)", name, error)
            continue
        if found == given:
            yield name


def _check_facts(method: Method, file: Path, facts: Mapping, own: Mapping) -> None:
    """Refuse a model of another study that was made for another purpose."""
    other = {key: facts[key] for key in FACTS if key in facts and facts[key] != own.get(key)}
    for key, value in (facts.get("model") or {}).items():
        if own.get("model", {}).get(key, value) != value:
            other.setdefault("model", {})[key] = value
    if not other:
        return
    said = ", ".join(f"{key} {value}" for key, value in other.items())
    here = ", ".join(f"{key} {_here(own, key, value)}" for key, value in other.items())
    raise InputError(
        f"{file}: made for something else: {file.with_name('model.json')} says {said}, but"
        f" methods.{method.name} has {here}; set the keys of methods.{method.name} as it says, or"
        " give another file"
    )


def _here(own: Mapping, key: str, value: Any) -> object:
    return {k: own["model"].get(k) for k in value} if key == "model" else own.get(key)


def _first(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a number"
