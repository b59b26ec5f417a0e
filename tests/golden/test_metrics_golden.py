"""All metrics of blurred test images against values of independent implementations."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.data import camera

from mrisr.metrics import lpc_si, psi, psnr, ssim, vif

# skimage's camera blurred by a Gaussian of `sigma` pixels. Those with reference against the camera
# itself, clipped to 0..255. PSI and LPC-SI: the authors' code in GNU Octave; VIF: three packages.
GOLDEN = {
    # sigma: psi, lpc_si (filter sigma 0.75), lpc_si (0.33), vif, psnr, ssim
    0: (0.519785956, 0.949738269, 0.978329610, 1, np.inf, 1),
    0.5: (0.430691795, 0.938327449, 0.973923755, 0.73559198, 37.776911, 0.98071782),
    1: (0.206302852, 0.865250094, 0.960430810, 0.43421181, 29.597921, 0.86913288),
    2: (0.113245793, 0.379850258, 0.933811846, 0.26202779, 25.909115, 0.75520248),
    4: (0.057941492, 0.007126890, 0.832500953, 0.12808288, 23.144129, 0.65479599),
}


@pytest.mark.parametrize("sigma", GOLDEN)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-4)])
def test_blurred_camera(sigma, dtype, tolerance):
    reference = camera().astype(dtype)
    image = camera().astype(np.float64)
    image = (ndimage.gaussian_filter(image, sigma) if sigma else image).astype(dtype)
    clipped = image.clip(0, 255)
    found = (
        psi(image),
        lpc_si(image, sigma=0.75),
        lpc_si(image),
        vif(reference, clipped),
        psnr(reference, clipped),
        ssim(reference, clipped),
    )
    assert found == pytest.approx(GOLDEN[sigma], abs=tolerance)
