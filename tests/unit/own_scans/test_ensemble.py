"""The mean over mirror images."""

import numpy as np

from mrisr.own_scans.ensemble import FLIPS, over_flips
from mrisr.volumes.io import Volume


def test_what_prefers_no_side_is_left_as_it_is_and_what_does_is_evened_out():
    lr = Volume(
        np.random.default_rng(0).random((3, 4, 2)).astype(np.float32), np.diag([2, 3, 4, 1])
    )

    def twice(volume):
        return Volume(volume.data.repeat(2, 0).repeat(2, 1).repeat(2, 2), np.diag([1, 1.5, 2, 1]))

    def biased(volume):
        made = twice(volume)
        made.data[0] += 1  # the first plane, wherever the volume was mirrored to
        return made

    made = over_flips(twice, lr)
    np.testing.assert_allclose(made.data, twice(lr).data, rtol=1e-6)
    np.testing.assert_array_equal(made.affine, twice(lr).affine)
    evened = over_flips(biased, lr).data - twice(lr).data
    np.testing.assert_allclose(evened[[0, -1]], 0.5, atol=1e-6)
    np.testing.assert_allclose(evened[1:-1], 0, atol=1e-6)
    assert made.data.dtype == np.float32 and len(FLIPS) == len(set(FLIPS)) == 8
