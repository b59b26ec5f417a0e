"""The acquisition of stacks: exact adjoints, constants, oblique as aligned, an explicit matrix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrisr.degrade.slice_profile import ALIGNED, FWHM, SliceOperator
from mrisr.reconstruct.least_squares import gradient, gradient_adjoint

HR = np.diag([0.8, 0.8, 0.8, 1.0])
THICK = ((0, 1, 2), (1, 2, 0), (2, 0, 1))  # HR axis along each axis of a stack


def stack_affine(order, angles, thickness=4, shape=(20, 22, 24)):
    """Return the shape and affine of a stack over an HR volume, turned about its middle."""
    voxel = np.array([0.8, 0.8, 0.8 * thickness])
    size = tuple(int(shape[axis] * 0.8 / edge) for axis, edge in zip(order, voxel, strict=True))
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, along in enumerate(order):
        affine[along, axis] = voxel[axis]
    affine[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix() @ affine[:3, :3]
    middle = apply_affine(HR, (np.array(shape) - 1) / 2)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(size) - 1) / 2)
    return size, affine


def operator(order=(0, 1, 2), angles=(0, 0, 0), thickness=4, shape=(20, 22, 24)):
    size, affine = stack_affine(order, angles, thickness, shape)
    return SliceOperator(size, affine, shape, HR, dtype=torch.float64)


turns = st.one_of(st.just((0.0, 0.0, 0.0)), st.tuples(*[st.floats(-0.5, 0.5)] * 3))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(THICK), turns, st.sampled_from([1, 4, 8]), st.integers(0, 99))
def test_the_adjoint_is_exact(order, angles, thickness, seed):
    its = operator(order, angles, thickness)
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(its.hr_shape, generator=random, dtype=torch.float64)
    y = torch.randn(its.shape, generator=random, dtype=torch.float64)
    torch.testing.assert_close(
        (its.forward(x) * y).sum(), (x * its.adjoint(y)).sum(), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(THICK), turns, st.sampled_from([1, 4, 8]))
def test_constants_are_kept_wherever_the_grid_is_seen(order, angles, thickness):
    its = operator(order, angles, thickness)
    ones = its.forward(torch.ones(its.hr_shape, dtype=torch.float64))
    assert its.seen.double().mean() > 0.5
    torch.testing.assert_close(ones, its.seen.double(), rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(THICK), turns)
def test_a_voxel_is_the_mean_around_its_own_place(order, angles):
    size, affine = stack_affine(order, angles)
    its = operator(order, angles)
    ramp = torch.from_numpy(apply_affine(HR, np.indices(its.hr_shape).reshape(3, -1).T))
    wanted = apply_affine(affine, np.indices(size).reshape(3, -1).T)
    # Where the profile is not cut off by the border of the grid.
    inner = its._blurred(torch.ones(its.hr_shape, dtype=torch.float64)).numpy().ravel() > 1 - 1e-9
    assert inner.any()
    # A stack that is turned by next to nothing counts as aligned.
    off = ALIGNED * np.linalg.norm(HR[:3, :3], axis=0).max()
    exact = its.axes is None or not any(angles)
    for axis in range(3):
        found = its.forward(ramp[:, axis].reshape(its.hr_shape)).numpy().ravel()
        np.testing.assert_allclose(found[inner], wanted[inner, axis], atol=1e-6 if exact else off)


@pytest.mark.parametrize("order", THICK)
def test_the_profile_has_the_widths_of_the_paper(order):
    shape = (41, 43, 45)
    its = operator(order, thickness=4, shape=shape)
    _, affine = stack_affine(order, (0, 0, 0), 4, shape)
    voxel = [n // 2 for n in its.shape]
    y = torch.zeros(its.shape, dtype=torch.float64)
    y[tuple(voxel)] = 1
    weights = its.adjoint(y).numpy()  # a row of A
    place = apply_affine(np.linalg.inv(HR) @ affine, voxel)
    widths = np.array([1.2, 1.2, 4])[list(np.argsort(order))]  # HR voxels, along HR axes
    index = np.indices(shape).reshape(3, -1).T
    for axis in range(3):
        offsets = (index[:, axis] - place[axis]).reshape(shape)
        variance = (weights * offsets**2).sum() / weights.sum()
        # Cutting at 3 sigma takes 3 % of the variance; narrow profiles are sampled coarsely.
        assert variance**0.5 * FWHM == pytest.approx(widths[axis], rel=0.08)


@pytest.mark.parametrize("order", THICK)
def test_an_oblique_stack_is_blurred_like_an_aligned_one(order):
    shape = (32, 34, 36)
    where = np.indices(shape).reshape(3, -1).T
    smooth = np.cos(where @ [0.2, 0.25, 0.3]).reshape(shape)
    straight, turned = operator(order, shape=shape), operator(order, (0.002, 0, 0), shape=shape)
    assert straight.axes is not None and turned.axes is None
    found = [its.forward(torch.from_numpy(smooth)) for its in (straight, turned)]
    both = straight.seen & turned.seen
    inner = tuple(slice(2, -2) for _ in range(3))
    assert both[inner].any()
    difference = (found[0] - found[1])[inner][both[inner]].abs().max()
    assert difference < 0.03


def test_the_operator_is_an_explicit_matrix():
    shape = (8, 9, 8)
    its = operator((1, 2, 0), (0.2, 0.1, -0.3), 3, shape)
    columns = []
    for i in range(np.prod(shape)):
        unit = torch.zeros(int(np.prod(shape)), dtype=torch.float64)
        unit[i] = 1
        columns.append(its.forward(unit.view(shape)).flatten())
    matrix = torch.stack(columns, dim=1)
    x = torch.rand(shape, dtype=torch.float64)
    torch.testing.assert_close((matrix @ x.flatten()).view(its.shape), its.forward(x))
    y = torch.rand(its.shape, dtype=torch.float64)
    torch.testing.assert_close((matrix.T @ y.flatten()).view(shape), its.adjoint(y))
    assert (matrix >= 0).all()


@pytest.mark.parametrize("border", ["free", "zero"])
def test_gradient_and_its_adjoint(border):
    random = torch.Generator().manual_seed(0)
    x = torch.randn((5, 6, 7), generator=random, dtype=torch.float64)
    parts = gradient(x, (0.5, 1, 2), border)
    # With zeros beyond the volume it is as large as the volume, and its last part is a face.
    assert parts[0].shape[0] == {"free": 4, "zero": 5}[border]
    if border == "zero":
        torch.testing.assert_close(parts[2][..., -1], -x[..., -1] / 2)
        kernel = np.array([1, -1, 0])[:, None, None]  # as NiftyMIC convolves
        expected = ndimage.convolve(x.numpy(), kernel, mode="constant") / 0.5
        np.testing.assert_allclose(parts[0].numpy(), expected)
    others = [torch.randn(p.shape, generator=random, dtype=torch.float64) for p in parts]
    left = sum((a * b).sum() for a, b in zip(parts, others, strict=True))
    right = (x * gradient_adjoint(others, (0.5, 1, 2), border)).sum()
    torch.testing.assert_close(left, right)
