"""Reconstruction: LR in, SR out, on the exact grid of the ground truth."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mrisr.degrade import hr_affine, upsample
from mrisr.errors import InputError
from mrisr.files import Staging
from mrisr.io import Volume, load, load_image, save
from mrisr.models import load_model
from mrisr.patches import query_coordinates
from mrisr.progress import progress
from mrisr.tiles import apply_tiled, tile_edge

if TYPE_CHECKING:
    from mrisr.methods import Method

log = logging.getLogger("mrisr")

# Rows of a decoder's activations that stay in a CPU's cache; a GPU wants more at once.
CHUNK = {"cpu": 2**14, "cuda": 2**19}


@dataclass(frozen=True)
class Query:
    """What a reconstruction is asked for.

    Attributes:
        shape: Shape of the SR volume.
        affine: Its affine.
        scale: Up-sampling scale k.
        grid: Convention of the degradation, `corners` or `centres`.
        coordinates: How query networks are asked, `edges` or `grid`.
        hyperparameters: The method's `model` settings.
        memory_mb: Memory that the work may take, beside the volumes themselves.
        device: Where to compute.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    scale: float
    grid: str = "corners"
    coordinates: str = "edges"
    hyperparameters: dict = field(default_factory=dict)
    memory_mb: float = 6000
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def reconstruct(
    method: "Method",
    model: torch.nn.Module | None,
    lr: Volume | dict[str, Volume],
    shape: Sequence[int] | None = None,
    scale: float = 2,
    affine: np.ndarray | None = None,
    grid: str = "corners",
    device: torch.device | str = "cpu",
    memory_mb: float = 6000,
) -> Volume:
    """Super-resolve one LR volume.

    Args:
        method: What to apply, see `mrisr.methods.get`.
        model: Its network with trained weights, see `mrisr.models.load_model`; None for methods
            without.
        lr: The LR volume in [0,1] (or its stacks by name).
        shape: Shape of the SR volume; default the LR shape times `scale`, rounded.
        scale: Up-sampling scale k.
        affine: Affine of the SR grid; default the one above the LR grid.
        grid: Convention of the degradation, `corners` or `centres`.
        device: Where to compute.
        memory_mb: Memory that the work may take, beside the volumes themselves.

    Returns:
        The SR volume, float32.

    Raises:
        InputError: The method gave another shape, or values that are not finite.
    """
    first = lr if isinstance(lr, Volume) else next(iter(lr.values()))
    if shape is None:
        shape = [round(n * scale) for n in first.data.shape]
    shape = tuple(int(n) for n in shape)
    if affine is None:
        affine = hr_affine(first.affine, first.data.shape, shape, grid)
    query = Query(
        shape,
        affine,
        scale,
        grid,
        coordinates=method.spec.get("coordinates", "edges"),
        hyperparameters=method.spec.get("model", {}),
        memory_mb=memory_mb,
        device=torch.device(device),
    )
    own = method.function("reconstruct")
    if own is not None:
        data = own(lr, query, model)
    elif method.spec["network"] == "grid":
        data = apply_grid(model, lr, query)
    else:
        data = apply_query(model, lr, query)
    if tuple(data.shape) != shape:
        raise InputError(
            f"method '{method.name}': gave shape {tuple(data.shape)} where {shape} was asked for;"
            " mend its reconstruct()"
        )
    bad = int(np.count_nonzero(~np.isfinite(data)))
    if bad:
        raise InputError(
            f"method '{method.name}': {bad} voxels are not finite; train its model again"
        )
    return Volume(np.ascontiguousarray(data, dtype=np.float32), affine)


@torch.inference_mode()
def apply_grid(model: torch.nn.Module, lr: Volume, query: Query) -> np.ndarray:
    """Apply a network that maps the interpolated LR volume to the HR volume, in tiles."""
    image = np.ascontiguousarray(upsample(lr.data, query.shape, query.grid))
    volume = torch.from_numpy(image)[None, None].to(query.device)
    edge = tile_edge(model.halo, query.memory_mb, 4 * _channels(model))
    return apply_tiled(model, volume, model.halo, edge)[0, 0].cpu().numpy()


