import importlib
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics as skimage_metrics

from mrisr import metrics
from mrisr.errors import ConfigError, InputError
from mrisr.evaluate import evaluate_subjects
from mrisr.io import Volume, save
from mrisr.metrics import psnr, ssim

AFFINE = np.diag([0.9, 1.0, 1.1, 1.0])


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
        about = metrics.metadata(name)
        assert about.better in ("higher", "lower", "") and about.range[0] < about.range[1]
        assert set(about.regions) <= {"volume", "mask"}


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
    ranked = ["psnr", "ssim"]
    scores = [metrics.evaluate(*pair(noise=noise), box(), ranked) for noise in (0.01, 0.05, 0.2)]
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


def test_ssim_needs_its_window():
    with pytest.raises(InputError, match="at least 7 voxels"):
        ssim(*pair(shape=(6, 20, 20)))


def test_evaluate_is_tidy_and_equals_the_functions():
    reference, image = pair()
    table = metrics.evaluate(reference, image, box(), ["ssim", "psnr"])
    assert table.columns.tolist() == ["metric", "region", "value"]
    wanted = [
        ("ssim", "volume", ssim(reference, image)),
        ("ssim", "mask", ssim(reference, image, box())),
        ("psnr", "volume", psnr(reference, image)),
        ("psnr", "mask", psnr(reference, image, box())),
    ]
    assert list(table.itertuples(index=False, name=None)) == wanted
    assert set(metrics.evaluate(reference, image)["region"]) == {"volume"}
    with pytest.raises(InputError, match="mask: none given"):
        metrics.evaluate(reference, image, regions=["mask"])
    with pytest.raises(ConfigError, match="no region 'brain'"):
        metrics.evaluate(reference, image, box(), regions=["brain"])


def test_evaluate_makes_one_ssim_map(monkeypatch):
    calls = []
    original = skimage_metrics.structural_similarity
    monkeypatch.setattr(
        skimage_metrics,
        "structural_similarity",
        lambda *a, **k: calls.append(1) or original(*a, **k),
    )
    metrics.evaluate(*pair(), box(), ["ssim"])
    assert len(calls) == 1


@pytest.fixture
def cohort(tmp_path):
    """Files of three subjects; the last is reconstructed perfectly."""
    files = {"hr": [], "sr": [], "mask": []}
    subjects = ["sub-02", "sub-01", "sub-03"]
    for seed, subject in enumerate(subjects):
        reference, image = pair(seed)
        content = {"hr": reference, "sr": reference if seed == 2 else image, "mask": box()}
        for kind, data in content.items():
            path = tmp_path / kind / f"{subject}.nii.gz"
            save(Volume(data, AFFINE), path)
            files[kind].append(path)
    return files, subjects


def run(cohort, output, workers=1):
    files, subjects = cohort
    evaluate_subjects(
        files["hr"], files["sr"], files["mask"], subjects, ["psnr", "ssim"], ["volume", "mask"],
        output, workers,
    )  # fmt: skip


def test_evaluate_subjects_writes_tidy_rows_in_order(cohort, tmp_path):
    run(cohort, tmp_path / "one.csv")
    run(cohort, tmp_path / "two.csv", workers=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    table = pd.read_csv(tmp_path / "one.csv")
    assert table.columns.tolist() == ["subject", "metric", "region", "value"]
    assert table["subject"].drop_duplicates().tolist() == cohort[1] and len(table) == 12
    assert "sub-03,psnr,volume,inf\n" in (tmp_path / "one.csv").read_text()
    reference, image = (data.astype(np.float32) for data in pair(0))
    assert table["value"][0] == pytest.approx(psnr(reference, image), rel=1e-8)


@pytest.mark.parametrize(
    ("kind", "data", "affine", "message"),
    [
        ("sr", pair(1)[1][:, :, 1:], AFFINE, "shape .* write it on the grid"),
        ("sr", pair(1)[1], AFFINE + 1e-3 * np.eye(4, k=3), "affine differs .* by 0.001"),
        ("sr", pair(1)[1] * np.nan, AFFINE, "NaN or infinite .* reconstruct"),
        ("mask", box()[1:], AFFINE, "shape"),
        ("mask", 0 * box(), AFFINE, "no voxel is inside"),
    ],
)
def test_evaluate_subjects_names_the_bad_file(cohort, tmp_path, kind, data, affine, message):
    save(Volume(data, affine), cohort[0][kind][1])
    with pytest.raises(InputError, match=rf"(?s)sub-01: .*sub-01.*{message}") as error:
        run(cohort, tmp_path / "out.csv")
    assert "sub-02" not in str(error.value)
    assert not (tmp_path / "out.csv").exists()


def test_evaluate_subjects_names_all_bad_files(cohort, tmp_path):
    for path in cohort[0]["sr"][:2]:
        path.unlink()
    with pytest.raises(InputError, match=r"(?s)sub-02: .*no such file.*sub-01: .*no such file"):
        run(cohort, tmp_path / "out.csv")


def test_affine_within_tolerance_is_accepted(cohort, tmp_path):
    save(Volume(pair(1)[1], AFFINE + 5e-5 * np.eye(4, k=3)), cohort[0]["sr"][1])
    run(cohort, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").exists()
