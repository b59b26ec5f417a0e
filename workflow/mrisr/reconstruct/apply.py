"""Reconstruction: LR in, SR out, on the exact grid of the ground truth."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mrisr.common import devices
from mrisr.common.errors import InputError
from mrisr.common.files import Staging, finish
from mrisr.common.progress import progress
from mrisr.degrade.resample import hr_affine, upsample
from mrisr.methods.model_files import load_model
from mrisr.networks.grid_decoder import arrange
from mrisr.networks.queries import query_coordinates
from mrisr.networks.tiles import CPU_CHUNK, GPU_CHUNK, apply_tiled, within
from mrisr.networks.trilinear import sample_rows
from mrisr.reconstruct.slices import apply_on_grid, apply_upscale
from mrisr.volumes.axis_order import CANONICAL, AxisOrder
from mrisr.volumes.io import Volume, load, load_image, save

if TYPE_CHECKING:
    from mrisr.methods.method import Method

log = logging.getLogger("mrisr")
#: Of the products of a network's layers.
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Query:
    """Request for a reconstruction.

    Attributes:
        shape: Shape of the SR volume.
        affine: Affine of the SR volume.
        scale: Up-sampling scale k.
        grid: Convention of the degradation, `corners` or `centres`.
        coordinates: Coordinates for query networks, `edges` or `grid`.
        hyperparameters: The method's `model` settings.
        memory_mb: Memory that the work may use, in addition to the volumes.
        device: Device to compute on.
        masks: By name of the stack, a mask that is nonzero where the stack has data. A stack
            without a mask has data everywhere.
        precision: Of the products of a network's layers, `float32` or `bfloat16`.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    scale: float
    grid: str = "corners"
    coordinates: str = "edges"
    hyperparameters: dict = field(default_factory=dict)
    memory_mb: float = 6000
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    precision: str = "float32"


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
    masks: Mapping[str, np.ndarray] | None = None,
    precision: str = "float32",
) -> Volume:
    """Super-resolve one LR volume.

    Args:
        method: Method to apply, see `mrisr.methods.method.get`.
        model: The method's network with trained weights, see
            `mrisr.methods.model_files.load_model`; None for methods without.
        lr: The LR volume in [0,1] (or its stacks by name).
        shape: Shape of the SR volume; default the LR shape times `scale`, rounded (a slice stays
            one voxel thick).
        scale: Up-sampling scale k.
        affine: Affine of the SR grid; default that of the grid derived from the LR grid.
        grid: Convention of the degradation, `corners` or `centres`.
        device: Device to compute on.
        memory_mb: Memory that the work may use, in addition to the volumes.
        masks: Masks of the data in stacks, see `Query`.
        precision: Of the products of the network's layers, `float32` or `bfloat16`.

    Returns:
        The SR volume, float32.

    Raises:
        InputError: The method gave another shape, or values that are not finite; or an unknown
            precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision '{precision}': one of {', '.join(PRECISIONS)} is needed")
    first = lr if isinstance(lr, Volume) else next(iter(lr.values()))
    if shape is None:
        shape = [n if n == 1 else round(n * scale) for n in first.data.shape]
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
        masks=masks or {},
        precision=precision,
    )
    axes = getattr(model, "axes", CANONICAL)
    with devices.products(query.device, precision):
        if axes == CANONICAL or not isinstance(lr, Volume):
            data = _apply(method, model, lr, query)
        else:
            data = _in_order(method, model, lr, query, AxisOrder.of(lr, axes))
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


def _in_order(
    method: "Method", model: torch.nn.Module | None, lr: Volume, query: Query, order: AxisOrder
) -> np.ndarray:
    """Apply a network in its own order of axes; LR, grid and so all coordinates are turned."""
    seen = Volume(order.there(lr.data), order.affine(lr.affine, lr.data.shape))
    asked = replace(
        query, shape=order.shape(query.shape), affine=order.affine(query.affine, query.shape)
    )
    return order.back(np.asarray(_apply(method, model, seen, asked)))


def _apply(
    method: "Method",
    model: Any,
    lr: Volume | dict[str, Volume],
    query: Query,
) -> np.ndarray:
    special = method.function("reconstruct")
    if special is not None:
        return special(lr, query, model)
    assert isinstance(lr, Volume)  # networks of stacks have their own function
    if method.spec["network"] == "upscale":
        return apply_upscale(model, lr, query.shape, query.device, query.memory_mb)
    if method.input == "slice":
        where = (query.grid, query.coordinates, query.device, query.memory_mb)
        return apply_on_grid(model, lr, query.shape, *where)
    if method.spec["network"] == "grid":
        return apply_grid(model, lr, query)
    return apply_query(model, lr, query)


@torch.inference_mode()
def apply_grid(model: torch.nn.Module, lr: Volume, query: Query) -> np.ndarray:
    """Apply a network that maps the interpolated LR volume to the HR volume, in tiles."""
    image = np.ascontiguousarray(upsample(lr.data, query.shape, query.grid))
    volume = torch.from_numpy(image)[None, None].to(query.device)
    tiles = within(model, query.shape, query.memory_mb)
    return apply_tiled(model, volume, tiles, "apply")[0, 0].float().cpu().numpy()


@torch.inference_mode()
def apply_query(model: torch.nn.Module, lr: Volume, query: Query) -> np.ndarray:
    """Encode the LR volume once, then decode the voxels of the HR grid in parts.

    Args:
        model: A query network, see `mrisr.methods.method`.
        lr: LR volume in [0,1].
        query: Request for the reconstruction.
    """
    volume = torch.from_numpy(lr.data)[None, None].to(query.device)
    channels = model.encode(volume[..., :1, :1, :1]).shape[1]
    tiles = within(model, lr.data.shape, query.memory_mb - 4 * channels * volume.numel() / 2**20)
    features = apply_tiled(model.encode, volume, tiles, "encode")[0].float()
    axes = [
        torch.tensor(
            query_coordinates(n, m, query.coordinates, query.grid),
            dtype=torch.float32,
            device=query.device,
        )
        for n, m in zip(query.shape, lr.data.shape, strict=True)
    ]
    return on_grid(model, features, axes).float().cpu().numpy()


def on_grid(
    model: torch.nn.Module, features: torch.Tensor, axes: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return intensities on a grid by the network's own `on_grid`, else by its `decode`.

    Args:
        model: A query network.
        features: Shape (C, x, y, z).
        axes: Coordinates of the voxels of each axis, in [-1,1].

    Returns:
        Intensities, shape (X, Y, Z).
    """
    if hasattr(model, "on_grid"):
        return model.on_grid(features, axes)
    return decode(model, features.permute(1, 2, 3, 0), axes)


