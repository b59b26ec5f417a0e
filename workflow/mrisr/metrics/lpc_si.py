"""Local phase coherence based sharpness index."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mrisr.metrics._metadata import Metadata

if TYPE_CHECKING:
    import torch

METADATA = Metadata(
    label="LPC-SI",
    unit="",
    better="higher",
    range=(0.0, 1.0),
    reference=False,
    regions=("volume", "through_plane"),
    doi="10.1109/TIP.2013.2251643",
    slices=True,
    min_size=8,
    margin=0.005,
)
SETTINGS = {
    "sigma": {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.33,
        "description": "bandwidth of its filters; copies of the authors' code carry 0.33 and 0.75",
    }
}
SCALES = (1.0, 1.5, 2.0)
ORIENTATIONS = 8
C, BETA = 2.0, 1e-4
# Ranks beyond this share of all pixels weigh less than exp(-40).
KEPT = 40 * BETA


def lpc_si(
    image: np.ndarray,
    sigma: float = 0.33,
    data_range: float = 255.0,
    *,
    device: str = "cpu",
) -> float | np.ndarray:
    """Return the sharpness of slices from the coherence of local phase across scales.

    Hassen, Wang, Salama, IEEE TIP 2013: 3 scales (1, 1.5, 2), 8 orientations, C = 2, beta = 1e-4.

    Args:
        image: Shape (H, W) or (N, H, W), at least 8 x 8, values 0 to `data_range`. float32 is
            computed as such (scores to 1e-5), all else in float64.
        sigma: Bandwidth of the log-Gabor filters, 0 to 1. With 0.33 blurred images score near
            0.93, as in the papers.
        data_range: What stands for white. The index depends on it: C is in units of 0..255.
        device: Where to compute, `cpu` or `cuda`.

    Returns:
        0 (blurred, or constant) to 1 (sharp): a float, or shape (N,).

    Raises:
        InputError: Not 2-D, too small, or NaN or infinite values.
    """
    from mrisr.metrics._slices import batches, checked, result

    single, (slices,) = checked("LPC-SI", METADATA.min_size, image)
    return result(
        single,
        [_score(x * (255.0 / data_range), sigma) for (x,) in batches(device, None, slices)],
    )


def _score(x: "torch.Tensor", sigma: float) -> "torch.Tensor":
    """Return the index of slices (N, H, W) in 0..255, shape (N,)."""
    import torch

    from mrisr.metrics._slices import nonzero

    count, height, width = x.shape
    border = math.floor(min(height, width) / 16 + 0.5)
    rows, columns = height - 2 * border, width - 2 * border
    pixels = rows * columns
    filters = _filters(height, width, sigma, x.dtype, x.device)
    spectrum = torch.view_as_real(torch.fft.fft2(x))[:, None]

    def response(scale: int) -> torch.Tensor:
        """Return the filtered slices, complex, shape (N, 8, H, W)."""
        return torch.fft.ifft2(torch.view_as_complex(spectrum * filters[scale]))

    # Energy at the finest scale; it is nonzero at few pixels, and only there phases count.
    fine = response(0)
    inner = torch.view_as_real(fine)[:, :, border : height - border, border : width - border]
    squares = inner * inner
    power = squares[..., 0] + squares[..., 1]
    energy = power.sqrt()
    mean = energy.mean((-2, -1), keepdim=True)
    spread = power.mean((-2, -1), keepdim=True) - mean**2
    deviation = (spread.clamp(min=0) * (pixels / max(pixels - 1, 1))).sqrt()
    energy = energy.sub_(mean + 2 * deviation).clamp_(min=0)
    at = nonzero(energy)
    plane, pixel = at // pixels, at % pixels
    whole = (plane * height + pixel // columns + border) * width + pixel % columns + border

    phase = _unit(fine.flatten()[whole])
    phase = phase * _unit(response(1).flatten()[whole]).conj() ** 3
    phase = phase * _unit(response(2).flatten()[whole]) ** 2
    coherence = phase.real.clamp(min=0)
    total = energy.new_zeros(count * pixels)
    slice_pixel = plane // ORIENTATIONS * pixels + pixel
    total.index_add_(0, slice_pixel, coherence * energy.flatten()[at])
    coherent = total.view(count, pixels) / (energy.sum(1).view(count, pixels) + C)

    kept = min(pixels, math.ceil(KEPT * (pixels - 1)) + 1)
    strongest = coherent.topk(kept, dim=1).values.double()
    rank = torch.arange(kept, device=x.device, dtype=torch.float64)
    weight = torch.exp(-rank / max(pixels - 1, 1) / BETA)
    score = (strongest * weight).sum(1) / weight.sum()
    constant = x.amax((1, 2)) == x.amin((1, 2))
    return score.masked_fill(constant, 0)


def _unit(z: "torch.Tensor") -> "torch.Tensor":
    """Return complex numbers with modulus 1 and the same argument; 0 becomes 1."""
    import torch

    modulus = z.abs()
    return torch.where(modulus > 0, z / modulus, 1)


# One shape a direction; a set of filters takes some 10 MB.
@lru_cache(maxsize=4)
def _filters(
    height: int, width: int, sigma: float, dtype: "torch.dtype", device: "torch.device"
) -> "torch.Tensor":
    """Return the log-Gabor filters, one-sided in angle, shape (3 scales, 8, H, W, 2).

    The last axis repeats each value for the real and the imaginary part, so that spectra are
    multiplied as real numbers.
    """
    import torch

    y, x = np.meshgrid(_axis(height), _axis(width), indexing="ij")
    radius = np.fft.ifftshift(np.hypot(x, y))
    angle = np.fft.ifftshift(np.arctan2(-y, x))
    radius[0, 0] = 1
    wrapped = [
        np.angle(np.exp(1j * (angle - o * np.pi / ORIENTATIONS))) for o in range(ORIENTATIONS)
    ]
    angular = np.exp(-(np.array(wrapped) ** 2) / (2 * (np.pi / 12) ** 2))
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radial = [
        np.exp(-(np.log(radius * 4 * scale) ** 2) / (2 * np.log(sigma) ** 2)) * low_pass
        for scale in SCALES
    ]
    filters = np.array(radial)[:, None] * angular
    filters[..., 0, 0] = 0
    return torch.from_numpy(filters).to(device, dtype)[..., None].repeat(1, 1, 1, 1, 2)


def _axis(n: int) -> np.ndarray:
    """Return the frequencies of an axis, in cycles a pixel, as the authors' code has them."""
    return np.arange(-(n // 2), n - n // 2) / (n - n % 2)
