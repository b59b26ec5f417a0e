"""The straight line that explains most of an image by its reference."""

import numpy as np

from mrisr.common.errors import InputError
from mrisr.metrics._pair import checked, data_range

PART = 1 << 18


def fit(
    reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, float]:
    """Fit image = gain * reference + offset by least squares over voxels.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero where it is fitted; None for the whole volume.

    Returns:
        Gain, and offset in fractions of max - min of the whole reference. An image that equals
        the reference has 1 and 0, also where the reference is constant.

    Raises:
        InputError: Shapes differ, a value is not finite, the mask is empty, or the reference is
            constant there while the image differs from it.
    """
    reference, image, mask = checked(reference, image, mask)
    inside = (reference, image) if mask is None else (reference[mask], image[mask])
    if np.array_equal(*inside):
        return 1.0, 0.0
    extent = data_range(reference, "the fit of SR on ground truth")
    voxels = [a.ravel() for a in inside]
    middle_x, middle_y = (float(a.mean(dtype=np.float64)) for a in voxels)
    xx = xy = 0.0
    # In parts: the sums need float64, and the volumes in it would take gigabytes.
    for start in range(0, voxels[0].size, PART):
        x, y = (a[start : start + PART].astype(np.float64) for a in voxels)
        x -= middle_x
        xx += float(x @ x)
        xy += float(x @ (y - middle_y))
    if np.ptp(inside[0]) == 0:
        raise InputError(
            "reference: constant inside the mask, so the fit of SR on ground truth is not defined;"
            " make the mask again, or leave the region out"
        )
    gain = xy / xx
    return float(gain), float((middle_y - gain * middle_x) / extent)
