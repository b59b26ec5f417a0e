"""Gain of the reconstruction's intensities against the ground truth's."""

import numpy as np

from mrisr.metrics._fit import fit
from mrisr.metrics._metadata import Metadata

METADATA = Metadata(
    label="Gain",
    unit="",
    better="",
    range=(float("-inf"), float("inf")),
    reference=True,
    regions=("volume", "mask"),
    doi="",
    digits=4,
)


def gain(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the gain of the least-squares fit image = gain * reference + offset.

    It tells a reconstruction that is wrong in its intensity scale from one that is blurred or
    noisy, which PSNR does not.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero where it is fitted; None for the whole volume.

    Returns:
        No unit; 1 for equal images. Below 1: contrast is lost, or the image was scaled down.

    Raises:
        InputError: Shapes differ, a value is not finite, the mask is empty, or the reference is
            constant there while the image differs from it.
    """
    return fit(reference, image, mask)[0]
