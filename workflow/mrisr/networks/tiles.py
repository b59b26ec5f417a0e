"""A convolutional network applied to a volume or a slice tile by tile, with exact seams."""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from mrisr.common.progress import progress

log = logging.getLogger("mrisr")

# Memory of a convolutional network by what its layers hold: the libraries copy to and fro.
WORKSPACE = 1.6
# Not worth a warning, MB.
SMALL_MB = 500

# Voxels from which on a tile's layers are shown as they are done.
LARGE = 2**20

# Voxels that are decoded at once: a core's share of their activations stays in its cache; a GPU
# wants more at once.
CPU_CHUNK, GPU_CHUNK = 2**10, 2**19

# A tile's core and what is around it, along one axis: first voxel and the one after the last.
Span = tuple[int, int]


def plan(shape: Sequence[int], halo: int, voxels: float) -> list[list[tuple[Span, Span]]]:
    """Cut a volume into the tiles that cost least among those that fit.

    Tiles overlap by twice the halo and what is computed twice is thrown away, so that few cuts
    along few axes are cheap and cubes are dear.

    Args:
        shape: Shape of the volume.
        halo: How many voxels a tile reaches beyond its core, where the volume does.
        voxels: That a tile may have, its halo included. Where even the smallest tile has more,
            that one is taken.

    Returns:
        For each axis the core of every tile and its reach.
    """
    ways = [[_cut(n, halo, count) for count in _counts(n // max(8, halo) + 1)] for n in shape]
    # Of each way: voxels computed along the axis, and those of its largest tile.
    costs = [
        [
            (sum(b - a for _, (a, b) in way), max(b - a for _, (a, b) in way), way)
            for way in ways_of_axis
        ]
        for ways_of_axis in ways
    ]
    best = min(
        itertools.product(*costs),
        key=lambda chosen: (
            max(voxels, math.prod(largest for _, largest, _ in chosen)),
            math.prod(total for total, _, _ in chosen),
        ),
    )
    return [way for _, _, way in best]


def within(
    model: torch.nn.Module, shape: Sequence[int], memory_mb: float
) -> list[list[tuple[Span, Span]]]:
    """Plan the tiles that a network is applied in, so that its layers stay within a memory.

    Args:
        model: With `halo`, and optionally `channels_alive`; see `mrisr.methods.method`.
        shape: Shape of the volume or slice.
        memory_mb: That they may take. Where even the smallest tiles need more, a warning says so.
    """
    dimensions = len(shape)
    widest = max((p.shape[0] for p in model.parameters() if p.dim() == 2 + dimensions), default=1)
    alive = getattr(model, "channels_alive", 4 * widest)
    per_voxel = 4 * alive * WORKSPACE / 2**20
    tiles = plan(shape, model.halo, memory_mb / per_voxel)  # type: ignore[arg-type]
    needed = largest(tiles) * per_voxel
    if needed > max(memory_mb, SMALL_MB):
        log.warning(
            "the network needs about %.0f MB, more than the memory it was given; give it more, or"
            " the job may be ended",
            needed,
        )
    return tiles


def channels_last(dimensions: int) -> torch.memory_format:
    """Return the memory format in which a CPU convolves images of 2 or 3 dimensions fastest."""
    return torch.channels_last_3d if dimensions == 3 else torch.channels_last


def convert(network: torch.nn.Module, device: torch.device | str) -> torch.nn.Module:
    """Move a network to a device, its convolutions in `channels_last`."""
    flat = not any(p.dim() == 5 for p in network.parameters())
    form = channels_last(2 if flat else 3)
    return network.to(device, memory_format=form)  # type: ignore[call-overload]


@contextmanager
def _layers(function: Callable, description: str | None) -> Iterator[None]:
    """Show the convolutions of a network as they are done, which may take a minute.

    Args:
        function: The network or a method of it; else nothing is shown.
        description: What is done; None shows nothing.
    """
    network = getattr(function, "__self__", function)
    if description is None or not isinstance(network, torch.nn.Module):
        yield
        return
    kinds = torch.nn.Conv2d, torch.nn.Conv3d
    found = [layer for layer in network.modules() if isinstance(layer, kinds)]
    steps = progress(range(len(found)), description)
    next(steps, None)  # the bar appears

    def done(*_: object) -> None:
        next(steps, None)

    hooks = [layer.register_forward_hook(done) for layer in found]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _counts(most: int) -> list[int]:
    """Return how many tiles an axis may have: not every number, there are three axes to combine."""
    return [c for c in range(1, most + 1) if c <= 6 or c == most or not c & (c - 1)]


def _cut(n: int, halo: int, count: int) -> list[tuple[Span, Span]]:
    cuts = [round(i * n / count) for i in range(count + 1)]
    return [((a, b), (max(0, a - halo), min(n, b + halo))) for a, b in itertools.pairwise(cuts)]


def largest(tiles: list[list[tuple[Span, Span]]]) -> int:
    """Return the voxels of the largest tile of a plan."""
    return math.prod(max(b - a for _, (a, b) in axis) for axis in tiles)


def apply_tiled(
    function: Callable[[torch.Tensor], torch.Tensor],
    volume: torch.Tensor,
    tiles: list[list[tuple[Span, Span]]],
    description: str = "tiles",
    factor: int = 1,
) -> torch.Tensor:
    """Apply `function` to overlapping tiles of a volume or a slice.

    The result equals `function(volume)` up to rounding: where the volume ends, the tile ends with
    it, so that the network's own zero padding is the same.

    Args:
        function: (1, C, x, y, z) -> (1, C', x, y, z), z left out in 2-D; an output voxel depends
            on no input voxel further than the plan's halo along any axis.
        volume: Shape (1, C, X, Y, Z), Z left out in 2-D.
        tiles: See `plan`.
        description: What is done, for the progress.
        factor: By how much the output is larger along every axis.

    Returns:
        Shape (1, C', factor X, factor Y, factor Z).
    """
    if math.prod(map(len, tiles)) == 1:
        with _layers(function, description if volume.numel() >= LARGE else None):
            return function(volume)
    output = None
    for place in progress(list(itertools.product(*tiles)), description):
        core = tuple(slice(factor * a, factor * b) for (a, b), _ in place)
        tile = function(volume[(..., *(slice(*reach) for _, reach in place))])  # type: ignore[index]
        inner = tuple(slice(factor * (a - low), factor * (b - low)) for (a, b), (low, _) in place)
        if output is None:
            output = torch.empty(
                (1, tile.shape[1], *(factor * n for n in volume.shape[2:])),
                dtype=tile.dtype,
                device=tile.device,
                memory_format=channels_last(volume.dim() - 2),
            )
        output[(..., *core)] = tile[(..., *inner)]  # type: ignore[index]
    assert output is not None  # a volume has a tile
    return output
