"""A network that is optimised on the user's own scan or stacks, trained before it is applied."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mrisr.common.seeds import seed as derived_seed
from mrisr.methods.method import Method
from mrisr.methods.model_files import load_model
from mrisr.train.engine import TrainingJob, train_and_save
from mrisr.volumes.io import Volume, save


def trained_here(
    method: Method,
    lr: Mapping[str, Volume],
    masks: Mapping[str, Volume],
    degradation: dict,
    scale: float,
    seed: int,
    device: torch.device,
) -> torch.nn.Module:
    """Return the network of a method that is optimised per subject, trained on these volumes.

    Args:
        method: The method.
        lr: The scan under any name, or the stacks by name; in [0,1].
        masks: Masks of the data in stacks, by name; empty for none.
        degradation: How the volumes were acquired, see `mrisr.degrade.resample.degrade`.
        scale: The scale of that degradation.
        seed: Seed of the training.
        device: Device to train on.
    """
    with TemporaryDirectory() as folder:
        files: dict[str, list[str]] = {"lr": [], "mask": []}
        for kind, volumes in (("lr", lr), ("mask", masks)):
            for name, volume in volumes.items():
                files[kind].append(f"{folder}/{kind}_{name}.nii.gz")
                save(volume, files[kind][-1])
        job = TrainingJob(
            name=method.name,
            build=method.build,
            scales=[scale],
            spec=method.spec,
            degradation=degradation,
            seed=seed,
            train=files["lr"],
            val=[],
            checkpoints=f"{folder}/checkpoints",
            device=device,
            masks=files["mask"],
        )
        model = Path(folder, "model")
        train_and_save(job, model, {"method": method.name}, method.function("train"))
        return load_model(method, model / "model.safetensors", device)


def content_seed(seed: int, volumes: Iterable[Volume]) -> int:
    """Return a seed that depends on the content of volumes, and not on the names of files."""
    digest = hashlib.sha256()
    for volume in volumes:
        digest.update(np.ascontiguousarray(volume.data).tobytes())
        digest.update(volume.affine.tobytes())
    return derived_seed(seed, "stacks", digest.hexdigest())
