"""Each stack up-sampled by cubic B-splines in the common space, then averaged: IREM's baseline."""

from collections.abc import Mapping

import numpy as np

from mrisr.reconstruct.apply import Query
from mrisr.volumes.io import Volume
from mrisr.volumes.stacks import average


def reconstruct(lr: Mapping[str, Volume], query: Query, model: None = None) -> np.ndarray:
    """Average the interpolated stacks on the SR grid."""
    return average(lr, query.shape, query.affine)