@torch.inference_mode()
def decode(
    model: torch.nn.Module,
    features: torch.Tensor,
    axes: Sequence[torch.Tensor],
    planes: range | None = None,
) -> torch.Tensor:
    """Decode a feature map, interpolated trilinearly, at the voxels of a grid.

    Args:
        model: A query network with `decode`.
        features: Shape (x, y, z, C).
        axes: Coordinates of the voxels of each axis, in [-1,1].
        planes: Planes of the first axis to decode; default all.

    Returns:
        Intensities, shape (planes, Y, Z).
    """
    planes = range(len(axes[0])) if planes is None else planes
    decoder = arrange(model)
    chunk = GPU_CHUNK if features.is_cuda else CPU_CHUNK * torch.get_num_threads()
    output = features.new_empty(len(planes), len(axes[1]), len(axes[2]))
    wanted = progress(planes, "decode", len(planes))
    for i, rows, sampled, where in sample_rows(
        features, axes, chunk, wanted, decoder.extra, decoder.project
    ):
        output[i - planes.start, rows] = decoder(sampled, where).view(-1, len(axes[2]))
    return output


def reconstruct_subjects(
    method: "Method",
    model_file: str | Path | None,
    inputs: Sequence[Mapping[str, str]],
    target_files: Sequence[str] | None,
    outputs: Sequence[str],
    scale: float,
    grid: str,
    staging: str | Path,
    fingerprint: object,
    device: torch.device | str = "cpu",
    memory_mb: float = 6000,
    masks: Sequence[Mapping[str, str]] | None = None,
    cut: bool = False,
) -> None:
    """Reconstruct all subjects of a dataset with the model loaded once.

    A rerun after a kill uses the subjects that were finished.

    Args:
        method: Method to apply.
        model_file: The method's `model.safetensors`, or None.
        inputs: For each subject the LR file under "", or the files of its stacks by name. A method
            of stacks takes a volume as its only stack.
        target_files: Files on the SR grid, which are ground truths if there are any. Only their
            grid is used, but the control that is the ground truth also gets them as inputs. None
            takes the LR grid with voxels divided by `scale`.
        outputs: SR files to write, one for each subject.
        scale: Up-sampling scale k.
        grid: Convention of the degradation.
        staging: Folder for finished subjects.
        fingerprint: What the outputs depend on.
        device: Device to compute on.
        memory_mb: Memory that a reconstruction may use.
        masks: For each subject the masks of the data in its stacks, by name.
        cut: Whether SR is 0 where the target is 0, because there are no data beyond the foreground.
    """
    model = load_model(method, model_file, device) if model_file else None
    staged = Staging(staging, fingerprint)
    targets = dict(zip(outputs, target_files, strict=True)) if target_files else {}
    for output in progress(staged.pending(list(outputs)), f"reconstruct {method.name}"):
        index = list(outputs).index(output)
        stacks = {name: load(file) for name, file in inputs[index].items()}
        inside = {name: load(file).data for name, file in masks[index].items()} if masks else {}
        target = load_image(targets[output]) if targets else None
        began = time.perf_counter(), time.process_time()
        volume = reconstruct(
            method,
            model,
            stacks if method.input == "stacks" else stacks.get("", stacks),
            target.shape if targets else None,
            scale,
            target.affine if targets else None,
            grid,
            device,
            memory_mb,
            inside,
        )
        wall, cores = time.perf_counter() - began[0], time.process_time() - began[1]
        if cut:
            volume.data[load(targets[output]).data == 0] = 0
        save(volume, staged.path(output))
        finish(staged.path(output))
        # Figures of cost take it from the log. On a CPU, the time of all cores does not depend on
        # the number of threads.
        on_cpu = "" if torch.device(device).type != "cpu" else f", CPU {cores:.4f} s"
        log.info("%s: %s, net %.4f s%s", method.name, output, wall, on_cpu)
    staged.commit(list(outputs))
