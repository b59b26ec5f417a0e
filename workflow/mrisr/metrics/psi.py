"""Perceptual sharpness index."""

import math
from typing import TYPE_CHECKING

import numpy as np

from mrisr.metrics._metadata import Metadata

if TYPE_CHECKING:
    import torch

METADATA = Metadata(
    label="PSI",
    unit="",
    better="higher",
    range=(0.0, 1.0),
    reference=False,
    regions=("volume", "through_plane"),
    doi="10.1109/LSP.2012.2235828",
    slices=True,
    min_size=3,
    unmeasured=0.0,  # no edge to measure
    margin=0.005,
)
BLOCK = 32
PERCENTILE = 22
MAX_ANGLE = 8.0  # degrees off the vertical, for an edge to be measured
WIDE, MIN_BLOCK_SUM = 3.0, 2.0
TIE = 8 * 100 * np.finfo(np.float64).eps  # for 8 times the derivatives


def psi(image: np.ndarray, data_range: float = 255.0, *, device: str = "cpu") -> float | np.ndarray:
    """Return the sharpness of slices from the widths of their horizontal edges.

    Feichtenhofer, Fassold, Schallauer, IEEE SPL 2013, percentile 22: edges as MATLAB's Sobel
    detector finds them, widths along the column, averaged in blocks of 32 x 32. Only the
    sharpest blocks count.

    Args:
        image: Shape (H, W) or (N, H, W), values 0 to `data_range`. Computed in float64.
        data_range: What stands for white.
        device: Where to compute, `cpu` or `cuda`.

    Returns:
        A float, or shape (N,): 0 (blurred; constant; or under 96 x 96 pixels, which have no inner
        block) to about 1 (sharp).

    Raises:
        InputError: Not 2-D, too small, or NaN or infinite values.
    """
    import torch

    from mrisr.metrics._slices import batches, checked, result

    single, (slices,) = checked("PSI", METADATA.min_size, image)
    # Columns become contiguous: edges are walked along them.
    columns = slices.transpose(0, 2, 1)
    return result(
        single,
        [_score(x * (255.0 / data_range)) for (x,) in batches(device, torch.float64, columns)],
    )


def _score(x: "torch.Tensor") -> "torch.Tensor":
    """Return the index of transposed slices (N, W, H) in 0..255, shape (N,)."""
    import torch

    count, width, height = x.shape
    inner = width // BLOCK - 2, height // BLOCK - 2
    if min(inner) < 1:
        return x.new_zeros(count)
    pixel, sign, slope = _horizontal_edges(x)
    edge_width, known = _widths(x, pixel, sign, slope)
    pixel, edge_width = pixel[known], edge_width[known]

    # Mean width of each inner block that has edges enough.
    plane, rest = pixel // (width * height), pixel % (width * height)
    block = plane * inner[0] + rest // height // BLOCK - 1
    block = block * inner[1] + rest % height // BLOCK - 1
    number = count * inner[0] * inner[1]
    sums = x.new_zeros(number).index_add_(0, block, edge_width)
    counts = x.new_zeros(number).index_add_(0, block, (edge_width != 0).to(x.dtype))
    valid = sums >= MIN_BLOCK_SUM
    means = torch.where(valid, sums / counts, torch.inf).view(count, -1).sort(1).values
    taken = torch.ceil(PERCENTILE / 100 * valid.view(count, -1).sum(1)).to(x.dtype)
    rank = torch.arange(means.shape[1], device=x.device)
    total = torch.where(rank < taken[:, None], means, 0).sum(1)
    return torch.where(taken > 0, taken / total, 0)


