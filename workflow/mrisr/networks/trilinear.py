"""Trilinear sampling of a feature map at the voxels of a regular grid, a few rows at a time.

Equal to `grid_sample(align_corners=False)` with zeros beyond the outer voxel centres. An HR voxel
is a weighted sum of eight LR voxels in two LR planes; the planes are walked in order, so that each
is prepared once, and where in them a voxel's neighbours lie is the same for all HR planes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch.nn.functional import embedding_bag


def sample_rows(
    features: torch.Tensor,
    axes: Sequence[torch.Tensor],
    chunk: int,
    planes: Iterable[int],
    extra: int = 0,
    project: Callable[[torch.Tensor], None] = lambda table: None,
) -> Iterator[tuple[int, slice, torch.Tensor, torch.Tensor]]:
    """Yield the features at the voxels of a grid, plane by plane.

    Args:
        features: Shape (x, y, z, C).
        axes: Coordinates of the HR voxels of each axis, in [-1,1]: the outer edges of the LR
            voxels.
        chunk: HR voxels at a time; at least one row is taken.
        planes: HR planes along the first axis that are wanted, ascending.
        extra: Columns to be made of the features and interpolated with them.
        project: Fills the last `extra` columns of (K, C + extra) from the others, linearly.

    Yields:
        Index of the HR plane, its rows (second axis), their features (K, C + extra) and
        coordinates (K, 3).
    """
    x, y, z, channels = features.shape
    first, second, third = (taps(c, m) for c, m in zip(axes, (x, y, z), strict=True))
    # Of each voxel of an HR plane: four LR voxels in either of two LR planes, and their weights.
    index = (second[0][:, None, :, None] * z + third[0][None, :, None, :]).flatten(2)
    index = torch.cat([index, index + y * z], dim=-1)
    weights = (second[1][:, None, :, None] * third[1][None, :, None, :]).flatten(2)
    table = features.new_empty(2, y * z, channels + extra)
    held = [-1, -1]
    near, near_weights = (part.tolist() for part in first)  # at once: a GPU is waited for
    rows = max(1, chunk // len(axes[2]))
    where = features.new_empty(*weights.shape[:2], 3)
    where[..., 1], where[..., 2] = axes[1][:, None], axes[2]
    for i in planes:
        share = [0.0, 0.0]
        for j, weight in zip(near[i], near_weights[i], strict=True):
            slot = j % 2
            share[slot] += weight
            if weight and held[slot] != j:
                held[slot] = j
                table[slot, :, :channels] = features[j].flatten(0, 1)
                project(table[slot])
        if -1 in held:  # a grid of one plane: what is not there is not read, but must be finite
            table[held.index(-1)] = 0
        both = torch.cat([weights * share[0], weights * share[1]], dim=-1)
        where[..., 0] = axes[0][i]
        for start in range(0, len(axes[1]), rows):
            part = slice(start, start + rows)
            sampled = embedding_bag(
                index[part].flatten(0, 1),
                table.flatten(0, 1),
                per_sample_weights=both[part].flatten(0, 1),
                mode="sum",
            )
            yield i, part, sampled, where[part].flatten(0, 1)


def taps(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two LR neighbours of each coordinate and their weights, shape (n, 2) each.

    A neighbour outside the volume has weight 0, and stands as one inside.
    """
    place = ((coordinates + 1) * m - 1) / 2
    low = place.floor()
    above = place - low
    index = torch.stack([low, low + 1], dim=-1).long()
    weights = torch.stack([1 - above, above], dim=-1)
    weights = torch.where((index >= 0) & (index < m), weights, 0.0)
    return index.clamp(0, m - 1), weights
