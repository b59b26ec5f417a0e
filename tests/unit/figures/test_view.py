"""Which part of a volume is shown, and where on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figure_study import AFFINE, SHAPE, head
from mrisr.common.errors import InputError
from mrisr.figures.view import (
    Box,
    View,
    along,
    box_around,
    choose_view,
    most_detail,
    most_varied,
    take,
    view_at,
)
from mrisr.volumes.io import Volume


def test_view_is_the_largest_section_with_its_margin():
    mask = Volume(head()[1], AFFINE)
    view = choose_view(mask)
    assert (view.plane, view.index, view.aspect, view.width) == ("axial", 7, 1.5, 1.0)
    assert take(mask.data, view).shape == (16 + 2 * 4, 14 + 2 * 4)
    with pytest.raises(InputError, match=r"mask\.nii: no voxel is inside"):
        choose_view(Volume(0 * mask.data, AFFINE), "mask.nii")


def test_a_slice_that_misses_the_mask_is_shown_whole():
    view = view_at(Volume(head()[1], AFFINE), 2, 0)
    assert take(np.ones(SHAPE), view).shape == (26, 24)


def test_display_is_radiological():
    data = np.zeros(SHAPE, np.float32)
    data[0, :, 7] = 1  # x = 0 is the patient's left (RAS)
    data[:, -1, 7] = 2  # the last y is anterior
    view = choose_view(Volume(np.ones(SHAPE), AFFINE))
    image = take(np.roll(data, view.index - 7, axis=2), view)
    assert (image[0] == 2).all() and (image[1:, -1] == 1).all() and (image[1:, :-1] == 0).all()
    assert view.sides == ("R", "L") and "anterior is up" in view.orientation


@pytest.mark.parametrize(
    ("axis", "plane", "aspect"), [(0, "sagittal", 2 / 1.5), (1, "coronal", 2.0), (2, "axial", 1.5)]
)
def test_a_single_slice_shows_its_own_plane(axis, plane, aspect):
    shape = [12, 12, 12]
    shape[axis] = 1
    view = choose_view(Volume(np.ones(shape), AFFINE))
    assert (view.plane, view.index) == (plane, 0) and view.aspect == pytest.approx(aspect)


@given(st.integers(0, 2), st.tuples(*[st.integers(5, 8)] * 3))
def test_a_voxel_is_displayed_where_it_is_said_to_be(axis, voxel):
    data = np.zeros((14, 15, 16))
    data[voxel] = 1
    view = View(axis, voxel[axis], (slice(2, 14), slice(3, 13)), 1.5)
    x, y = view.place(voxel, data.shape)
    image = take(data, view)
    assert image[int(y / 1.5), int(x)] == 1 == image.sum()


@given(st.floats(-5, 40), st.floats(-5, 40), st.floats(1, 60))
def test_a_box_lies_inside_the_image(x, y, side):
    box = box_around((x, y), side, np.zeros((20, 30)), 1.2)
    assert box.left >= 0 and box.top >= 0 and box.side <= 24
    assert box.left + box.side <= 30 + 1e-9 and box.top + box.side <= 24 + 1e-9


@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_the_box_is_where_the_detail_is_and_not_at_the_rim(aspect):
    image = np.zeros((60, 60))
    inside = np.zeros((60, 60))
    inside[5:55, 5:55] = 1
    image[inside > 0] = 1  # the strongest edge is that of the mask
    image[30:40, 14:24] += 0.2 * np.random.default_rng(0).random((10, 10))
    box = most_detail(image, inside, aspect)
    assert 14 < box.left + box.side / 2 < 24
    assert 30 * aspect < box.top + box.side / 2 < 40 * aspect


def test_the_line_is_where_the_image_varies_most():
    image = np.zeros((50, 50))
    image[:, 31] = np.arange(50) % 2
    image[0] = 9  # outside the mask
    inside = np.zeros((50, 50))
    inside[2:48, 2:48] = 1
    (x0, y0), (x1, y1) = most_varied(image, inside, 1.0)
    assert x0 == x1 == 31.5 and y1 - y0 == 20 and y0 > 2
    sideways = most_varied(image.T, inside, 1.0)
    assert sideways[0][1] == sideways[1][1] == 31.5
    image[:, 12] = 0.5 * image[:, 31]
    (x0, y0), (x1, y1) = most_varied(image, inside, 1.0, Box(5, 10, 20))
    assert x0 == x1 == 12.5 and 10 < y0 < y1 < 30


@given(st.floats(0.5, 19.5), st.floats(0.6, 14), st.floats(0.5, 19.5), st.floats(0.6, 14))
def test_a_profile_of_a_ramp_is_the_ramp(x0, y0, x1, y1):
    aspect = 1.2
    rows, columns = np.indices((12, 20))
    image = 2.0 * (columns + 0.5) + 3.0 * (rows + 0.5) * aspect
    y0, y1 = (min(y, 11.5 * aspect) for y in (y0, y1))
    found = along(image, aspect, ((x0, y0), (x1, y1)))
    wanted = np.linspace(2 * x0 + 3 * y0, 2 * x1 + 3 * y1, len(found))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
