import numpy as np
import pytest
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.segment.surfaces import QUANTILE, surface_distance


def ball(radius, centre=(16, 16, 16), size=32):
    apart = np.indices((size, size, size)) - np.reshape(centre, (3, 1, 1, 1))
    return ((apart**2).sum(axis=0) <= radius**2).astype(np.uint8)


def test_a_shift_is_its_length_in_mm():
    a = np.zeros((20, 20, 20), np.uint8)
    a[5:12, 5:12, 5:12] = 1
    for axis, edge in enumerate((1.0, 0.5, 2.0)):
        found = surface_distance(a, np.roll(a, 2, axis), [1], (1.0, 0.5, 2.0))
        assert found == pytest.approx([2 * edge])
    assert surface_distance(a, a, [1], (1, 1, 1)) == [0]


def test_it_is_that_of_distance_maps():
    a, b = ball(10), ball(7, (17, 15, 16)) | ball(2, (16, 28, 16))
    spacing = (1.0, 0.8, 1.3)
    edges = [image.astype(bool) & ~ndimage.binary_erosion(image) for image in (a, b)]
    maps = [ndimage.distance_transform_edt(~edge, spacing) for edge in edges]
    expected = max(
        np.percentile(maps[1][edges[0]], QUANTILE), np.percentile(maps[0][edges[1]], QUANTILE)
    )
    assert surface_distance(a, b, [1], spacing) == pytest.approx([expected])
    assert surface_distance(b, a, [1], spacing) == pytest.approx([expected])


def test_labels_that_are_missing():
    a = 2 * ball(5)
    np.testing.assert_allclose(
        surface_distance(a, ball(5), [1, 2, 3], (1, 1, 1)), [32 * 3**0.5, 32 * 3**0.5, 0]
    )
    with pytest.raises(InputError, match=r"\(2, 2\) and \(2, 3\)"):
        surface_distance(np.ones((2, 2)), np.ones((2, 3)), [1], (1, 1))
