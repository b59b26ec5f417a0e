"""Slices: volumes that are one voxel thick, and their plane."""

from collections.abc import Sequence

import numpy as np

from mrisr.common.errors import InputError
from mrisr.volumes.io import Volume


def thin_axis(shape: Sequence[int], name: str = "slice") -> int:
    """Return the axis along which a volume is one voxel thick.

    Args:
        shape: Shape of the volume.
        name: Name of its file, for messages.

    Raises:
        InputError: There is none.
    """
    thin = [axis for axis, n in enumerate(shape) if n == 1]
    if not thin:
        raise InputError(
            f"{name}: shape {tuple(shape)} where a slice, one voxel thick, is expected; set"
            " degradation.kind: slice and the key slices"
        )
    return thin[0]


def plane(volume: Volume, name: str = "slice") -> np.ndarray:
    """Return the plane of a volume one voxel thick, shape (rows, columns), as a view."""
    axis = thin_axis(volume.data.shape, name)
    return np.squeeze(volume.data, axis)
