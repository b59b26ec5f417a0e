"""How far a segmentation moves when nothing but a little noise is added to its image."""

import numpy as np

from mrisr.common.seeds import generator
from mrisr.volumes.io import Volume

#: Standard deviation of the noise in parts of the image's maximum: no scan has less.
NOISE = 0.001


def perturbed(image: Volume, seed: int) -> Volume:
    """Return an image with Gaussian noise, far below that of any scan.

    Args:
        image: Shape (X, Y, Z), any unit.
        seed: Seed of the noise.

    Returns:
        float32, on the same grid.
    """
    draw = generator(seed, "noise floor").standard_normal(image.data.shape, np.float32)
    noise = np.float32(NOISE * float(image.data.max())) * draw
    return Volume(image.data.astype(np.float32) + noise, image.affine)
