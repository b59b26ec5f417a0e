"""A convolutional network applied to a volume tile by tile, with exact seams."""

import itertools
from collections.abc import Callable

import torch


def tile_edge(halo: int, memory_mb: float, bytes_per_voxel: float) -> int:
    """Return the edge of the tiles' cores, so that a tile with its halo fits into memory.

    At least as large as the halo: a smaller core would mostly compute what is thrown away.
    """
    edge = (memory_mb * 2**20 / bytes_per_voxel) ** (1 / 3)
    return max(8, halo, int(edge) - 2 * halo)


def apply_tiled(
    function: Callable[[torch.Tensor], torch.Tensor],
    volume: torch.Tensor,
    halo: int,
    edge: int,
) -> torch.Tensor:
    """Apply `function` to overlapping tiles of a volume.

    The result equals `function(volume)` up to rounding: a tile reaches `halo` voxels beyond its
    core wherever the volume does, and where it does not, the tile ends with the volume, so that
    the network's own zero padding is the same.

    Args:
        function: (1, C, x, y, z) -> (1, C', x, y, z); an output voxel depends on no input voxel
            further than `halo` along any axis.
        volume: Shape (1, C, X, Y, Z).
        halo: See above, in voxels.
        edge: Edge of the tiles' cores, in voxels.

    Returns:
        Shape (1, C', X, Y, Z).
    """
    shape = volume.shape[2:]
    counts = [-(-n // edge) if n > edge + 2 * halo else 1 for n in shape]
    if max(counts) == 1:
        return function(volume)
    cuts = [
        [round(i * n / count) for i in range(count + 1)]
        for n, count in zip(shape, counts, strict=True)
    ]
    output = None
    for place in itertools.product(*(itertools.pairwise(cut) for cut in cuts)):
        low = [max(0, a - halo) for a, _ in place]
        high = [min(n, b + halo) for (_, b), n in zip(place, shape, strict=True)]
        reach = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        tile = function(volume[(..., *reach)])
        core = tuple(slice(a - s, b - s) for (a, b), s in zip(place, low, strict=True))
        if output is None:
            output = torch.empty(
                (1, tile.shape[1], *shape), dtype=tile.dtype, device=tile.device
            ).to(memory_format=torch.channels_last_3d)
        output[(..., *(slice(a, b) for a, b in place))] = tile[(..., *core)]
    return output
