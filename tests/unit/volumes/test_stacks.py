"""The common space of stacks: grids, positions, B-spline averages, SRR."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrisr.common.errors import ConfigError, InputError
from mrisr.degrade.resample import degrade, upsample
from mrisr.reconstruct.least_squares import super_resolve
from mrisr.volumes.io import Volume
from mrisr.volumes.stacks import average, common_grid, positions, sampled

STACKS = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}


def truth(shape=(24, 24, 32), angles=(0, 0, 0)):
    data = ndimage.gaussian_filter(np.random.default_rng(1).random(shape), 1.2)
    data = (data - data.min()) / np.ptp(data)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix() * 0.9
    affine[:3, 3] = (-10, 4, 7)
    return Volume(data.astype(np.float32), affine)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(2, 12)] * 3),
    st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    st.tuples(*[st.floats(0.5, 4)] * 3),
    st.floats(0.4, 3),
)
def test_the_common_grid_holds_every_voxel_and_little_more(shape, angles, edges, voxel_size):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix() * edges
    flip = np.diag([-1.0, 1, 1, 1])
    stack = Volume(np.ones(shape, np.uint8), affine)
    other = Volume(np.ones(shape, np.uint8), affine @ flip)
    found, grid = common_grid([stack, other], voxel_size, stack)
    np.testing.assert_allclose(np.linalg.norm(grid[:3, :3], axis=0), voxel_size)
    assert np.linalg.det(grid[:3, :3]) > 0
    for its in (stack, other):
        inside = np.indices(shape).reshape(3, -1).T
        index = apply_affine(np.linalg.inv(grid) @ its.affine, inside)
        assert (index > -0.5).all() and (index < np.array(found) - 0.5).all()
    # Two boxes beside each other, whose outer edges the grid meets within a voxel.
    box = np.array([2 * shape[0] - 1, *shape[1:]]) * edges / voxel_size
    assert (np.sort(np.array(found)) <= np.sort(np.ceil(box + 1e-5) + 0)).all()


def test_positions_are_the_affine_of_the_indices():
    affine = truth(angles=(0.3, 0.1, -0.2)).affine
    wanted = apply_affine(affine, np.indices((3, 4, 5)).reshape(3, -1).T)
    np.testing.assert_allclose(positions((3, 4, 5), affine).view(-1, 3), wanted, atol=1e-5)


@pytest.mark.parametrize("scale", [4, 8])
def test_the_average_is_that_of_interpolated_stacks(scale):
    volume = truth()
    stacks = degrade(volume, scale, STACKS)
    wanted = np.mean(
        [upsample(its.data, volume.data.shape, "centres") for its in stacks.values()], axis=0
    )
    found = average(stacks, volume.data.shape, volume.affine)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    # In the same place if all is turned: positions are in mm.
    turned = truth(angles=(0.4, -0.3, 0.2))
    stacks = degrade(turned, scale, STACKS)
    again = average(stacks, turned.data.shape, turned.affine)
    np.testing.assert_allclose(again, found, atol=1e-4)


def test_a_stack_counts_only_where_its_field_of_view_is():
    near = Volume(np.full((4, 4, 4), 2, np.float32), np.eye(4))
    far = Volume(np.full((4, 4, 4), 6, np.float32), np.eye(4) + np.eye(4, k=3) * 2)
    data = average({"a": near, "b": far}, (8, 4, 4), np.eye(4))
    np.testing.assert_allclose(data[:, 0, 0], [2, 2, 4, 4, 6, 6, 0, 0])
    _, inside = sampled(near, (6, 4, 4), np.eye(4), 1)
    assert inside[:, 0, 0].tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize("regularisation", ["tk0", "tk1"])
def test_srr_explains_the_stacks_and_nears_the_truth(regularisation):
    volume = truth(angles=(0.2, 0.1, -0.1))
    stacks = degrade(volume, 4, STACKS)
    shape, affine = volume.data.shape, volume.affine
    settings_ = {"regularisation": regularisation, "alpha": 0.01}
    found = super_resolve(stacks, shape, affine, **settings_)
    start = average(stacks, shape, affine)
    errors = [np.sqrt(((its - volume.data) ** 2).mean()) for its in (found, start)]
    assert errors[0] < 0.7 * errors[1]
    assert found.min() >= 0 and found.dtype == np.float32
    np.testing.assert_array_equal(found, super_resolve(stacks, shape, affine, **settings_))


def test_more_regularisation_gives_a_smoother_or_smaller_volume():
    volume = truth((16, 16, 16))
    stacks = degrade(volume, 4, STACKS)

    def made(regularisation, alpha):
        return super_resolve(
            stacks,
            volume.data.shape,
            volume.affine,
            regularisation=regularisation,
            alpha=alpha,
            iterations=40,
        )

    steep = [np.abs(np.diff(made("tk1", alpha), axis=0)).mean() for alpha in (0.01, 10)]
    assert steep[1] < 0.7 * steep[0]
    large = [made("tk0", alpha).mean() for alpha in (0.01, 10)]
    assert large[1] < 0.7 * large[0]


def test_masked_voxels_of_a_stack_are_no_data():
    volume = truth((16, 16, 16))
    stacks = degrade(volume, 4, STACKS)
    spoilt = {**stacks, "axial": Volume(stacks["axial"].data.copy(), stacks["axial"].affine)}
    spoilt["axial"].data[4:8] = 50
    used = {"axial": np.ones(spoilt["axial"].data.shape, np.uint8)}
    used["axial"][4:8] = 0
    grid = (volume.data.shape, volume.affine)
    wrong = super_resolve(spoilt, *grid, iterations=60)
    right = super_resolve(spoilt, *grid, iterations=60, masks=used)
    assert np.abs(wrong - volume.data).mean() > 5 * np.abs(right - volume.data).mean()


def test_what_srr_cannot_do_is_refused():
    stacks = degrade(truth((16, 16, 16)), 4, STACKS)
    with pytest.raises(ConfigError, match=r"model\.regularisation: 'tk2' is unknown.*tk0, tk1"):
        super_resolve(stacks, (8, 8, 8), np.eye(4), regularisation="tk2")
    away = np.eye(4)
    away[:3, 3] = 500
    with pytest.raises(InputError, match="no voxel of the stacks lies on the grid"):
        super_resolve(stacks, (8, 8, 8), away)
