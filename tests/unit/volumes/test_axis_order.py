import nibabel as nib
import numpy as np
import pytest

from mrisr.volumes.axis_order import ORDERS, AxisOrder
from mrisr.volumes.io import canonical, load, save
from mrisr.volumes.raw import load_scan
from orientations import ORIENTATIONS, stored_as


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_what_a_canonical_volume_is_turned_to_is_what_its_file_has(codes, tmp_path):
    raw = stored_as(codes)
    save(raw, tmp_path / "scan.nii.gz")
    ready = canonical(load_scan(tmp_path / "scan.nii.gz"))
    save(ready, tmp_path / "ready.nii.gz")
    again = load(tmp_path / "ready.nii.gz")
    assert (again.stored or "RAS") == codes
    for order, expected in (("file", raw.data), ("file_reversed", raw.data.T)):
        turn = AxisOrder.of(again, order)
        np.testing.assert_array_equal(turn.there(again.data), expected)
        np.testing.assert_array_equal(turn.back(expected), again.data)
        assert turn.shape(again.data.shape) == expected.shape
        # A voxel's place in mm goes with it.
        index = np.array([1, 2, 0])
        place = nib.affines.apply_affine(turn.affine(again.affine, again.data.shape), index)
        where = nib.affines.apply_affine(np.linalg.inv(again.affine), place).round().astype(int)
        assert again.data[tuple(where)] == expected[tuple(index)]
    same = AxisOrder.of(again, "canonical")
    np.testing.assert_array_equal(same.there(again.data), again.data)


@pytest.mark.parametrize("order", ORDERS)
def test_a_volume_that_was_not_turned_goes_by_its_affine(order):
    raw = stored_as("PIR")
    turn = AxisOrder.of(raw, order)
    expected = {"canonical": canonical(raw).data, "file": raw.data, "file_reversed": raw.data.T}
    np.testing.assert_array_equal(turn.there(raw.data), expected[order])
    np.testing.assert_array_equal(turn.back(turn.there(raw.data)), raw.data)


def test_a_prepared_volume_that_is_given_as_a_scan_is_what_it_is(tmp_path):
    save(canonical(stored_as("LPS")), tmp_path / "hr.nii.gz")
    assert load(tmp_path / "hr.nii.gz").stored == "LPS"
    assert load_scan(tmp_path / "hr.nii.gz").stored == ""


@pytest.mark.parametrize("codes", ["LAR", "las", "LASx"])
def test_notes_of_other_programs_say_nothing_about_axes(codes, tmp_path):
    save(stored_as("RAS"), tmp_path / "a.nii", f"scan stored as {codes}")
    assert load(tmp_path / "a.nii").stored == ""
