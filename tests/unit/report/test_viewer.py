import base64
import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.report.viewer import gallery, pack
from mrisr.volumes.io import Volume, save

SHAPE = (24, 28, 30)
AFFINE = np.array([[-0.0, 0.8, 0, 5], [0.9, 0, 0, -7], [0, 0, 1.1, 3], [0, 0, 0, 1.0]])


@pytest.fixture
def sets(tmp_path):
    """One subject at two scales: truth, mask, LR, two methods; all in [0, 1]."""
    random = np.random.default_rng(3)
    truth = random.random(SHAPE, dtype=np.float32)
    mask = np.zeros(SHAPE, np.float32)
    mask[6:20, 8:22, 5:26] = 1
    mask[5:21, 8:22, 11] = 1  # the largest section

    def put(name, data, affine=AFFINE):
        path = tmp_path / f"{name}.nii.gz"
        save(Volume(data.astype(np.float32), affine), path)
        return str(path)

    found = []
    for scale in (2, 3):
        small = truth[::scale, ::scale, ::scale]
        affine = AFFINE @ np.diag([scale, scale, scale, 1])
        noise = random.normal(0, 0.1, SHAPE)
        images = {"near": np.clip(truth + noise, 0, 2), "far": truth / scale}
        found.append(
            {
                **{"dataset": "d", "dataset_label": "D", "subject": "sub-1", "scale": scale},
                **{"mask": put("mask", mask), "truth": put("truth", truth), "reference": None},
                "lr": put(f"lr{scale}", small, affine),
                "images": [
                    {"method": name, "label": name, "file": put(f"{name}{scale}", data)}
                    for name, data in images.items()
                ],
            }
        )
    return found


def stored(path):
    """A file's voxels as the page has them, in the nearest RAS+ orientation."""
    return nib.as_closest_canonical(nib.load(path)).get_fdata()


def unpacked(shown, place, key):
    its = shown.sets[place]
    name = next(image["blob"] for image in its["images"] if image["key"] == key)
    return opened(shown.blobs[name], its["shape"])


def opened(blob, shape):
    """Undo `pack`, as viewer.js does."""
    axes, *_ = data = gzip.decompress(base64.b64decode(blob))
    voxels = np.frombuffer(data[1:], np.uint8).reshape(shape, order="F")
    for axis in range(3):
        if axes >> axis & 1:
            voxels = voxels.cumsum(axis, dtype=np.uint8)
    return voxels


def ramp(*steps):
    places = np.indices((9, 11, 12))
    return (sum(step * place for step, place in zip(steps, places, strict=True)) % 256).astype(
        np.uint8
    )


@pytest.mark.parametrize("voxels", [ramp(0, 0, 0), ramp(3, 0, 0), ramp(9, 7, 31), ramp(80, 70, 9)])
def test_packed_voxels_come_back(voxels):
    np.testing.assert_array_equal(opened(pack(voxels), voxels.shape), voxels)
    turned = np.moveaxis(voxels, 0, 2)
    np.testing.assert_array_equal(opened(pack(turned), turned.shape), turned)


def test_smooth_volumes_pack_smaller_as_differences():
    x, y, z = np.indices((40, 40, 40)) / 6
    voxels = np.round(100 + 50 * (np.sin(x) + np.cos(y + z))).astype(np.uint8)
    assert len(pack(voxels)) < 0.8 * len(base64.b64encode(gzip.compress(voxels.tobytes(order="F"))))


def test_all_images_lie_on_the_crop_of_the_ground_truth(sets):
    shown = gallery(sets, 20)
    assert shown.remarks == [] and len(shown.sets) == 2
    # The mask and four voxels around it; the file's second axis is the first in RAS+.
    box = (slice(4, 26), slice(1, 24), slice(1, 30))
    truth = nib.load(sets[0]["truth"]).get_fdata()
    # The window of the figures: that of the slice with the largest section, and its margin.
    white = np.percentile(truth[1:25, 4:26, 11].astype(np.float32), 99.9)
    assert shown.sets[0]["white"] == pytest.approx(white)
    for key, file in (("truth", sets[1]["truth"]), ("far", sets[1]["images"][1]["file"])):
        voxels = unpacked(shown, 1, key)
        wanted = np.clip(stored(file)[box] / white, 0, 1) * 255
        assert np.abs(voxels - wanted).max() <= 0.5001