@torch.inference_mode()
def apply_query(model: torch.nn.Module, lr: Volume, query: Query) -> np.ndarray:
    """Encode the LR volume once, then decode every voxel of the HR grid in chunks.

    Trilinear sampling on a regular grid is separable: features are interpolated along the first
    axis for one HR plane at a time, then along the second and third. Equal to `grid_sample`
    with zeros beyond the outer voxel centres.

    Args:
        model: A query network, see `mrisr.methods`.
        lr: LR volume in [0,1].
        query: What is asked for.
    """
    volume = torch.from_numpy(lr.data)[None, None].to(query.device)
    edge = tile_edge(model.halo, query.memory_mb, 4 * _channels(model))
    features = apply_tiled(model.encode, volume, model.halo, edge)[0].permute(1, 2, 3, 0)

    sizes = zip(query.shape, lr.data.shape, strict=True)
    axes = [
        torch.tensor(
            query_coordinates(n, m, query.coordinates, query.grid),
            dtype=torch.float32,
            device=query.device,
        )
        for n, m in sizes
    ]
    taps = [_taps(c, m) for c, m in zip(axes, lr.data.shape, strict=True)]
    output = torch.empty(query.shape, device=query.device)
    rows = max(1, CHUNK.get(query.device.type, 2**14) // query.shape[2])
    y, z = torch.meshgrid(axes[1], axes[2], indexing="ij")
    for i in progress(range(query.shape[0]), "decode", query.shape[0]):
        plane = _lerp(features, taps[0], 0, slice(i, i + 1))[0]
        for start in range(0, query.shape[1], rows):
            part = slice(start, start + rows)
            sampled = _lerp(_lerp(plane, taps[1], 0, part), taps[2], 1, slice(None))
            where = torch.stack([axes[0][i].expand_as(y[part]), y[part], z[part]], dim=-1)
            values = model.decode(sampled.flatten(0, 1), where.flatten(0, 1))
            output[i, part] = values.view(-1, query.shape[2])
    return output.cpu().numpy()


def _taps(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, ...]:
    """Return the two LR neighbours of each coordinate, and their weights (0 outside)."""
    place = ((coordinates + 1) * m - 1) / 2
    low = place.floor()
    weight = place - low
    low = low.long()
    first = torch.where((low >= 0) & (low < m), 1 - weight, 0.0)
    second = torch.where((low + 1 >= 0) & (low + 1 < m), weight, 0.0)
    return low.clamp(0, m - 1), (low + 1).clamp(0, m - 1), first, second


def _lerp(data: torch.Tensor, taps: tuple, axis: int, part: slice) -> torch.Tensor:
    low, high, first, second = (tap[part] for tap in taps)
    shape = [-1 if a == axis else 1 for a in range(data.dim())]
    return data.index_select(axis, low) * first.view(shape) + data.index_select(
        axis, high
    ) * second.view(shape)


def _channels(model: torch.nn.Module) -> int:
    """Return how many channels of a voxel are alive at once: what the network says, or a guess."""
    widest = max((p.shape[0] for p in model.parameters() if p.dim() == 5), default=1)
    return getattr(model, "channels_alive", 4 * widest)


def reconstruct_subjects(
    method: "Method",
    model_file: str | Path | None,
    inputs: dict[str, list[str]],
    references: Sequence[str],
    outputs: Sequence[str],
    scale: float,
    grid: str,
    staging: str | Path,
    fingerprint: object,
    device: torch.device | str = "cpu",
    memory_mb: float = 6000,
) -> None:
    """Reconstruct all subjects of a dataset with the model loaded once.

    A rerun after a kill takes up the subjects that were finished.

    Args:
        method: What to apply.
        model_file: Its `model.safetensors`, or None.
        inputs: For each input name ("" or axial, coronal, sagittal) the LR files, one a subject.
        references: Ground-truth files: only their grid is used (and, by the control that is the
            ground truth, their voxels, since they are then the inputs too).
        outputs: SR files to be written, one a subject.
        scale: Up-sampling scale k.
        grid: Convention of the degradation.
        staging: Folder for finished subjects.
        fingerprint: What the outputs depend on.
        device: Where to compute.
        memory_mb: Memory that a reconstruction may take.
    """
    model = load_model(method, model_file, device) if model_file else None
    staged = Staging(staging, fingerprint)
    references = dict(zip(outputs, references, strict=True))
    for output in progress(staged.pending(list(outputs)), f"reconstruct {method.name}"):
        index = list(outputs).index(output)
        stacks = {name: load(files[index]) for name, files in inputs.items()}
        target = load_image(references[output])
        volume = reconstruct(
            method,
            model,
            stacks.get("", stacks),
            target.shape,
            scale,
            target.affine,
            grid,
            device,
            memory_mb,
        )
        save(volume, staged.path(output))
        log.info("%s: %s", method.name, output)
    staged.commit(list(outputs))
