"""Every metric found keeps the contract."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mrisr import metrics

NAMES = metrics.names()
RANKED = [name for name in NAMES if metrics.metadata(name).better]


def volume(seed=0, shape=(96, 100, 98)):
    data = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.0)
    return ((data - data.min()) / np.ptp(data)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def backbone(stand_in, monkeypatch):
    """LPIPS finds the stand-in where nothing else is said."""
    for setting, value in stand_in.items():
        monkeypatch.setitem(metrics.module("lpips").SETTINGS[setting], "default", value)


def value(name, reference, image, **options):
    """Return a metric of a pair of volumes; on slices the mean, as an evaluation takes it."""
    if metrics.metadata(name).slices:
        return metrics.evaluate(reference, image, metrics=[name])["value"].item()
    pair = (reference, image) if metrics.metadata(name).reference else (image,)
    return metrics.get(name)(*pair, **options)


@pytest.mark.parametrize("name", NAMES)
def test_states_what_it_is(name):
    about = metrics.metadata(name)
    assert about.label
    assert about.better in ("higher", "lower", "")
    assert about.range[0] < about.range[1]
    assert about.doi or not about.better
    assert set(about.regions) <= set(metrics.REGIONS)
    assert getattr(metrics, name) is metrics.get(name)
    assert "Args:" in metrics.get(name).__doc__


@pytest.mark.parametrize("name", RANKED)
def test_prefers_the_ground_truth_to_a_blurred_copy_and_says_the_same_twice(name):
    truth = volume()
    blurred = ndimage.gaussian_filter(truth, 1.5)
    best, worse = value(name, truth, truth), value(name, truth, blurred)
    assert (best > worse) == (metrics.metadata(name).better == "higher")
    assert worse == value(name, truth, blurred)
    low, high = metrics.metadata(name).range
    assert low <= worse <= high


@pytest.mark.parametrize("name", NAMES)
def test_does_not_change_its_arguments(name):
    truth, image = volume(0, (64, 64, 64)), volume(1, (64, 64, 64))
    kept = truth.copy(), image.copy()
    value(name, truth, image)
    np.testing.assert_array_equal(truth, kept[0])
    np.testing.assert_array_equal(image, kept[1])


@pytest.mark.parametrize(
    "name", [name for name in NAMES if "mask" in metrics.metadata(name).regions]
)
def test_inside_a_mask_what_lies_far_outside_does_not_matter(name):
    truth = volume()
    image = ndimage.gaussian_filter(truth, 1.0)
    mask = np.zeros(truth.shape, bool)
    mask[:40] = True
    inside = value(name, truth, image, mask=mask)
    image[80:] = 0
    assert value(name, truth, image, mask=mask) == pytest.approx(inside, rel=1e-6)
    assert value(name, truth, image) != pytest.approx(inside, rel=1e-6)