def test_errors_end_where_those_of_the_figure_end_at_all_scales(sets):
    shown = gallery(sets, 20)
    truth = nib.load(sets[0]["truth"]).get_fdata()
    errors = [
        np.abs(nib.load(image["file"]).get_fdata() - truth)[1:25, 4:26, 11]
        for its in sets
        for image in its["images"]
    ]
    end = np.percentile(np.concatenate([error.ravel() for error in errors]), 99.5)
    tops = {its["error_top"] for its in shown.sets}
    assert len(tops) == 1 and end <= tops.pop() < end + 0.011
    assert gallery([{**sets[0], "truth": None}], 20).sets[0]["error_top"] is None


def test_voxels_lie_in_the_nearest_orientation_that_the_page_draws(sets):
    shown = gallery(sets, 20)
    assert shown.sets[0]["shape"] == [22, 23, 29]
    assert shown.sets[0]["voxel_size"] == [0.8, 0.9, 1.1]


def test_lr_has_its_own_voxels_where_they_lie(sets):
    shown = gallery(sets, 20)
    voxels = unpacked(shown, 0, "lr")
    truth = unpacked(shown, 0, "truth")
    # Every second voxel of the ground truth is an LR voxel of this fixture: exactly its value.
    np.testing.assert_array_equal(voxels[::2, 1::2, 1::2], truth[::2, 1::2, 1::2])
    assert not np.array_equal(voxels, truth)


def test_a_ground_truth_serves_all_scales(sets):
    shown = gallery(sets, 20)
    assert len(shown.blobs) == 1 + 2 * 3
    assert [its["images"][0]["blob"] for its in shown.sets] == ["d-sub-1-truth"] * 2


def test_equal_volumes_are_there_once(sets):
    sets[0]["images"][1]["file"] = sets[0]["images"][0]["file"]
    shown = gallery(sets, 20)
    near, far = shown.sets[0]["images"][1:3]
    assert near["blob"] == far["blob"] and near["key"] != far["key"]
    assert len(shown.blobs) == 1 + 2 + 3


def test_the_budget_is_kept_and_what_is_left_out_is_said(sets):
    whole = gallery(sets, 20).megabytes
    shown = gallery(sets, whole / 2)
    assert whole / 3 < shown.megabytes <= whole / 2 and len(shown.sets) == 2
    depth = shown.sets[0]["shape"][2]
    assert 8 <= depth < 29 and "axial slices" in shown.remarks[0]
    largest = stored(sets[0]["truth"])[4:26, 1:24, 11] * 255 / shown.sets[0]["white"]
    near = [np.abs(at - largest).max() < 1 for at in np.moveaxis(unpacked(shown, 0, "truth"), 2, 0)]
    assert np.sum(near) == 1  # the largest section of the mask is there
    few = gallery(sets, whole / 5)
    assert len(few.sets) == 1 and few.megabytes <= whole / 5
    assert few.remarks[-1] == "Left out for the same reason: D, sub-1, 3×."
    none = gallery(sets, 1e-4)
    assert none.sets == [] and none.blobs == {}


def test_the_same_volumes_give_the_same_bytes(sets):
    assert gallery(sets, 20) == gallery(sets, 20)


def test_what_is_not_there_yet_is_left_out(sets, tmp_path):
    sets[0]["images"][0]["file"] = str(tmp_path / "no.nii.gz")
    shown = gallery([*sets, {**sets[0], "truth": str(tmp_path / "no.nii.gz")}], 20)
    assert [image["key"] for image in shown.sets[0]["images"]] == ["truth", "far", "lr"]
    assert shown.remarks == ["1 of 3 sets are not there yet."]
    assert gallery([], 20).sets == []


def test_real_scans_are_shown_without_truth_and_with_their_reference(sets, tmp_path):
    hr = tmp_path / "hr.nii.gz"
    shutil.copy(sets[0]["truth"], hr)
    shown = gallery([{**sets[0], "truth": None, "reference": str(hr)}], 20)
    its = shown.sets[0]
    assert not its["measured"]
    assert [image["kind"] for image in its["images"]] == ["sr", "sr", "lr", "reference"]
    own = unpacked(shown, 0, "reference")
    far = unpacked(shown, 0, "far")
    assert np.corrcoef(own.ravel(), far.ravel())[0, 1] > 0.99


def test_a_volume_off_the_grid_is_refused(sets):
    save(Volume(np.ones((4, 4, 4), np.float32), AFFINE), sets[0]["images"][1]["file"])
    with pytest.raises(InputError, match=r"far2\.nii\.gz: \(4, 4, 4\) voxels, but .*truth"):
        gallery(sets, 20)
