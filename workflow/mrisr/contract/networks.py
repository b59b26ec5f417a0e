"""The contract of methods with a network: its size, its reach, and whether it learns."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mrisr.common.errors import require
from mrisr.contract.methods import Clause
from mrisr.contract.samples import DEGRADATION, DEMO_VOXELS, Sample, sample, truth
from mrisr.methods import method as methods
from mrisr.methods.model_files import LOSSES, load_model, save_model
from mrisr.methods.training_length import total_steps
from mrisr.networks.tiles import apply_tiled, plan
from mrisr.reconstruct.apply import on_grid, reconstruct
from mrisr.train.engine import TrainingJob, train
from mrisr.volumes.io import Volume, save

#: 10^12 floating-point operations, forward and backward, that training a model of the demo may
#: take. The largest model here takes 7.2, six minutes of a slow core. Seconds would differ from run
#: to run.
TRAINING_TFLOP = 10
#: Largest demo.training.minutes; such a training ends by the clock.
TRAINING_MINUTES = 7
#: Number of steps that are tried: the first and the last include a validation, the middle one does
#: not.
STEPS = 3


def has_the_stated_size(name: str, plugins: Sequence[str | Path]) -> None:
    """Check the number of parameters, if method.yaml states one, and that the demo has fewer."""
    method = methods.get(name, search=plugins)
    where, count = f"{method.folder}/method.yaml", _count(method.build())
    stated = method.spec.get("parameters", count)
    require(count == stated, f"{where}: parameters: {stated} stated, the network has {count}")
    small = _count(methods.get(name, preset="demo", search=plugins).build())
    require(
        small < count or count < 10_000,
        f"{where}: demo.model: the demo's network is as large as the published one, {count}",
    )


def learns_in_the_demo(name: str, plugins: Sequence[str | Path]) -> None:
    """Check some steps of the demo's training: finite losses, a model that loads, its size."""
    example = sample(name, plugins)
    minutes = example.method.spec["training"].get("minutes") or float("inf")
    with tempfile.TemporaryDirectory() as folder:
        tflop = _try_training(example, Path(folder))
    require(
        tflop <= TRAINING_TFLOP or minutes <= TRAINING_MINUTES,
        f"{example.method.folder}: training in the demo would take {tflop:.3g} TFLOP, more than"
        f" {TRAINING_TFLOP}; shrink demo.training and demo.model of method.yaml",
    )


def _try_training(example: Sample, folder: Path) -> float:
    """Train a few steps; return the TFLOP of all steps of the demo, 0 if unknown."""
    method, where = example.method, example.method.folder
    marks: list[int] = []

    def watch(step: int) -> bool:
        marks.append(counter.get_total_flops())
        return False

    job = _job(example, folder)
    with FlopCounterMode(display=False) as counter:
        trained = (method.function("train") or train)(job, watch)
    require(trained is not None and trained.log, f"{where}: training ended without a model")
    require(
        list(trained.log[0]) == LOSSES, f"{where}: columns of the log are not {', '.join(LOSSES)}"
    )
    losses = [row["train_loss"] for row in trained.log]
    require(np.isfinite(losses).all(), f"{where}: losses are not finite: {losses}")
    save_model(folder, trained.state, trained.log, trained.info)
    network = load_model(method, folder / "model.safetensors")
    sr = reconstruct(
        method, network, example.lr, example.truth.data.shape, example.scale, example.truth.affine
    )
    extent = float(np.ptp(sr.data))
    require(
        extent < 10 and (extent > 0 or trained.info.get("collapsed")),
        f"{where}: after {len(marks)} steps the result is constant, or far beyond [0,1]",
    )
    if len(marks) < 2:
        return 0.0  # the method's own loop asks less often
    settings = method.spec["training"]
    step = min(b - a for a, b in pairwise(marks)) / 1e12
    if method.per_subject:
        passes = settings["epochs"] * DEMO_VOXELS / example.truth.data.size
        return step * len(marks) / job.spec["training"]["epochs"] * passes
    return step * total_steps(settings, settings.get("steps_per_epoch") or 1)


