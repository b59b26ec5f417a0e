"""Which raw intensities become 0 and 1 where a dataset says so; else 0 stays, the maximum is 1."""

from collections.abc import Mapping

import numpy as np

# Of an intensity: voxels as near as this to black are black (float32 and slopes of headers round).
NEAR = 1e-5


def white_part(intensity: Mapping) -> float | None:
    """Return which part of the voxels above 0 lies below white, e.g. 0.999; None for the maximum.

    Args:
        intensity: Of a dataset file: `white`, such as `99.9 %`, and `black`, a number.
    """
    white = intensity.get("white")
    return None if white is None else float(white.rstrip(" %")) / 100


def without_black(data: np.ndarray, intensity: Mapping) -> np.ndarray:
    """Return intensities with black taken away: it and what is darker become 0.

    Args:
        data: Raw intensities, float32.
        intensity: See `white_part`; without `black` the data are returned as they are.
    """
    black = float(intensity.get("black", 0))
    if not black:
        return data
    dark = data <= black + NEAR * abs(black)
    return np.where(dark, np.float32(0), data - np.float32(black))


def white_level(data: np.ndarray, intensity: Mapping) -> float:
    """Return the intensity that becomes 1.

    Args:
        data: Intensities, black taken away.
        intensity: See `white_part`.
    """
    part = white_part(intensity)
    if part is None or not (data > 0).any():
        return float(data.max())
    return float(np.quantile(data[data > 0], part))
