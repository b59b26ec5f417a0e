"""Visual information fidelity, in the pixel domain."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mrisr.metrics._metadata import Metadata

if TYPE_CHECKING:
    import torch

METADATA = Metadata(
    label="VIF",
    unit="",
    better="higher",
    range=(0.0, float("inf")),
    reference=True,
    regions=("volume", "through_plane"),
    doi="10.1109/TIP.2005.859378",
    slices=True,
    min_size=41,
    margin=0.005,
)
SCALES = 4
NOISE = 2.0  # variance of the visual noise, in units of 0..255
TINY = 1e-10
BLOCK = 32


def vif(
    reference: np.ndarray,
    image: np.ndarray,
    data_range: float = 255.0,
    *,
    device: str = "cpu",
) -> float | np.ndarray:
    """Return the visual information that slices share with the ground truth, pixel domain.

    Sheikh and Bovik, IEEE TIP 2006, four scales of Gaussian windows, noise variance 2.

    Args:
        reference: Ground truth, shape (H, W) or (N, H, W), at least 41 x 41, 0 to `data_range`.
        image: What is compared with it, same shape and unit. Both are computed in float64.
        data_range: What stands for white.
        device: Where to compute, `cpu` or `cuda`.

    Returns:
        A float, or shape (N,): 1 for equal slices, above 1 where contrast is enhanced. A constant
        reference holds no information: 1 if the slice equals it, else 0.

    Raises:
        InputError: Not 2-D, shapes differ, too small, or NaN or infinite values.
    """
    import torch

    from mrisr.metrics._slices import batches, checked, result

    single, pair = checked("VIF", METADATA.min_size, reference, image)
    gain = 255.0 / data_range
    return result(
        single,
        [_score(r * gain, d * gain) for r, d in batches(device, torch.float64, *pair)],
    )


def _score(reference: "torch.Tensor", image: "torch.Tensor") -> "torch.Tensor":
    """Return the VIF of slices (N, H, W) in 0..255, shape (N,)."""
    import torch

    equal = (reference == image).flatten(1).all(1)
    constant = reference.amax((1, 2)) == reference.amin((1, 2))
    # Rows first: (H, maps, W) lets both filter passes run as matrix products on views.
    pair = torch.stack([reference, image], 1).permute(2, 0, 1, 3).contiguous()
    shared = held = reference.new_zeros(len(reference))
    for scale in range(1, SCALES + 1):
        taps = 2 ** (SCALES + 1 - scale) + 1
        if scale > 1:
            pair = _filtered(pair, taps, 2)
        information = _information(pair[:, :, 0], pair[:, :, 1], taps)
        shared, held = shared + information[0], held + information[1]
    score = torch.where(held > 0, shared / held.clamp(min=1e-300), 0)
    return torch.where(equal, 1, torch.where(constant, 0, score))


def _information(
    r: "torch.Tensor", d: "torch.Tensor", taps: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return what image and reference hold at one scale, each summed over a slice, shape (N,)."""
    import torch

    maps = torch.stack([r, d, r * r, d * d, r * d], 2)
    mean_r, mean_d, rr, dd, rd = _filtered(maps, taps, 1).unbind(2)
    var_r = (rr - mean_r * mean_r).clamp_(min=0)
    var_d = (dd - mean_d * mean_d).clamp_(min=0)
    cov = rd - mean_r * mean_d
    gain = cov / (var_r + TINY)
    left = var_d - gain * cov
    # The order of these repairs is part of the definition.
    flat_r = var_r < TINY
    gain.masked_fill_(flat_r, 0)
    left = torch.where(flat_r, var_d, left)
    var_r.masked_fill_(flat_r, 0)
    flat_d = var_d < TINY
    gain.masked_fill_(flat_d, 0)
    left.masked_fill_(flat_d, 0)
    inverted = gain < 0
    left = torch.where(inverted, var_d, left)
    gain.masked_fill_(inverted, 0)
    left.clamp_(min=TINY)
    shared = torch.log10(1 + gain * gain * var_r / (left + NOISE))
    held = torch.log10(1 + var_r / NOISE)
    return shared.sum((0, 2)), held.sum((0, 2))


def _filtered(maps: "torch.Tensor", taps: int, step: int) -> "torch.Tensor":
    """Filter (H, ..., W) with a Gaussian along H and W, `valid`, keeping every `step`-th sample."""
    inner = maps.shape[1:-1]
    width = maps.shape[-1]
    rows = _banded(maps.reshape(maps.shape[0], -1).T, taps, step).T
    rows = rows.reshape(-1, width)
    return _banded(rows, taps, step).reshape(-1, *inner, (width - taps) // step + 1)


def _banded(data: "torch.Tensor", taps: int, step: int) -> "torch.Tensor":
    """Filter (M, W) along W as products with blocks of the banded matrix of the filter."""
    import torch

    outputs = (data.shape[1] - taps) // step + 1
    kernel = _blocks(taps, step, data.dtype, data.device)
    found = torch.empty((data.shape[0], outputs), dtype=data.dtype, device=data.device)
    for start in range(0, outputs, BLOCK):
        stop = min(start + BLOCK, outputs)
        size = (stop - start - 1) * step + taps
        first = start * step
        torch.mm(
            data[:, first : first + size],
            kernel[:size, : stop - start],
            out=found[:, start:stop],
        )
    return found


@lru_cache(maxsize=32)
def _blocks(taps: int, step: int, dtype: "torch.dtype", device: "torch.device") -> "torch.Tensor":
    """Return the matrix whose column j holds the filter from row j * step on."""
    import torch

    at = np.arange(taps) - taps // 2
    window = np.exp(-(at**2) / (2 * (taps / 5) ** 2))
    matrix = np.zeros(((BLOCK - 1) * step + taps, BLOCK))
    for column in range(BLOCK):
        matrix[column * step : column * step + taps, column] = window / window.sum()
    return torch.from_numpy(matrix).to(device, dtype)
