"""Bicubic interpolation of slices, the Coord paper's baseline (Keys' kernel, a = -0.5)."""

import numpy as np

from mrisr.degrade.resample import upsample
from mrisr.reconstruct.apply import Query
from mrisr.volumes.io import Volume


def reconstruct(lr: Volume, query: Query, model: None = None) -> np.ndarray:
    """Interpolate the LR slice to the grid of the ground truth."""
    return upsample(lr.data, query.shape, query.grid, "bicubic")
