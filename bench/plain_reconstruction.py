"""Reconstruction with a query network as the papers' code does it, and as its text reads.

What the fast versions in `mrisr` are held against, for equality (tests) and time (`make bench`).
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import grid_sample

CHUNK = 2**14


@torch.inference_mode()
def published(
    network: torch.nn.Module, lr: torch.Tensor, axes: Sequence[torch.Tensor], planes: range
) -> torch.Tensor:
    """Ask the network for one plane of the HR grid after another; it encodes anew every time.

    Args:
        network: A query network.
        lr: Shape (x, y, z).
        axes: Coordinates of the HR voxels of each axis, in [-1,1].
        planes: Those of the first axis that are wanted.

    Returns:
        Shape (planes, Y, Z).
    """
    made = []
    for i in planes:
        points = torch.stack(torch.meshgrid(axes[0][i : i + 1], *axes[1:], indexing="ij"), -1)
        made.append(network(lr[None, None], points.view(1, -1, 3)).view(len(axes[1]), -1))
    return torch.stack(made)


@torch.inference_mode()
def decode(
    network: torch.nn.Module, features: torch.Tensor, axes: Sequence[torch.Tensor], planes: range
) -> torch.Tensor:
    """Sample the features at some voxels, append the coordinates, and call the decoder.

    Args:
        network: A query network.
        features: Shape (1, C, x, y, z).
        axes: Coordinates of the HR voxels of each axis, in [-1,1].
        planes: Those of the first axis that are wanted.

    Returns:
        Shape (planes, Y, Z).
    """
    grid = torch.stack(
        torch.meshgrid(axes[0][planes.start : planes.stop], *axes[1:], indexing="ij"), -1
    ).view(-1, 3)
    values = []
    for points in grid.split(CHUNK):
        where = points.flip(-1)[None, :, None, None]
        sampled = grid_sample(features, where, align_corners=False)[0, :, :, 0, 0].t()
        values.append(network.decode(sampled, points))
    return torch.cat(values).view(len(planes), len(axes[1]), len(axes[2]))
