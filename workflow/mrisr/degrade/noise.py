"""Noise of a magnitude image: complex Gaussian noise is added before the magnitude (Rician)."""

import numpy as np

from mrisr.common import seeds
from mrisr.common.errors import InputError
from mrisr.volumes.io import Volume


def noisy(low: Volume, truth: Volume, mask: np.ndarray, snr: float, *parts: object) -> Volume:
    """Return an LR volume with noise.

    Args:
        low: LR volume, not negative.
        truth: Ground truth that it was made from, shape (X, Y, Z).
        mask: Nonzero inside, shape (X, Y, Z).
        snr: Mean of the ground truth inside the mask over the standard deviation of the noise in
            each of the two channels.
        parts: What seeds the draw, such as the study's seed, dataset, subject and scale.

    Raises:
        InputError: The mask is empty.
    """
    inside = truth.data[mask != 0]
    if not inside.size:
        raise InputError(
            "degradation.noise: the subject's mask is empty, so its signal is not known; correct"
            " the dataset's mask"
        )
    sigma = float(inside.mean()) / snr
    random = seeds.generator(*parts, "noise")
    real, imaginary = (
        random.standard_normal(low.data.shape, dtype=np.float32) * np.float32(sigma)
        for _ in range(2)
    )
    data = np.hypot(low.data + real, imaginary).astype(low.data.dtype)
    return Volume(data, low.affine, stored=low.stored)
