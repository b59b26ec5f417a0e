"""Offset of the reconstruction's intensities against the ground truth's."""

import numpy as np

from mrisr.metrics._fit import fit
from mrisr.metrics._metadata import Metadata

METADATA = Metadata(
    label="Offset",
    unit="",
    better="",
    range=(float("-inf"), float("inf")),
    reference=True,
    regions=("volume", "mask"),
    doi="",
    digits=4,
)


def offset(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the offset of the least-squares fit image = gain * reference + offset.

    It tells a reconstruction whose intensities are shifted from one that is blurred or noisy,
    which PSNR does not.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero where it is fitted; None for the whole volume.

    Returns:
        Fractions of max - min of the whole reference; 0 for equal images.

    Raises:
        InputError: Shapes differ, a value is not finite, the mask is empty, or the reference is
            constant there while the image differs from it.
    """
    return fit(reference, image, mask)[1]
