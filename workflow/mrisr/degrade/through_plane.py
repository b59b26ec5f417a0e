"""Thick slices as a scanner acquires them: one matrix along the slice axis.

Samples of a line along the axis are weighted by the slice profile around the centre of each slice.
Slice j of m lies at (j + 1/2) n/m - 1/2 among n samples, so that the field of view is kept at any
ratio. Nothing changes in the plane.
"""

from functools import lru_cache

import numpy as np

from mrisr.degrade.acquisition import PROFILES, Acquisition
from mrisr.degrade.kernels import FWHM

# A Gaussian is cut at so many sigma, as are those of stacks.
CUT = 3.0
# Of the windowed sinc pulse: time-bandwidth product, share of Hamming's cosine, how far the profile
# is followed in thicknesses, and points of the numerical integral.
TIME_BANDWIDTH, HAMMING, REACH, POINTS = 4.0, 0.46, 2.0, 401
# Points in a voxel over which a sinc pulse's profile is averaged.
FINE = 16


def slices(n: int, acquisition: Acquisition) -> int:
    """Return the number of slices that cover `n` samples, at least one."""
    return max(1, round(n / acquisition.spacing))


def fitted(n: int, acquisition: Acquisition) -> Acquisition:
    """Return the acquisition whose slices cover `n` samples exactly.

    Thickness and gap change by the same factor, less than half a slice over all slices together.
    """
    factor = n / slices(n, acquisition) / acquisition.spacing
    return Acquisition(acquisition.thickness * factor, acquisition.gap * factor)


@lru_cache(maxsize=256)
def profile_matrix(n: int, m: int, thickness: float, profile: str = "gaussian") -> np.ndarray:
    """Return the matrix of `m` thick slices over `n` samples.

    Args:
        n: Samples of the axis.
        m: Slices, at (j + 1/2) n/m - 1/2.
        thickness: Full width at half maximum of the profile, in samples.
        profile: `gaussian` (cut at 3 sigma), `rect`, or `sinc`: what a sinc pulse under a Hamming
            window excites (time-bandwidth product 4, small flip angle), with its soft edges and
            its lobes below 0.

    Returns:
        float64, shape (m, n), rows of sum 1, read-only.

    Raises:
        ValueError: Another profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r}: one of {', '.join(PROFILES)}")
    centres = (np.arange(m) + 0.5) * (n / m) - 0.5
    distance = np.arange(n)[None, :] - centres[:, None]
    if profile == "gaussian":
        sigma = thickness / FWHM
        weights = np.exp(-0.5 * (distance / sigma) ** 2)
        # A slice thinner than a sample is the nearest samples, not none.
        weights[abs(distance) > max(CUT * sigma, 0.5)] = 0
    elif profile == "rect":
        ends = np.minimum(distance + 0.5, thickness / 2), np.maximum(distance - 0.5, -thickness / 2)
        weights = np.maximum(ends[0] - ends[1], 0)
    else:
        part = (np.arange(FINE) + 0.5) / FINE - 0.5
        weights = _sinc_pulse((distance[..., None] + part) / thickness).mean(axis=-1)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return weights


def _sinc_pulse(z: np.ndarray) -> np.ndarray:
    """Return the excited magnetisation at places in thicknesses, 1/2 at the edges of the slice."""
    time = np.linspace(-TIME_BANDWIDTH / 2, TIME_BANDWIDTH / 2, POINTS)
    window = 1 - HAMMING + HAMMING * np.cos(2 * np.pi * time / TIME_BANDWIDTH)
    pulse = window * np.sinc(time) * (time[1] - time[0])
    # The profile is even: it is computed on a fine grid once, and looked up.
    places = np.linspace(0, REACH, 512)
    values = np.cos(2 * np.pi * places[:, None] * time) @ pulse
    return np.interp(abs(z), places, values, right=0.0)


def sidecar(acquisition: Acquisition, voxel: float) -> dict[str, float]:
    """Return what BIDS says of slices, in mm: `SliceThickness` and `SpacingBetweenSlices`.

    Args:
        acquisition: In voxels of the ground truth.
        voxel: Size of these voxels along the slice axis in mm.
    """
    return {
        "SliceThickness": round(acquisition.thickness * voxel, 6),
        "SpacingBetweenSlices": round(acquisition.spacing * voxel, 6),
    }
