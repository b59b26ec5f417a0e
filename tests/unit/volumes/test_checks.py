"""What makes a scan unusable."""

import gzip
import pickle

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import AFFINE, head
from mrisr.common.errors import InputError, Problem, ScanError
from mrisr.volumes import checks, io


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.nii"
    nib.save(nib.Nifti1Image(head(), AFFINE), path)
    return path


def look(path):
    """Check a file as fetching and preparing do; return whether it is refused."""
    report = checks.header(path)
    if report.problems:
        return True
    try:
        volume = io.load(path)
    except ScanError:
        return True
    return bool(checks.voxel_problems(volume.data) or checks.affine_problems(volume.affine))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_a_damaged_header_is_refused_in_words_or_read(scan, data, packed):
    content = bytearray(scan.read_bytes())
    at = data.draw(st.integers(0, 351))
    changed = data.draw(st.binary(min_size=1, max_size=8))
    content[at : at + len(changed)] = changed
    path = scan.with_name("damaged.nii.gz" if packed else "damaged.nii")
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    look(path)  # nothing but ScanError may be raised inside


@settings(max_examples=50, deadline=None)
@given(at=st.integers(0), value=st.integers(1, 255))
def test_a_damaged_byte_of_gzip_never_changes_a_voxel(scan, at, value):
    content = bytearray(gzip.compress(scan.read_bytes(), 1))
    content[at % len(content)] ^= value
    path = scan.with_name("flipped.nii.gz")
    path.write_bytes(content)
    if not look(path):  # its name and time of compression do not matter
        np.testing.assert_array_equal(io.load(path).data, io.load(scan).data)


def test_a_sound_scan(scan):
    report = checks.header(scan)
    assert (report.shape, report.orientation, report.kind) == ((20, 22, 24), "LAS", "int16")
    np.testing.assert_allclose(report.voxel_size, (0.9, 1.1, 1.5), rtol=1e-6)
    assert report.bytes == scan.stat().st_size
    assert report.problems == report.notes == []
    report.refuse()


def test_all_problems_of_a_header_are_named(tmp_path):
    path = tmp_path / "scan.nii"
    affine = AFFINE + np.array([[0, 0.4, 0, 0], *[[0] * 4] * 3])
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), affine), path)
    report = checks.header(path)
    assert [problem.what.split()[0] for problem in report.problems] == ["4-D", "the"]
    with pytest.raises(ScanError, match=r"scan\.nii: 4-D .*; .* \| the affine is sheared .*; "):
        report.refuse()


def test_an_error_of_a_scan_survives_another_process():
    error = ScanError("sub-01", Problem("constant", "leave it out"), Problem("sheared", "resample"))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, InputError)
    assert str(again) == "sub-01: constant; leave it out | sheared; resample"
    assert again.problems == error.problems


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1)])
def test_affines_are_in_millimetres_whatever_the_unit(tmp_path, unit, factor):
    image = nib.Nifti1Image(head(), np.diag([factor, factor, factor, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii")
    np.testing.assert_allclose(io.load(tmp_path / "scan.nii").affine, AFFINE, rtol=1e-6)


@given(depth=st.floats(0, 0.099), share=st.floats(0, 0.009), gain=st.floats(1e-3, 1e5))
def test_ringing_is_accepted_whatever_the_unit_of_intensity(depth, share, gain):
    data = head(dtype=np.float32)
    bright = np.quantile(data[data > 0], checks.BRIGHT)
    dark = np.argwhere(data == 0)[: int(share * (data > 0).sum())]
    data[tuple(dark.T)] = -depth * bright
    assert checks.voxel_problems(gain * data) == []


@given(mean=st.floats(0.3, 3), gain=st.floats(1e-3, 1e5))
def test_standardised_intensities_are_refused(mean, gain):
    data = head(dtype=np.float32)
    data = data / data[data > 0].mean() - mean
    assert "no magnitudes" in checks.voxel_problems(gain * data)[0].what


def test_a_published_checksum_that_does_not_fit(scan):
    said = checks.published_problems(scan, {"bytes": 5, "md5": "x"}, "the list states")
    assert [str(problem) for problem in said] == [
        f"{scan.stat().st_size} bytes where the list states 5; copy or download it again"
    ]
    (md5,) = checks.published_problems(scan, {"md5": "x"}, "the list states")
    assert "its md5 is" in md5.what
    assert checks.published_problems(scan, {"bytes": scan.stat().st_size}, "") == []


def brain(shape=(24, 26, 28)):
    """A ball of smooth signal in a background of 0."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    radius = np.sqrt((grid**2).sum(0))
    data = np.where(radius < 0.7, 500 + 300 * np.cos(5 * grid[0]) + 90 * grid[1], 0)
    return data.astype(np.float32)


@pytest.mark.parametrize("offset", [30, 1024])
def test_a_background_above_0_is_refused(offset):
    assert checks.voxel_problems(brain()) == [] and checks.voxel_notes(brain()) == []
    (problem,) = checks.voxel_problems(brain() + offset)
    assert problem.what.startswith(f"background above 0: its darkest voxels are {offset:.3g}")
    assert "take the offset out" in problem.remedy


def test_a_noisy_background_is_no_offset_and_one_on_it_is():
    noise = np.abs(np.random.default_rng(0).normal(0, 8, brain().shape)).astype(np.float32)
    assert checks.voxel_problems(brain() + noise) == []
    assert "background above 0" in checks.voxel_problems(brain() + noise + 100)[0].what


def test_a_volume_without_background_has_no_offset():
    data = np.random.default_rng(0).uniform(100, 1000, (20, 20, 20)).astype(np.float32)
    assert checks.voxel_problems(data) == []


def _one_voxel(data):
    return np.where(np.arange(data.size).reshape(data.shape) == 9000, data.max(), 0)


def _slab(data):
    data[10:14] = 0
    return data


def _offset_in_part(data):
    random = np.random.default_rng(0)
    data = np.maximum(data, 150 + random.normal(0, 4, data.shape))
    data[:, :, :9] = 0  # as defacing leaves it
    return data


def _ct(data):
    """Hounsfield units + 1024: air with its noise, soft tissue, a shell of bone."""
    random = np.random.default_rng(0)
    ct = np.where(data > 0, random.normal(1060, 8, data.shape), 0)
    ct[np.isin(np.round(data) % 7, (3,)) & (data > 0)] = 1900
    return np.where(data > 0, ct, np.abs(random.normal(0, 25, data.shape)))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (_offset_in_part, "is it a background with an offset, set to 0 in part?"),
        (_ct, "is it CT, or was an offset added?"),
        (_one_voxel, "only 1 of 17472 voxels are above 0"),
        (lambda data: np.digitize(data, [1, 300, 500, 700]), "5 different whole numbers"),
        (_slab, "4 slices along x are empty"),
        (lambda data: data.max() - data, "is the contrast inverted?"),
    ],
)
def test_what_is_unusual_about_voxels_is_said(change, note):
    data = change(brain()).astype(np.float32)
    assert checks.voxel_problems(data) == []
    notes = checks.voxel_notes(data)
    assert len(notes) == 1 and note in notes[0]
