"""Checks and quantities that metrics of a pair of volumes share."""

import numpy as np

from mrisr.common.errors import InputError


def checked(
    reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return two volumes and a mask fit for a metric: same shape, finite, axes of length 1 dropped.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero inside, same shape, or None.

    Returns:
        Both as floating point (integers become float64) and the mask as bool, or None.

    Raises:
        InputError: Shapes differ, a value is NaN or infinite, or the mask is empty.
    """
    reference, image = (
        a if a.dtype in (np.float32, np.float64) else a.astype(np.float64)
        for a in (np.asarray(reference), np.asarray(image))
    )
    if reference.shape != image.shape:
        raise InputError(
            f"image: shape {image.shape}, but the reference has {reference.shape};"
            " reconstruct on the grid of the ground truth"
        )
    for name, data in (("reference", reference), ("image", image)):
        if not np.isfinite(data).all():
            raise InputError(f"{name}: holds NaN or infinite values; make the volume again")
    if mask is not None:
        mask = np.asarray(mask) != 0
        if mask.shape != reference.shape:
            raise InputError(
                f"mask: shape {mask.shape}, but the reference has {reference.shape};"
                " give a mask on the grid of the ground truth"
            )
        if not mask.any():
            raise InputError("mask: no voxel is inside; make it again, or leave the region out")
        mask = mask.squeeze()
    return reference.squeeze(), image.squeeze(), mask


def data_range(reference: np.ndarray, metric: str) -> float:
    """Return max - min of a reference.

    Raises:
        InputError: The reference is constant: `metric` of an unequal image has no value.
    """
    extent = float(reference.max()) - float(reference.min())
    if extent == 0:
        raise InputError(
            f"reference: constant, so {metric} is not defined; leave the volume or slice out"
        )
    return extent
