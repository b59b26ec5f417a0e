"""Gain and offset of a fit of SR on ground truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr import metrics
from mrisr.common.errors import InputError
from mrisr.evaluate.pieces import evaluate
from mrisr.metrics import gain, offset

SHAPE = (8, 9, 10)


def pair(seed=0, noise=0.05):
    random = np.random.default_rng(seed)
    reference = random.random(SHAPE)
    return reference, 0.9 * reference + 0.02 + noise * random.standard_normal(SHAPE)


def box():
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 3:8, 1:9] = 1
    return mask


@settings(max_examples=30, deadline=None)
@given(slope=st.floats(-5, 5), shift=st.floats(-100, 100), scale=st.floats(0.01, 1000))
def test_an_intensity_scale_is_found_again(slope, shift, scale):
    reference = scale * pair()[0]
    image = slope * reference + shift
    for mask in (None, box()):
        assert gain(reference, image, mask) == pytest.approx(slope, abs=1e-9 * (1 + 100 / scale))
        assert offset(reference, image, mask) * np.ptp(reference) == pytest.approx(
            shift, abs=1e-9 * (scale + 100)
        )


@pytest.mark.parametrize("mask", [None, box()])
def test_it_is_numpys_least_squares_line(mask):
    reference, image = pair()
    where = ... if mask is None else mask > 0
    slope, shift = np.polyfit(reference[where].ravel(), image[where].ravel(), 1)
    assert gain(reference, image, mask) == pytest.approx(slope, rel=1e-10)
    # In fractions of the range of the whole reference, wherever it is fitted.
    assert offset(reference, image, mask) == pytest.approx(shift / np.ptp(reference), rel=1e-9)


def test_single_precision_is_summed_in_double():
    random = np.random.default_rng(1)
    reference = (1000 + random.random((40, 50, 60))).astype(np.float32)
    image = (2 * reference.astype(np.float64) + 3).astype(np.float32)
    assert gain(reference, image) == pytest.approx(2, abs=1e-5)


def test_noise_leaves_them_and_blur_takes_gain():
    reference, image = pair(noise=0.2)
    assert gain(reference, image) == pytest.approx(0.9, abs=0.05)
    half = 0.5 * (reference + reference.mean())
    assert gain(reference, half) == pytest.approx(0.5)
    assert offset(reference, half) == pytest.approx(0.5 * reference.mean() / np.ptp(reference))


def test_equal_images_and_constants():
    reference, image = pair()
    constant = np.full(SHAPE, 0.3)
    for equal in (reference, constant):
        assert (gain(equal, equal), offset(equal, equal)) == (1, 0)
        assert (gain(equal, equal, box()), offset(equal, equal, box())) == (1, 0)
    reference[box() > 0] = 0.5
    for metric in (gain, offset):
        with pytest.raises(InputError, match="constant"):
            metric(constant, constant + 0.1)
        with pytest.raises(InputError, match="constant inside the mask"):
            metric(reference, image, box())


@pytest.mark.parametrize("metric", [gain, offset])
def test_bad_input_is_refused(metric):
    reference, image = pair()
    with pytest.raises(InputError, match="shape"):
        metric(reference, image[1:])
    with pytest.raises(InputError, match="no voxel"):
        metric(reference, image, 0 * box())


def test_they_explain_and_have_no_better():
    table = evaluate(*pair(), box(), ["gain", "offset"])
    assert table["region"].tolist() == ["volume", "mask"] * 2
    assert {metrics.metadata(name).better for name in ("gain", "offset")} == {""}
