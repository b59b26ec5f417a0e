"""PSNR and SSIM of blurred test images against values of independent implementations."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.data import camera

from mrisr.metrics import psnr, ssim

# skimage's camera, blurred by a Gaussian of `sigma` pixels and clipped; data range 255.
GOLDEN = {
    0.5: (37.776911, 0.98071782),
    1: (29.597921, 0.86913288),
    2: (25.909115, 0.75520248),
    4: (23.144129, 0.65479599),
}


@pytest.mark.parametrize("sigma", GOLDEN)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-4)])
def test_blurred_camera(sigma, dtype, tolerance):
    reference = camera().astype(np.float64)
    image = ndimage.gaussian_filter(reference, sigma).clip(0, 255)
    reference, image = reference.astype(dtype), image.astype(dtype)
    assert psnr(reference, image) == pytest.approx(GOLDEN[sigma][0], abs=tolerance)
    assert ssim(reference, image) == pytest.approx(GOLDEN[sigma][1], abs=tolerance)


def test_equal_images():
    reference = camera().astype(np.float64)
    assert psnr(reference, reference) == np.inf
    assert ssim(reference, reference) == 1
