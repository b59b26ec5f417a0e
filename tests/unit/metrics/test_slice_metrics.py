"""PSI, LPC-SI and VIF: equality with their plain versions, and what must hold for any image."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.data import camera

import plain_metrics
from mrisr import metrics
from mrisr.common.errors import InputError
from mrisr.evaluate.pieces import evaluate
from mrisr.metrics import _slices, lpc_si, psi, vif

SHAPES = [(41, 41), (96, 96), (97, 131), (128, 64), (181, 209), (264, 311), (311, 41)]
SIGMAS = (0.5, 1, 2, 4)


def texture(shape, seed=0):
    """Smooth noise beside a flat border, 0 to 255, with ties as 8-bit images have them."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1)
    image = np.round(255 * (image - image.min()) / np.ptp(image))
    image[: shape[0] // 6] = 0
    return image


def blurred(image, sigma):
    return ndimage.gaussian_filter(image, sigma)


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_the_plain_versions(shape):
    image = texture(shape)
    soft = blurred(image, 1)
    assert vif(image, soft) == pytest.approx(plain_metrics.vif(image, soft), abs=1e-9)
    assert vif(soft, image) == pytest.approx(plain_metrics.vif(soft, image), abs=1e-9)
    for each in (image, soft):
        assert psi(each) == pytest.approx(plain_metrics.psi(each), abs=1e-12)
        for sigma in (0.33, 0.75):
            wanted = plain_metrics.lpc_si(each, sigma)
            assert lpc_si(each, sigma) == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_near_float64(shape):
    image = texture(shape).astype(np.float64) / 7
    soft = blurred(image, 1)
    small, small_soft = image.astype(np.float32), soft.astype(np.float32)
    assert vif(small, small_soft) == pytest.approx(vif(image, soft), abs=1e-4)
    assert lpc_si(small_soft) == pytest.approx(lpc_si(soft), abs=1e-4)
    assert psi(small_soft) == pytest.approx(psi(soft), abs=1e-4)


def test_a_stack_is_its_slices_and_large_batches_change_nothing(monkeypatch):
    stack = np.stack([texture((97, 131), seed) for seed in range(5)])
    stack[2] = 9
    soft = blurred(stack, (0, 1, 1))

    def scores():
        return np.array([psi(soft), lpc_si(soft), vif(stack, soft)])

    one_by_one = scores()
    monkeypatch.setitem(_slices.BATCH_PIXELS, "cpu", 3 * stack[0].size)
    np.testing.assert_allclose(scores(), one_by_one, rtol=1e-12)
    for index in range(5):
        pair = stack[index], soft[index]
        alone = [psi(pair[1]), lpc_si(pair[1]), vif(*pair)]
        np.testing.assert_allclose(one_by_one[:, index], alone, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_blur_lowers_every_score(seed):
    image = texture((160, 170), seed) if seed else camera().astype(float)
    series = [image, *(blurred(image, sigma) for sigma in SIGMAS)]
    for scores in (
        [vif(image, each) for each in series],
        [lpc_si(each) for each in series],
        [psi(each) for each in series],
    ):
        assert all(a > b for a, b in pairwise(scores)), scores


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(1.1, 2), seed=st.integers(0, 99))
def test_vif_exceeds_one_where_contrast_is_enhanced(gain, seed):
    image = texture((64, 64), seed)
    centre = image.mean()
    assert vif(image, centre + gain * (image - centre)) > 1
    assert vif(image, image) == 1


@settings(max_examples=10, deadline=None)
@given(offset=st.floats(-50, 50), seed=st.integers(0, 99))
def test_an_offset_changes_nothing(offset, seed):
    image = texture((96, 100), seed)
    soft = blurred(image, 1)
    assert vif(image + offset, soft + offset) == pytest.approx(vif(image, soft), rel=1e-6)
    assert lpc_si(soft + offset) == pytest.approx(lpc_si(soft), rel=1e-6)


def test_psi_sees_horizontal_edges_only():
    rows = np.repeat(texture((160, 1), 3), 160, axis=1)
    rows = blurred(rows, (1, 0))
    assert psi(rows) > 0
    assert psi(rows.T) == 0


def test_psi_is_zero_without_inner_blocks():
    image = blurred(texture((200, 200)), 1)
    assert psi(image[:95]) == psi(image[:, :95]) == 0
    assert psi(image[:96, :96]) > 0


def test_lpc_si_depends_on_the_units():
    image = texture((128, 128)) / 255
    assert lpc_si(image * 255) > 0.8
    assert lpc_si(image) < lpc_si(image * 255) / 2
    assert lpc_si(image, data_range=1.0) == pytest.approx(lpc_si(image * 255), rel=1e-9)


def test_constant_slices():
    flat = np.full((96, 96), 40.0)
    image = texture((96, 96))
    assert psi(flat) == lpc_si(flat) == 0
    assert vif(flat, flat) == 1
    assert vif(flat, image) == 0
    assert vif(image, flat) == 0


@pytest.mark.parametrize("name", ["psi", "lpc_si", "vif"])
def test_bad_slices_are_refused(name):
    about = metrics.metadata(name)
    image = texture((96, 96))

    def call(*images):
        return metrics.get(name)(*(images if about.reference else images[-1:]))

    small = image[: about.min_size - 1]
    with pytest.raises(InputError, match=f"{about.label}.* {about.min_size} x {about.min_size}"):
        call(small, small)
    with pytest.raises(InputError, match="NaN or infinite"):
        call(image, image + np.nan)
    with pytest.raises(InputError, match=r"slices .* are expected"):
        call(image[0], image[0])
    if about.reference:
        with pytest.raises(InputError, match="shapes differ"):
            call(image, image[1:])


def test_slices_lie_as_a_radiologist_looks_at_them():
    x, y, z = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
    sagittal, coronal, axial = _slices.stacks(x + 10 * y + 100 * z)
    assert [s.shape for s in (sagittal, coronal, axial)] == [(3, 5, 4), (4, 5, 3), (5, 4, 3)]
    # Top left: superior and anterior; superior and right; anterior and right.
    assert sagittal[0, 0, 0] == 100 * 4 + 10 * 3 and sagittal[0, -1, -1] == 0
    assert coronal[0, 0, 0] == 100 * 4 + 2 and coronal[0, 0, -1] == 100 * 4
    assert axial[0, 0, 0] == 10 * 3 + 2 and axial[0, -1, 0] == 2


def test_one_voxel_thick_is_one_slice():
    image = np.random.default_rng(0).random((60, 1, 70))
    (only,) = _slices.stacks(image)
    assert only.shape == (1, 70, 60)


@pytest.fixture(scope="module")
def volume():
    data = blurred(np.random.default_rng(5).random((97, 98, 44)), 1)
    data = (data - data.min()) / np.ptp(data)
    data[:, :, :8] = 0
    return data


def test_a_volume_scores_the_mean_of_all_slices_with_signal(volume):
    soft = blurred(volume, 1)
    table = evaluate(volume, soft, metrics=["psi", "vif"]).set_index("metric")["value"]
    scores = {"psi": [], "vif": []}
    for truth, image in zip(_slices.stacks(volume), _slices.stacks(soft), strict=True):
        kept = np.ptp(truth, axis=(1, 2)) > 2 / 255
        scores["psi"].append(psi(255 * image[kept]))
        scores["vif"].append(vif(255 * truth[kept], 255 * image[kept]))
    for name, its in scores.items():
        every = np.concatenate(its)
        assert len(every) == 97 + 98 + 36
        if name == "psi":  # a slice without edges is missing, not worst
            every = every[every > 0]
        assert table[name] == pytest.approx(every.mean(), rel=1e-9)


def test_ringing_beside_a_head_is_not_fidelity(volume):
    """A slice that is all but black does not decide the mean, whatever lies beside it."""
    faint = volume.copy()
    faint[:, :, 7] = 1.5 / 255 * volume[:, :, 20]
    ringing = blurred(faint, 1)
    ringing[:, :, 7] *= 30
    assert vif(255 * faint[None, :, :, 7], 255 * ringing[None, :, :, 7])[0] > 3
    value = evaluate(faint, ringing, metrics=["vif"])["value"][0]
    assert 0 < value < 1
    assert evaluate(faint, ringing, metrics=["vif"], empty_slices="include")["value"][0] > value


def test_empty_slices_may_be_included(volume):
    left_out = evaluate(volume, volume, metrics=["lpc_si"])["value"]
    counted = evaluate(volume, volume, metrics=["lpc_si"], empty_slices="include")["value"]
    np.testing.assert_allclose(counted, left_out * (239 - 8) / 239, rtol=1e-9)
    # As published, those in which PSI finds no edge count as 0.
    every = np.concatenate([psi(255 * slices) for slices in _slices.stacks(volume)])
    found = evaluate(volume, volume, metrics=["psi"], empty_slices="include")["value"]
    np.testing.assert_allclose(found, every.mean(), rtol=1e-9)


@pytest.mark.parametrize("empty", ["exclude", "include"])
def test_a_volume_without_measurable_edges_has_no_psi(volume, empty):
    small = volume[:50, :50, :30]
    table = evaluate(small, small, metrics=["psi", "psnr"], empty_slices=empty)
    values = table.set_index("metric")["value"]
    assert np.isnan(values["psi"]) and values["psnr"] == np.inf


def test_intensities_are_scaled_by_the_ground_truth(volume):
    soft = blurred(volume, 1)
    names = ["psi", "vif"]
    wanted = evaluate(volume, soft, metrics=names)["value"]
    scaled = evaluate(7 * volume - 3, 7 * soft - 3, metrics=names)["value"]
    np.testing.assert_allclose(scaled, wanted, rtol=1e-9)


def test_without_reference(volume):
    table = evaluate(None, volume)
    assert table["metric"].tolist() == ["lpc_si", "psi"]
    wanted = evaluate(volume, volume, metrics=["lpc_si", "psi"])
    np.testing.assert_array_equal(table["value"], wanted["value"])
    with pytest.raises(InputError, match="vif needs one"):
        evaluate(None, volume, metrics=["vif"])
    with pytest.raises(InputError, match="no slice has signal"):
        evaluate(None, np.zeros((44, 44, 44)), metrics=["lpc_si"])
