import numpy as np
import pytest
from scipy import ndimage

from mrisr import metrics
from mrisr.common.errors import InputError
from mrisr.metrics import fourier


def noise(shape=(12, 15, 18), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", [(12, 15, 18), (17, 12, 13), (16, 21), (16, 21, 1)])
def test_shells_are_those_of_the_whole_transform(shape):
    a, b = noise(shape).squeeze(), noise(shape, 1).squeeze()
    f, g = np.fft.fftn(b), np.fft.fftn(a)
    grid = np.meshgrid(*(2 * np.fft.fftfreq(n) for n in a.shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    count = min(a.shape) // 2
    expected = []
    for i in range(count):
        ring = (radius * count >= i) & (radius * count < i + 1) & (radius > 0) & (radius < 1)
        power = (np.abs(f[ring]) ** 2 + np.abs(g[ring]) ** 2).sum()
        expected.append(2 * (f[ring] * g[ring].conj()).real.sum() / power)
    common, power = metrics.module("fourier").shells(a, b)
    assert -1 < fourier(noise(shape), noise(shape, 1)) < 1
    np.testing.assert_allclose(common / power, expected, atol=1e-10)


def test_known_values():
    a = noise((24, 24, 24))
    assert fourier(a, a) == 1
    assert fourier(a, a + 5) == pytest.approx(1)  # the mean is for `offset` to say
    assert fourier(a, -a) == pytest.approx(-1)
    assert fourier(a, np.zeros_like(a)) == 0
    assert fourier(a, a / 2) == pytest.approx(2 * 0.5 / (1 + 0.25))  # amplitudes count
    assert abs(fourier(a, noise((24, 24, 24), 1))) < 0.1
    assert fourier(7 * a + 3, 7 * (a / 2) + 3) == pytest.approx(fourier(a, a / 2))


def test_detail_counts_as_much_as_shape():
    """A blur that hardly changes PSNR takes away high frequencies."""
    a = ndimage.gaussian_filter(noise((32, 32, 32)), 2) + 0.001 * noise((32, 32, 32), 1)
    found = [fourier(a, ndimage.gaussian_filter(a, sigma)) for sigma in (0.4, 0.7, 1.2)]
    assert 1 > found[0] > found[1] > found[2] and found[2] < 0.75
    assert metrics.get("psnr")(a, ndimage.gaussian_filter(a, 0.7)) > 30 and found[1] < 0.9


def test_shells_without_power_are_left_out():
    """A wave along one axis has one frequency; rounding in the other shells does not count."""
    wave = np.broadcast_to(np.cos(2 * np.pi * np.arange(32) / 4), (32, 32, 32)).copy()
    assert fourier(wave, wave / 2) == pytest.approx(0.8)


def test_constant_references_are_refused():
    with pytest.raises(InputError, match="reference: constant"):
        fourier(np.ones((6, 6, 6)), noise((6, 6, 6)))
    assert fourier(np.ones((6, 6, 6)), np.ones((6, 6, 6))) == 1
