import importlib
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics as skimage_metrics

from mrisr import metrics
from mrisr.common.errors import ConfigError, InputError
from mrisr.evaluate.pieces import evaluate
from mrisr.metrics import psnr, ssim


def pair(seed=0, shape=(12, 13, 14), noise=0.05):
    random = np.random.default_rng(seed)
    reference = random.random(shape)
    return reference, reference + noise * random.standard_normal(shape)


def box(shape=(12, 13, 14)):
    mask = np.zeros(shape, np.uint8)
    mask[3:9, 4:9, 3:10] = 1
    return mask


def test_every_module_is_found_with_its_function():
    assert {"psnr", "ssim"} <= set(metrics.names())
    for name in metrics.names():
        module = importlib.import_module(f"mrisr.metrics.{name}")
        assert metrics.get(name) is getattr(module, name) is getattr(metrics, name)


def test_unknown_metric_gets_a_hint():
    with pytest.raises(ConfigError, match=r"no metric 'psn'.*did you mean 'psnr'"):
        metrics.get("psn")


def test_import_is_light():
    code = "import mrisr.metrics, sys; print(*{'skimage', 'pandas', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_psnr_is_its_formula_with_the_range_of_the_reference():
    reference, image = pair()
    inside = box() > 0
    extent = reference.max() - reference.min()
    for mask, where in ((None, ...), (box(), inside)):
        error = ((reference - image)[where] ** 2).mean()
        assert psnr(reference, image, mask) == pytest.approx(10 * math.log10(extent**2 / error))


def test_ssim_is_scikit_images_default_and_its_map_in_the_mask():
    reference, image = pair()
    extent = reference.max() - reference.min()
    mean, values = skimage_metrics.structural_similarity(
        reference, image, data_range=extent, full=True
    )
    assert ssim(reference, image) == pytest.approx(mean)
    assert ssim(reference, image, box()) == pytest.approx(values[box() > 0].mean())


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.01, 1000), offset=st.floats(-10, 10), seed=st.integers(0, 99))
def test_both_ignore_a_common_gain_and_psnr_an_offset(gain, offset, seed):
    reference, image = pair(seed)
    assert psnr(gain * reference + offset, gain * image + offset) == pytest.approx(
        psnr(reference, image), abs=1e-6
    )
    assert ssim(gain * reference, gain * image) == pytest.approx(ssim(reference, image), abs=1e-8)


def test_more_noise_is_worse():
    scores = [evaluate(*pair(noise=noise), box(), ["psnr", "ssim"]) for noise in (0.01, 0.05, 0.2)]
    for row in range(4):
        values = [table["value"][row] for table in scores]
        assert values == sorted(values, reverse=True)


def test_equal_volumes_and_constants():
    reference, image = pair()
    assert psnr(reference, reference) == psnr(reference, reference, box()) == math.inf
    constant = np.full((8, 8, 8), 0.3)
    assert psnr(constant, constant) == math.inf
    assert ssim(constant, constant) == ssim(constant, constant, np.ones((8, 8, 8))) == 1
    for metric in (psnr, ssim):
        with pytest.raises(InputError, match="constant"):
            metric(constant, constant + 0.1)
    # Equal inside the mask only.
    image[box() > 0] = reference[box() > 0]
    assert psnr(reference, image, box()) == math.inf and psnr(reference, image) < math.inf


def test_slices_one_voxel_thick_are_two_dimensional():
    reference, image = pair(shape=(1, 20, 22))
    for metric in (psnr, ssim):
        assert metric(reference, image) == metric(reference[0], image[0])


def test_integers_are_not_wrapped():
    reference, image = np.zeros((9, 9), np.uint8), np.full((9, 9), 1, np.uint8)
    reference[4, 4] = 200
    wanted = psnr(reference.astype(float), image.astype(float))
    assert psnr(reference, image) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, i, m: (r, i[:-1], m), "image: shape .* grid of the ground truth"),
        (lambda r, i, m: (r, i * np.nan, m), "image: holds NaN"),
        (lambda r, i, m: (r + np.inf, i, m), "reference: holds NaN"),
        (lambda r, i, m: (r, i, m[1:]), "mask: shape"),
        (lambda r, i, m: (r, i, m * 0), "mask: no voxel"),
    ],
)
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_bad_input_is_refused(metric, change, message):
    with pytest.raises(InputError, match=message):
        metric(*change(*pair(), box()))


@pytest.mark.parametrize("size", [33, 40, 64, 71])
def test_ssim_in_slabs_is_that_of_the_whole(size):
    reference, image = pair(shape=(size, 12, 13))
    mean, values = skimage_metrics.structural_similarity(
        reference, image, data_range=np.ptp(reference), full=True
    )
    mask = np.random.default_rng(0).random(reference.shape) > 0.5
    assert ssim(reference, image) == pytest.approx(mean, abs=1e-12)
    assert ssim(reference, image, mask) == pytest.approx(values[mask].mean(), abs=1e-12)


def test_ssim_needs_its_window():
    with pytest.raises(InputError, match="at least 7 voxels"):
        ssim(*pair(shape=(6, 20, 20)))


def test_evaluate_is_tidy_and_equals_the_functions():
    reference, image = pair()
    table = evaluate(reference, image, box(), ["ssim", "psnr"])
    assert table.columns.tolist() == ["metric", "region", "value"]
    wanted = [
        ("ssim", "volume", ssim(reference, image)),
        ("ssim", "mask", ssim(reference, image, box())),
        ("psnr", "volume", psnr(reference, image)),
        ("psnr", "mask", psnr(reference, image, box())),
    ]
    assert list(table.itertuples(index=False, name=None)) == wanted
    assert set(evaluate(reference, image)["region"]) == {"volume"}
    with pytest.raises(InputError, match="mask: none given"):
        evaluate(reference, image, regions=["mask"])
    with pytest.raises(ConfigError, match="no region 'brain'"):
        evaluate(reference, image, box(), regions=["brain"])


def test_evaluate_makes_one_ssim_map(monkeypatch):
    calls = []
    original = skimage_metrics.structural_similarity
    reference, image = pair()
    monkeypatch.setattr(
        skimage_metrics,
        "structural_similarity",
        lambda *a, **k: calls.append(1) or original(*a, **k),
    )
    evaluate(reference, image, box(), ["ssim"])
    assert len(calls) == 1
