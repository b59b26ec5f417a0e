import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrisr.degrade.resample import (
    apply_along,
    degrade,
    downsample,
    hr_affine,
    lr_affine,
    lr_positions,
    lr_size,
    resampling_matrix,
    slice_profile_matrix,
    upsample,
)
from mrisr.volumes.io import Volume

SCALES = [2, 2.5, 3, 3.2, 3.5, 4]
SHAPES = [(40, 41, 43), (17, 33, 29), (24, 31, 45)]
CENTRES = {"grid_mode": True, "mode": "nearest"}


def noise(shape, dtype=np.float64):
    return np.random.default_rng(7).random(shape).astype(dtype)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("grid", "options"), [("corners", {}), ("centres", CENTRES)])
def test_downsampling_equals_scipy_zoom(scale, shape, grid, options):
    data = noise(shape)
    expected = ndimage.zoom(data, 1 / scale, order=3, **options)
    np.testing.assert_allclose(downsample(data, scale, grid), expected, atol=1e-12)
    single = downsample(data.astype(np.float32), scale, grid)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("grid", "options"), [("corners", {}), ("centres", CENTRES)])
def test_upsampling_equals_scipy_zoom(scale, grid, options):
    shape = (40, 41, 43)
    low = noise([lr_size(n, scale) for n in shape])
    factors = [n / m for n, m in zip(shape, low.shape, strict=True)]
    expected = ndimage.zoom(low, factors, order=3, **options)
    np.testing.assert_allclose(upsample(low, shape, grid), expected, atol=1e-12)


def test_paper_sizes():
    assert lr_size(264, 2.5) == 106  # 105.6, rounded as scipy does
    assert [lr_size(264, k) for k in (2, 3, 3.5, 4)] == [132, 88, 75, 66]


def test_the_last_sample_is_not_lost_to_rounding():
    # scipy's own default puts a 0 at the end of the 20.
    assert ndimage.zoom(np.ones(22), 20 / 22, order=3)[-1] == 0
    np.testing.assert_allclose(downsample(np.ones((22, 22, 22)), 22 / 20), 1)


def test_torch_and_numpy_agree():
    data = noise((20, 21, 22), np.float32)
    np.testing.assert_allclose(
        downsample(torch.from_numpy(data), 2.5).numpy(), downsample(data, 2.5), atol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 40), st.floats(1.1, 4), st.sampled_from(["corners", "centres"]))
def test_resampling_keeps_constants_and_is_linear(n, scale, grid):
    matrix = resampling_matrix(n, lr_size(n, scale), grid)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-9)
    a, b = np.random.default_rng(n).random((2, n))
    np.testing.assert_allclose(matrix @ (2 * a + b), 2 * (matrix @ a) + matrix @ b, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 60), st.integers(2, 30), st.sampled_from(["corners", "centres"]))
def test_lr_and_hr_affines_are_inverse_and_say_where_voxels_are(n, m, grid):
    affine = np.array([[0, -0.9, 0, 5], [0.8, 0, 0, -7], [0, 0, 1.1, 3], [0, 0, 0, 1]])
    shapes = (n, n + 3, n + 1), (m, m, m)
    low = lr_affine(affine, *shapes, grid)
    np.testing.assert_allclose(hr_affine(low, shapes[1], shapes[0], grid), affine, atol=1e-9)
    # HR voxel i of the first axis lies at LR index lr_positions(...)[i]: the same millimetres.
    positions = lr_positions(n, m, grid)
    np.testing.assert_allclose(
        low @ [positions[-1], 0, 0, 1] - low @ [positions[0], 0, 0, 1],
        affine @ [n - 1, 0, 0, 1] - affine @ [0, 0, 0, 1],
        atol=1e-9,
    )


@pytest.mark.parametrize("grid", ["corners", "centres"])
def test_affine_matches_the_intensities(grid):
    # A linear ramp in mm stays one: cubic splines reproduce it away from the borders.
    affine = np.diag([0.7, 0.8, 0.9, 1.0])
    ramp = np.broadcast_to(0.7 * np.arange(48)[:, None, None], (48, 40, 36)).astype(np.float64)
    low = degrade(
        Volume(ramp, affine),
        3,
        {"kind": "volume", "kernel": "spline", "grid": grid, "antialias": None},
    )[""]
    where = low.affine[0, 0] * np.arange(16) + low.affine[0, 3]
    np.testing.assert_allclose(low.data[3:-3, 6, 6], where[3:-3], atol=1e-2)


def test_antialias_is_a_gaussian_of_the_lr_voxel():
    data = noise((41, 42, 43))
    sigma = 3 / (2 * np.sqrt(2 * np.log(2)))
    blurred = ndimage.gaussian_filter(data, sigma, mode="nearest", truncate=6.0)
    np.testing.assert_allclose(
        downsample(data, 3, antialias=1.0), ndimage.zoom(blurred, 1 / 3, order=3), atol=1e-9
    )


