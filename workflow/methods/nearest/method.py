"""Nearest-neighbour interpolation: the lower bound of every table."""

import numpy as np

from mrisr.degrade.resample import lr_positions
from mrisr.reconstruct.apply import Query
from mrisr.volumes.io import Volume


def reconstruct(lr: Volume, query: Query, model: None = None) -> np.ndarray:
    """Give every HR voxel the intensity of the LR voxel whose centre is nearest."""
    index = [
        np.clip(np.floor(lr_positions(n, m, query.grid) + 0.5).astype(int), 0, m - 1)
        for n, m in zip(query.shape, lr.data.shape, strict=True)
    ]
    return lr.data[np.ix_(*index)]