def _job(example: Sample, folder: Path) -> TrainingJob:
    """Return a training of a few steps, with training files in `folder`."""
    method, settings = example.method, example.method.spec["training"]
    few: dict = {"epochs": 1, "steps": None, "restarts": 0, "checkpoint_minutes": 10**6}
    scales, held_out = [example.scale], []
    if method.per_subject:
        stacks = {"lr": example.lr} if isinstance(example.lr, Volume) else example.lr
        files = [str(folder / f"sub-01_{stack}.nii.gz") for stack in stacks]
        for file, stack in zip(files, stacks.values(), strict=True):
            save(stack, file)
    else:
        few |= {"steps_per_epoch": STEPS, "patches_per_subject": settings.get("batch", 1)}
        flat = method.input == "slice"
        edge = max(24, method.patch_size(example.scale) + 2 * settings.get("border", 0))
        file = folder / ("sub-01_slice-1.nii.gz" if flat else "sub-01.nii.gz")
        save(truth((1, edge, edge) if flat else (edge, edge, edge)), file)
        files = held_out = [str(file)]
        if method.models == "all_scales":
            scales = method.spec["scale_range"]
    if "denoise" in settings:
        few["denoise"] = {"weight": 0, "sigma": 1}  # needs BM3D
    spec = {**method.spec, "training": {**settings, **few}}
    degradation = {"kind": method.input, **DEGRADATION}
    kept = str(folder / "kept")
    return TrainingJob(
        method.name, method.build, scales, spec, degradation, 1, files, held_out, kept
    )


def _part(example: Sample) -> tuple[nn.Module, object, int, int, int]:
    """Return a network, its part that is applied in tiles, its halo, dimensions and factor."""
    network, where = example.network, example.method.folder
    halo = getattr(network, "halo", None)
    require(
        isinstance(halo, int) and halo >= 0,
        f"{where}: the network has no integer `halo`: how many voxels away an input voxel can"
        " change an output voxel",
    )
    part = network.encode if example.method.spec.get("network") == "query" else network
    dimensions = 2 if example.method.input == "slice" else 3
    return network, part, halo, dimensions, getattr(network, "factor", 1)


@torch.inference_mode()
def reaches_as_far_as_its_halo(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that an input voxel changes output voxels up to `halo` away, and none beyond.

    Weights are made positive, so that nothing cancels and no ReLU outputs 0.
    """
    example = sample(name, plugins)
    network, function, halo, dimensions, factor = _part(example)
    network.double()
    for p in network.parameters():
        p.abs_().add_(1e-3)
    for axis in range(dimensions):
        shape = [9] * dimensions
        shape[axis] = halo + 5
        volume = torch.rand(1, 1, *shape, dtype=torch.float64)
        touched = volume.clone()
        touched.select(2 + axis, 0).mul_(100)
        difference = (function(touched) - function(volume)).abs().movedim(2 + axis, 0)
        reached = difference.reshape(halo + 5, factor, -1).amax(dim=(1, 2)) > 0
        far = max((place for place, there in enumerate(reached.tolist()) if there), default=-1)
        require(
            far == halo,
            f"{example.method.folder}: along axis {axis} an input voxel reaches {far} voxels far,"
            f" but the network's halo is {halo}; tiles would "
            + ("show seams" if far > halo else "be larger than they must be"),
        )


@torch.inference_mode()
def has_no_seams(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that joined tiles equal the whole volume."""
    example = sample(name, plugins)
    _, function, halo, dimensions, factor = _part(example)
    volume = torch.rand(1, 1, 4 * max(8, halo), *(10, 9)[: dimensions - 1])
    tiles = plan(volume.shape[2:], halo, 1)
    tiled, whole = apply_tiled(function, volume, tiles, factor=factor), function(volume)
    apart = float((tiled - whole).abs().max())
    scale = max(1.0, float(whole.abs().max()))
    require(
        apart < 2e-5 * scale,
        f"{example.method.folder}: tiles differ from the whole by {apart:.2g}; what is computed"
        " over a whole volume (a norm, attention) has no place in a network that is applied in"
        " tiles",
    )


@torch.inference_mode()
def decodes_as_it_is_called(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that a grid, decoded in chunks, equals a call at the grid's coordinates."""
    example = sample(name, plugins)
    network, image = example.network, torch.from_numpy(example.lr.data)[None, None]
    if example.method.input == "slice":
        image = image[:, :, 0]
    axes = [torch.linspace(-1, 1, n) for n in (5, 23, 19)[-image.dim() + 2 :]]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)[None]
    cell = torch.tensor([[2 * m / len(a) for m, a in zip(image.shape[2:], axes, strict=True)]])
    fast = on_grid(network, network.encode(image)[0], axes)
    slow = network(image, points, cell).view_as(fast)
    apart = float((fast - slow).abs().max())
    require(
        apart < 1e-5,
        f"{example.method.folder}: a grid differs from the network's call by {apart:.2g}",
    )


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


LEARNED: dict[str, Clause] = {
    "has the number of parameters it states, and fewer in the demo": has_the_stated_size,
    "learns from the demo's training in minutes": learns_in_the_demo,
}
TILED: dict[str, Clause] = {
    "reaches exactly as far as its halo": reaches_as_far_as_its_halo,
    "has no seams where it is applied in tiles": has_no_seams,
}
QUERIED: dict[str, Clause] = {
    "decodes a grid as its network is called": decodes_as_it_is_called,
}
