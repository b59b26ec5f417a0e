"""Coordinates of HR voxels along an axis, in the form that query networks take."""

import numpy as np

from mrisr.degrade.resample import lr_positions


def query_coordinates(n: int, m: int, coordinates: str, grid: str) -> np.ndarray:
    """Return the coordinate in [-1,1] at which each of `n` HR voxels of an axis is queried.

    -1 and 1 are the outer edges of the `m` LR voxels, as in `grid_sample(align_corners=False)`.

    Args:
        n: Number of HR voxels of the axis.
        m: Number of LR voxels of the axis.
        coordinates: `edges` (published ArSSR: HR and LR share their edges, whatever the degradation
            did) or `grid` (the places where the degradation put the voxels).
        grid: Convention of the degradation, `corners` or `centres`.

    Returns:
        float64, shape (n,).
    """
    used = "centres" if coordinates == "edges" else grid
    return (2 * lr_positions(n, m, used) + 1) / m - 1
