import numpy as np

from mrisr.segment.noise_floor import perturbed
from mrisr.volumes.io import Volume


def test_noise_is_a_thousandth_of_the_maximum_and_seeded():
    image = Volume(np.linspace(0, 500, 27_000, dtype=np.float32).reshape(30, 30, 30), np.eye(4))
    noisy = perturbed(image, 1)
    noise = noisy.data - image.data
    assert noisy.data.dtype == np.float32 and noisy.affine is image.affine
    assert abs(noise.std() - 0.5) < 0.01 and abs(noise.mean()) < 0.01
    np.testing.assert_array_equal(perturbed(image, 1).data, noisy.data)
    assert (perturbed(image, 2).data != noisy.data).any()
