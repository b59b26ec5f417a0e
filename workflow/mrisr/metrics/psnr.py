"""Peak signal-to-noise ratio."""

import numpy as np

from mrisr.metrics._metadata import Metadata
from mrisr.metrics._pair import checked, data_range

METADATA = Metadata(
    label="PSNR",
    unit="dB",
    better="higher",
    range=(float("-inf"), float("inf")),
    reference=True,
    regions=("volume", "mask"),
    doi="10.1109/JBHI.2022.3223106",
    digits=2,
    margin=0.1,
)


def psnr(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the PSNR in dB, 10 log10(L^2 / MSE), with L = max - min of the whole reference.

    ArSSR (Wu et al.), eq. 5, with the square of L that its code has and its print lacks.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero where the MSE is taken; None for the whole volume. L does not depend on it.

    Returns:
        dB; `inf` if both are equal there.

    Raises:
        InputError: Shapes differ, a value is not finite, the mask is empty, or the reference is
            constant while the image differs from it.
    """
    from skimage.metrics import peak_signal_noise_ratio

    reference, image, mask = checked(reference, image, mask)
    inside = (reference, image) if mask is None else (reference[mask], image[mask])
    if np.array_equal(*inside):
        return float("inf")
    return float(peak_signal_noise_ratio(*inside, data_range=data_range(reference, "PSNR")))
