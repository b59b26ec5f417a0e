"""The gate of files that users name: what it refuses, and that positions survive it."""

import bz2
import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from mrisr.common.errors import InputError, ScanError
from mrisr.volumes import checks
from mrisr.volumes.io import Volume, check_grid
from mrisr.volumes.raw import load_mask, load_scan

AFFINE = np.diag([-1.0, 1, 1.2, 1])
DATA = np.random.default_rng(0).uniform(1, 9, (5, 6, 7)).astype(np.float32)


def patched(path, offset, code, *values):
    """Overwrite bytes of a NIfTI header, unchecked."""
    nib.save(nib.Nifti1Image(DATA, AFFINE), path)
    content = bytearray(path.read_bytes())
    struct.pack_into(code, content, offset, *values)
    path.write_bytes(content)
    return path


def test_a_scan_without_orientation_is_refused(tmp_path):
    path = patched(tmp_path / "scan.nii", 252, "<2h", 0, 0)
    with pytest.raises(ScanError, match=r"no orientation in the header .*left and right"):
        load_scan(path)


def test_mirrored_forms_are_refused(tmp_path):
    image = nib.Nifti1Image(DATA, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(np.diag([1.0, 1, 1.2, 1]), 1)
    nib.save(image, tmp_path / "scan.nii")
    with pytest.raises(ScanError, match=r"sform says that the axes point to LAS, its qform to RAS"):
        load_scan(tmp_path / "scan.nii")


def test_a_voxel_size_that_the_sform_denies_is_refused(tmp_path):
    path = patched(tmp_path / "scan.nii", 80, "<3f", 0.868, 0.868, 3)
    with pytest.raises(ScanError, match=r"pixdim says voxels of 0.868 x 0.868 x 3 mm, its sform 1"):
        load_scan(path)
    rounded = patched(tmp_path / "rounded.nii", 80, "<3f", 1.001, 0.999, 1.2)
    np.testing.assert_array_equal(load_scan(rounded).data, DATA)


@pytest.mark.parametrize("packed", [False, True])
def test_an_mgh_file_without_its_ras_flag_is_refused(tmp_path, packed):
    path = tmp_path / ("scan.mgz" if packed else "scan.mgh")
    nib.save(nib.MGHImage(DATA, AFFINE), path)
    np.testing.assert_allclose(load_scan(path).affine, AFFINE, atol=1e-5)
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    struct.pack_into(">h", content, 28, 0)
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    with pytest.raises(ScanError, match=r"no orientation in the header .*RAS flag"):
        load_scan(path)


def test_an_unknown_unit_is_noted_and_taken_as_millimetres(tmp_path):
    path = patched(tmp_path / "scan.nii", 123, "<B", 5)
    assert checks.header(path).notes == [
        "its unit of length, code 5, is unknown to NIfTI; taken as mm"
    ]
    np.testing.assert_allclose(load_scan(path).voxel_size, [1, 1, 1.2], rtol=1e-6)


def test_nan_in_a_mask_is_outside(tmp_path):
    mask = np.full(DATA.shape, np.nan, np.float32)
    mask[1:3, 2:4, 1:5] = 2
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii")
    loaded = load_mask(tmp_path / "mask.nii").data
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, mask == 2)


def test_a_mask_whose_qform_has_few_digits_is_on_the_grid_of_its_scan():
    """A qform in float32 beside the sform it was made of: the same grid in 200 of 200 headers."""
    random, shape = np.random.default_rng(3), (256, 256, 200)
    voxels = np.broadcast_to(np.float32(0), shape)
    for _ in range(200):
        turn = nib.eulerangles.euler2mat(*random.uniform(-0.6, 0.6, 3))
        affine = nib.affines.from_matvec(
            turn * random.uniform(0.4, 1.2), random.uniform(-130, 130, 3)
        )
        header = nib.Nifti1Header()
        header.set_data_shape(shape)
        header.set_qform(np.round(affine, 5), 1)
        scan, mask = (Volume(voxels, its) for its in (affine, header.get_qform()))
        check_grid(mask, "mask", scan, "scan")
    shifted = nib.affines.from_matvec(np.eye(3), [0.2, 0, 0]) @ affine
    with pytest.raises(InputError, match="voxels lie up to"):
        check_grid(Volume(voxels, shifted), "mask", scan, "scan")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git LFS.*git lfs pull"),
        (b"/annex/objects/SHA256E-s9--00.nii.gz\n", "git-annex.*datalad get"),
        (bz2.compress(bytes(999)), "packed by bzip2.*bunzip2"),
        (bytes(128) + b"DICM" + bytes(99), "a DICOM file.*dcm2niix"),
    ],
)
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.nii.bz2"])
def test_a_file_is_called_what_its_first_bytes_say(tmp_path, content, message, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / name)


def test_capitals_in_a_name_change_nothing(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((40, 40, 40), np.float32) + 5, AFFINE), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "A.NII.GZ")
    assert (load_scan(tmp_path / "A.NII.GZ").data == 5).all()
