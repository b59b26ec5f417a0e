"""The mean of a network's results for a volume and its mirror images."""

from collections.abc import Callable
from itertools import product

import numpy as np

from mrisr.volumes.io import Volume

#: The eight choices of axes to mirror.
FLIPS = tuple(
    tuple(axis for axis, mirrored in enumerate(chosen) if mirrored)
    for chosen in product((False, True), repeat=3)
)


def over_flips(apply: Callable[[Volume], Volume], lr: Volume) -> Volume:
    """Return the mean SR volume over the eight mirror images of an LR volume.

    Args:
        apply: Function from LR volume to SR volume; its grid must not prefer a side.
        lr: Shape (x, y, z).

    Returns:
        The mean, with shape and affine of `apply(lr)`.
    """
    made = None
    for axes in FLIPS:
        mirrored = Volume(np.ascontiguousarray(np.flip(lr.data, axes)), lr.affine, stored=lr.stored)
        back = apply(mirrored)
        data = np.flip(back.data, axes)
        made = data.astype(np.float32) if made is None else made + data
    return Volume(made / np.float32(len(FLIPS)), back.affine)
