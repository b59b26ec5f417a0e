"""The voxels where a ground truth has its edges: where blur and ringing are."""

import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError

#: Share of the voxels that are edges.
SHARE = 0.1
#: Standard deviation in voxels of the Gaussian whose gradient is taken: noise is no edge.
SIGMA = 1.0
#: Voxels this near to the rim of a mask are left out. A brain ends there, which is no edge in it.
RIM = 2


def edges(truth: np.ndarray, mask: np.ndarray | None, least: float) -> np.ndarray:
    """Return the tenth of the voxels with the steepest gradient.

    Args:
        truth: Ground truth, shape (X, Y, Z), any unit; axes of length 1 are left out.
        mask: Nonzero where edges are looked for, or None.
        least: Without mask, voxels above this are looked at.

    Returns:
        bool, same shape.

    Raises:
        InputError: There are no edges.
    """
    data = np.asarray(truth, np.float32).squeeze()
    within = data > least if mask is None else np.asarray(mask).reshape(data.shape) != 0
    if mask is not None:
        inner = ndimage.binary_erosion(within, iterations=RIM)
        within = inner if inner.any() else within
    steep = ndimage.gaussian_gradient_magnitude(data, SIGMA)
    found = np.zeros(data.shape, bool)
    if within.any():
        found = within & (steep > 0) & (steep >= np.quantile(steep[within], 1 - SHARE))
    if not found.any():
        raise InputError(
            "the ground truth has no edges: it is constant; look at it, or leave the region"
            " 'edges' out of the config's key regions"
        )
    return found.reshape(np.shape(truth))
