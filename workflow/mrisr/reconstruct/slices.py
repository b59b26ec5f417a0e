"""2-D networks on slices: volumes one voxel thick, whose plane is the network's input."""

from collections.abc import Sequence

import numpy as np
import torch

from mrisr.common.errors import InputError
from mrisr.networks.queries import query_coordinates
from mrisr.networks.tiles import apply_tiled, within
from mrisr.volumes.io import Volume
from mrisr.volumes.slices import plane, thin_axis


@torch.inference_mode()
def apply_upscale(
    model: torch.nn.Module,
    lr: Volume,
    shape: Sequence[int],
    device: torch.device,
    memory_mb: float,
) -> np.ndarray:
    """Apply a network that maps an LR image to one of `factor` times its size, in tiles.

    Args:
        model: An `upscale` network, see `mrisr.methods.method`.
        lr: LR slice in [0,1].
        shape: Shape of the SR slice.
        device: Device to compute on.
        memory_mb: Memory that the work may use.

    Returns:
        The SR slice, of this shape.

    Raises:
        InputError: The shape is not `factor` times that of the LR slice.
    """
    image = torch.from_numpy(np.ascontiguousarray(plane(lr)))[None, None].to(device)
    wanted = tuple(n for axis, n in enumerate(shape) if axis != thin_axis(lr.data.shape))
    made = tuple(n * model.factor for n in image.shape[2:])
    if made != wanted:
        raise InputError(
            f"a network of factor {model.factor} makes {made[0]} x {made[1]} of an LR slice of"
            f" {image.shape[2]} x {image.shape[3]}, but the ground truth is {wanted[0]} x"
            f" {wanted[1]}; set slices.multiple to a multiple of {model.factor}"
        )
    tiles = within(model, image.shape[2:], memory_mb)
    image = apply_tiled(model, image, tiles, "apply", model.factor)
    return image.float().view(tuple(shape)).cpu().numpy()


@torch.inference_mode()
def apply_on_grid(
    model: torch.nn.Module,
    lr: Volume,
    shape: Sequence[int],
    grid: str,
    coordinates: str,
    device: torch.device,
    memory_mb: float,
) -> np.ndarray:
    """Encode an LR slice once, then decode the pixels of the HR grid in parts.

    Args:
        model: A `query` network of slices, see `mrisr.methods.method`.
        lr: LR slice in [0,1].
        shape: Shape of the SR slice.
        grid: Convention of the degradation, `corners` or `centres`.
        coordinates: Coordinates of the pixels, `edges` or `grid`.
        device: Device to compute on.
        memory_mb: Memory that the work may use.

    Returns:
        The SR slice, of this shape.
    """
    image = torch.from_numpy(np.ascontiguousarray(plane(lr)))[None, None].to(device)
    wanted = [n for axis, n in enumerate(shape) if axis != thin_axis(lr.data.shape)]
    tiles = within(model, image.shape[2:], memory_mb)
    features = apply_tiled(model.encode, image, tiles, "encode")[0].float()
    axes = [
        torch.tensor(query_coordinates(n, m, coordinates, grid), dtype=torch.float32, device=device)
        for n, m in zip(wanted, image.shape[2:], strict=True)
    ]
    return model.on_grid(features, axes).float().view(tuple(shape)).cpu().numpy()