def _horizontal_edges(
    x: "torch.Tensor",
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Find edge pixels of (N, W, H) in inner blocks whose gradient is within 8 degrees of vertical.

    Returns:
        Flat indices; +1.0 where intensity grows downward, else -1.0; and the cosine of the angle
        between the gradient and the vertical.
    """
    import torch

    from mrisr.metrics._slices import nonzero

    _, width, height = x.shape
    padded = torch.nn.functional.pad(x[None], (1, 1, 1, 1), mode="replicate")[0]
    along = (padded[:, :, :-2] + padded[:, :, 2:]).add_(padded[:, :, 1:-1], alpha=2)
    across = (padded[:, :-2] + padded[:, 2:]).add_(padded[:, 1:-1], alpha=2)
    # 8 times the derivatives: only their order matters, and a power of two rounds nothing.
    bx = along[:, :-2] - along[:, 2:]
    by = across[:, :, :-2] - across[:, :, 2:]
    strength = bx * bx
    strength += by * by
    cutoff = 4 * strength.mean((1, 2), keepdim=True)

    columns, rows = (width // BLOCK - 2) * BLOCK, (height // BLOCK - 2) * BLOCK
    at = nonzero(strength[:, BLOCK : BLOCK + columns, BLOCK : BLOCK + rows] > cutoff)
    plane, rest = at // (columns * rows), at % (columns * rows)
    at = (plane * width + rest // rows + BLOCK) * height + rest % rows + BLOCK
    # Inner blocks have neighbours on all sides.
    x, strength = x.flatten(), strength.flatten()
    gy, gx = x[at + 1] - x[at - 1], x[at + height] - x[at - height]
    sign = torch.where(gy > 0, 1.0, -1.0).to(x.dtype)
    angle = torch.atan2(gx, gy.abs())
    near = angle.abs() < math.radians(MAX_ANGLE)
    at, sign, angle = at[near], sign[near], angle[near]
    here, bx, by = strength[at], bx.flatten()[at].abs(), by.flatten()[at].abs()
    vertical = (bx >= by - TIE) & (strength[at - height] <= here) & (here > strength[at + height])
    horizontal = (by >= bx - TIE) & (strength[at - 1] <= here) & (here > strength[at + 1])
    found = vertical | horizontal
    return at[found], sign[found], torch.cos(angle[found])


def _widths(
    x: "torch.Tensor", pixel: "torch.Tensor", sign: "torch.Tensor", slope: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the widths of edges along their columns, and which of them end before the border.

    Args:
        x: Shape (N, W, H), 0 to 255.
        pixel: Flat indices of edge pixels, `BLOCK` or more from the border.
        sign: +1.0 where intensity grows downward, else -1.0.
        slope: Cosine of the angle between the gradient and the vertical.
    """
    import torch

    height = x.shape[2]
    flat, row = x.flatten(), pixel % height
    up, down = _run(flat, pixel, -sign, -1, BLOCK // 2), _run(flat, pixel, sign, 1, BLOCK // 2)
    for steps, way in ((up, -1), (down, 1)):
        long = (steps == BLOCK // 2).nonzero()[:, 0]
        if len(long):
            steps[long] = _run(flat, pixel[long], way * sign[long], way, height)
    known = (up < row) & (down < height - 1 - row)
    width = (up + down).to(x.dtype) / slope
    contrast = (flat[pixel + down] - flat[pixel - up]).abs() / 255
    return torch.where(width >= WIDE, width - contrast / width, width), known


def _run(
    flat: "torch.Tensor", pixel: "torch.Tensor", sign: "torch.Tensor", way: int, most: int
) -> "torch.Tensor":
    """Return how many steps from each pixel the intensity strictly grows (times `sign`).

    Args:
        flat: Columns one after the other.
        pixel: Where to start.
        sign: +1.0 to count growing steps, -1.0 for falling ones.
        way: +1 down the column, -1 up.
        most: Steps looked at. Steps beyond the column count too: such edges are dropped.
    """
    import torch

    at = pixel[:, None] + way * torch.arange(most + 1, device=flat.device)
    brightness = flat[at.clamp_(0, len(flat) - 1)] * sign[:, None]
    # A step that ends the run stands behind the last one looked at.
    ends = torch.nn.functional.pad(brightness[:, 1:] <= brightness[:, :-1], (0, 1), value=True)
    return ends.to(torch.uint8).argmax(1)
