import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.segment.labels import save_labels
from mrisr.segment.overlap import dice, iou, overlap_subjects, volume_difference
from mrisr.volumes.io import Volume, save
from mrisr.volumes.regions import COLOURS, REGIONS, TITLES

LABELS = range(1, 7)
PAIRS = st.tuples(*[arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 6))] * 2)


@given(PAIRS)
def test_identities(pair):
    a, b = pair
    d, j = dice(a, b, LABELS), iou(a, b, LABELS)
    assert d.shape == j.shape == (6,)
    assert ((d >= 0) & (d <= 1)).all()
    np.testing.assert_allclose(j, d / (2 - d), atol=1e-12)
    np.testing.assert_array_equal(d, dice(b, a, LABELS))
    assert (dice(a, a, LABELS) == 1).all() and (iou(a, a, LABELS) == 1).all()


@given(PAIRS, st.permutations(range(120)))
def test_where_voxels_lie_does_not_matter(pair, order):
    a, b = (labels.ravel() for labels in pair)
    np.testing.assert_array_equal(dice(a, b, LABELS), dice(a[order], b[order], LABELS))


def test_values_by_hand():
    a = np.array([1, 1, 1, 2, 0, 0])
    b = np.array([1, 1, 2, 2, 3, 0])
    np.testing.assert_allclose(dice(a, b, [1, 2, 3, 4]), [4 / 5, 2 / 3, 0, 1])
    np.testing.assert_allclose(iou(a, b, [1, 2, 3, 4]), [2 / 3, 1 / 2, 0, 1])


def test_volumes_by_hand():
    a, b = np.array([1, 1, 1, 2, 0, 0]), np.array([1, 2, 2, 2, 3, 0])
    np.testing.assert_allclose(volume_difference(a, b, [1, 2, 3, 4]), [100, 100, 200, 0])


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"\(2,\) and \(3,\)"):
        dice(np.zeros(2), np.zeros(3), [1])


def write(path, data, affine=None):
    save(Volume(data, np.eye(4) if affine is None else affine), path)
    return path


def test_rows_of_subjects(tmp_path, caplog):
    truth = np.tile(np.arange(7, dtype=np.uint8), (2, 2, 1))
    wrong = np.where(truth == 4, 3, truth).astype(np.uint8)
    gone = np.where(truth == 6, 0, truth).astype(np.uint8)
    files = [write(tmp_path / f"{i}.nii.gz", d) for i, d in enumerate((truth, wrong, gone))]
    overlap_subjects(
        [files[0], files[2]], [files[1], files[2]], ["sub-01", "sub-02"], tmp_path / "x.csv"
    )
    table = pd.read_csv(tmp_path / "x.csv").set_index(["subject", "region", "metric"])["value"]
    assert len(table) == 2 * 7 * 4
    assert table["sub-01", "deep_gray_matter", "dice"] == 0
    assert table["sub-01", "white_matter", "dice"] == pytest.approx(2 / 3)
    assert table["sub-01", "mean", "dice"] == pytest.approx((4 + 2 / 3) / 6)
    assert table["sub-01", "mean", "iou"] == pytest.approx((4 + 1 / 2) / 6)
    assert (table["sub-02"].unstack()[["dice", "iou"]] == 1).all(axis=None)
    assert (table["sub-02"].unstack()[["volume", "surface"]] == 0).all(axis=None)
    assert table["sub-01", "deep_gray_matter", "volume"] == 200
    assert table["sub-01", "white_matter", "volume"] == pytest.approx(100 * 4 / 6)
    assert table["sub-01", "deep_gray_matter", "surface"] == pytest.approx((4 + 4 + 49) ** 0.5)
    assert "sub-02: the ground truth's segmentation has no cerebellum" in caplog.text


def test_files_off_the_grid_are_all_named(tmp_path):
    truth = write(tmp_path / "truth.nii.gz", np.ones((3, 3, 3), np.uint8))
    small = write(tmp_path / "small.nii.gz", np.ones((3, 3, 2), np.uint8))
    moved = write(
        tmp_path / "moved.nii.gz", np.ones((3, 3, 3), np.uint8), np.diag([1.0, 1.0, 1.1, 1.0])
    )
    with pytest.raises(InputError, match=r"(?s)sub-1: .*small.*sub-2: .*moved.*voxels lie up to"):
        overlap_subjects([truth] * 2, [small, moved], ["sub-1", "sub-2"], tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_every_region_has_a_title_and_a_colour():
    assert list(REGIONS.values()) == list(LABELS)
    assert set(COLOURS) == set(REGIONS) == set(TITLES) - {"mean"}


def test_label_maps_that_changed_are_refused(tmp_path):
    labels = np.tile(np.arange(7, dtype=np.uint8), (2, 2, 1))
    truth, ours = tmp_path / "truth.nii.gz", tmp_path / "ours.nii.gz"
    for path in (truth, ours):
        save_labels(Volume(labels, np.eye(4)), path)
    overlap_subjects([truth], [ours], ["sub-1"], tmp_path / "x.csv")
    seals.check(tmp_path / "x.csv")
    image = nib.load(ours)
    edited = labels.copy()
    edited[0, 0, 3] = 4
    nib.save(nib.Nifti1Image(edited, None, image.header), ours)
    with pytest.raises(InputError, match=r"ours\.nii\.gz: labels changed since they were made"):
        overlap_subjects([truth], [ours], ["sub-1"], tmp_path / "y.csv")
    assert not (tmp_path / "y.csv").exists()