def test_stacks_reduce_one_axis_each_and_conserve_the_mean():
    volume = Volume(noise((24, 28, 32)), np.eye(4))
    settings_ = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}
    stacks = degrade(volume, 4, settings_)
    assert {name: s.data.shape for name, s in stacks.items()} == {
        "axial": (24, 28, 8),
        "coronal": (24, 7, 32),
        "sagittal": (6, 28, 32),
    }
    # Thick slices tile the field of view: centre of the first is (4 - 1) / 2.
    np.testing.assert_allclose(stacks["axial"].affine[:3, 3], [0, 0, 1.5])
    np.testing.assert_allclose(stacks["axial"].voxel_size, [1, 1, 4])
    np.testing.assert_allclose(slice_profile_matrix(24, 6).sum(axis=1), 1)
    spline = degrade(volume, 4, {**settings_, "kernel": "spline"})["coronal"]
    np.testing.assert_allclose(spline.data, ndimage.zoom(volume.data, (1, 1 / 4, 1), order=3))


STACKS = {"kind": "stacks", "grid": "corners", "antialias": None}
SIDES = {"axial": 2, "coronal": 1, "sagittal": 0}


def oblique(angles, voxel_size, origin):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix() * voxel_size
    affine[:3, 3] = origin
    return affine


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([4, 8]),
    st.tuples(*[st.integers(2, 5)] * 3),
    st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    st.tuples(*[st.floats(0.5, 2)] * 3),
    st.tuples(*[st.floats(-90, 90)] * 3),
)
def test_a_thick_slice_lies_in_the_middle_of_the_voxels_that_it_averages(
    scale, slices, angles, voxel_size, origin
):
    shape = tuple(8 * n for n in slices)
    affine = oblique(angles, voxel_size, origin)
    index = np.indices(shape).reshape(3, -1).T
    where = apply_affine(affine, index)
    # Degrading the coordinates themselves gives the mean position of what is averaged.
    for axis in range(3):
        volume = Volume(where[:, axis].reshape(shape), affine)
        for name, low in degrade(volume, scale, {**STACKS, "kernel": "slice_profile"}).items():
            side = SIDES[name]
            assert low.data.shape[side] == shape[side] // scale
            stated = apply_affine(low.affine, np.indices(low.data.shape).reshape(3, -1).T)
            stated = stated[:, axis].reshape(low.data.shape)
            # Profiles reach 1.3 slices to each side; at the ends they are cut off.
            inner = tuple(slice(2, -2) if a == side else slice(None) for a in range(3))
            np.testing.assert_allclose(low.data[inner], stated[inner], atol=1e-9)
            # And by geometry, everywhere: the middle of the k voxels that the slice replaces.
            kept = [n if a != side else n // scale for a, n in enumerate(shape)]
            means = volume.data.reshape(*kept[: side + 1], scale, *kept[side + 1 :])
            np.testing.assert_allclose(means.mean(axis=side + 1), stated, atol=1e-9)


@pytest.mark.parametrize("kernel", ["slice_profile", "spline"])
@pytest.mark.parametrize("scale", [4, 8])
def test_stacks_show_a_smooth_object_where_it_is(kernel, scale):
    shape, affine = (48, 40, 64), oblique((0.3, -0.2, 0.1), (0.8, 1, 0.9), (-20, 5, 3))
    middle = apply_affine(affine, (np.array(shape) - 1) / 2)

    def smooth(affine, shape):
        where = apply_affine(affine, np.indices(shape).reshape(3, -1).T)
        return np.cos((where - middle) @ [0.05, 0.04, 0.06]).reshape(shape)

    volume = Volume(smooth(affine, shape), affine)
    for name, low in degrade(volume, scale, {**STACKS, "kernel": kernel}).items():
        inner = tuple(slice(2, -2) if a == SIDES[name] else slice(None) for a in range(3))
        wanted = smooth(low.affine, low.data.shape)
        np.testing.assert_allclose(low.data[inner], wanted[inner], atol=0.03)


def test_slices_are_reduced_in_plane():
    volume = Volume(noise((1, 28, 36)), np.eye(4))
    settings_ = {"kind": "slice", "kernel": "spline", "grid": "corners", "antialias": None}
    low = degrade(volume, 2, settings_)[""]
    assert low.data.shape == (1, 14, 18)
    np.testing.assert_allclose(
        low.data[0], ndimage.zoom(volume.data[0], 0.5, order=3, mode="mirror")
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_apply_along_is_tensordot(axis):
    data, matrix = noise((5, 6, 7)), noise((4, 5 + axis))
    expected = np.moveaxis(np.tensordot(matrix, data, axes=(1, axis)), 0, axis)
    np.testing.assert_allclose(apply_along(data, matrix, axis), expected)


def test_unknown_grid_is_refused():
    with pytest.raises(ValueError, match="corners, centres"):
        resampling_matrix(8, 4, "edges")
