import math

import numpy as np
import pandas as pd
import pytest

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.segment.labels import save_labels
from mrisr.segment.tissues import (
    MEASURED,
    contrast_gain,
    errors,
    snr_gain,
    tissue_subjects,
)
from mrisr.volumes.io import Volume, save
from mrisr.volumes.regions import REGIONS

INTENSITIES = (0.1, 0.4, 0.8, 0.5, 0.7, 0.6)


@pytest.fixture
def brain():
    """Slabs of the six tissues with noise of 0.02, and a background of 0."""
    labels = np.zeros((9, 9, 70), np.uint8)
    for i, label in enumerate(REGIONS.values()):
        labels[1:-1, 1:-1, 2 + 11 * i : 13 + 11 * i] = label
    truth = np.array([0, *INTENSITIES])[labels]
    noise = np.random.default_rng(0).normal(0, 0.02, labels.shape)
    return truth + np.where(labels, noise, 0), labels


def test_errors_are_those_of_each_tissue(brain):
    truth, labels = brain
    image = truth + np.where(labels == REGIONS["csf"], 0.06, 0)
    found = errors(truth, image, labels)
    assert found["csf"] == pytest.approx(100 * 0.06 / np.ptp(truth))
    assert all(found[name] == 0 for name in REGIONS if name != "csf")
    assert found["mean"] == pytest.approx(found["csf"] / 6)
    labels = np.where(labels == REGIONS["brain_stem"], 0, labels)
    without = errors(truth, image, labels)
    assert math.isnan(without["brain_stem"]) and without["mean"] == pytest.approx(found["csf"] / 5)


def test_half_the_noise_is_twice_the_snr(brain):
    truth, labels = brain
    tissue = np.array([0, *INTENSITIES])[labels]
    less = tissue + (truth - tissue) / 2
    assert snr_gain(truth, truth, labels) == 0
    assert snr_gain(truth, less, labels) == pytest.approx(20 * np.log10(2), abs=0.05)
    # What other tissues leave in the edge of white matter is not counted as noise.
    edge = labels == REGIONS["white_matter"]
    edge[2:-2, 2:-2, 25:34] = False
    assert snr_gain(truth, np.where(edge, 0, truth), labels) == 0
    assert math.isnan(snr_gain(truth, np.zeros_like(truth), labels))
    assert math.isnan(snr_gain(truth, truth, np.zeros_like(labels)))


def test_contrast_of_white_and_gray_matter(brain):
    truth, labels = brain
    assert contrast_gain(truth, truth, labels) == 1
    assert contrast_gain(truth, 3 * truth, labels) == pytest.approx(1)  # a gain is no contrast
    gray = labels == REGIONS["gray_matter"]
    darker = np.where(gray, truth - 0.2, truth)
    assert contrast_gain(truth, darker, labels) == pytest.approx(
        (0.6 / 1.0) / (0.4 / 1.2), rel=0.02
    )
    assert contrast_gain(truth, np.zeros_like(truth), labels) == 0
    assert math.isnan(contrast_gain(truth, truth, np.where(gray, 0, labels)))


def files(folder, truth, image, labels, affine=None):
    paths = [folder / f"{name}.nii.gz" for name in ("truth", "image", "labels")]
    save(Volume(truth.astype(np.float32), np.eye(4)), paths[0])
    moved = np.eye(4) if affine is None else affine
    save(Volume(image.astype(np.float32), moved), paths[1])
    save_labels(Volume(labels, np.eye(4)), paths[2])
    return [[path] for path in paths]


def test_rows_of_a_subject(brain, tmp_path):
    truth, labels = brain
    labels = np.where(labels == REGIONS["white_matter"], 0, labels).astype(np.uint8)
    given = files(tmp_path, truth, 0.9 * truth, labels)
    tissue_subjects(*given, ["sub-1"], tmp_path / "x.csv")
    seals.check(tmp_path / "x.csv")
    table = pd.read_csv(tmp_path / "x.csv").set_index(["region", "metric"])["value"]
    assert list(table.index) == list(MEASURED)
    missing = table["white_matter"].isna()
    assert missing.all() and len(missing) == 3 and table.notna().sum() == len(MEASURED) - 3
    assert table["gray_matter", "rmse"] == pytest.approx(4 / np.ptp(truth), rel=0.05)


def test_volumes_that_do_not_fit_are_named(brain, tmp_path):
    truth, labels = brain
    given = files(tmp_path, truth, truth, labels, np.diag([1.0, 1.1, 1.0, 1.0]))
    with pytest.raises(InputError, match=r"(?s)sub-1: .*image\.nii\.gz.*voxels lie up to"):
        tissue_subjects(*given, ["sub-1"], tmp_path / "x.csv")
    broken = np.where(labels == 1, np.nan, truth)
    with pytest.raises(InputError, match="holds NaN"):
        tissue_subjects(*files(tmp_path, truth, broken, labels), ["sub-1"], tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()
