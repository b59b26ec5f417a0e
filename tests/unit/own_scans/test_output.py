"""What `mrisr sr` writes, read back by a reader that shares no code with it."""

import gzip
import itertools
import struct

import nibabel as nib
import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.own_scans.output import clipped, save_like
from mrisr.volumes.io import Volume
from mrisr.volumes.raw import load_scan

SHAPE = (4, 5, 6)
EDGES = (0.9, 1.1, 1.5)
# Of NIfTI: code of the unit of length, and how many of it a millimetre is.
UNITS = {0: 1, 1: 1e-3, 2: 1, 3: 1e3, 5: 1}
CODES = [(1, 0), (0, 1), (4, 1), (2, 2)]
ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def matrix(order, signs):
    """An oblique affine near one of the 48 orientations, mm."""
    frame = np.zeros((3, 3))
    for axis, (to, sign) in enumerate(zip(order, signs, strict=True)):
        frame[to, axis] = sign * EDGES[axis]
    angle = 0.15
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ frame, (31.25, -40.5, 12.125)
    return affine


def place(path, voxel):
    """Where sform and qform put a voxel, in mm, of the raw bytes by the NIfTI standard alone."""
    raw = path.read_bytes()[:352]
    pixdim = struct.unpack_from("<8f", raw, 76)
    (units,) = struct.unpack_from("<B", raw, 123)
    qcode, scode = struct.unpack_from("<2h", raw, 252)
    b, c, d, *start = struct.unpack_from("<6f", raw, 256)
    sform = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
    rest = 1 - b * b - c * c - d * d
    # Of a half turn rest is 0 but for the rounding of b, c and d: the standard's code drops it.
    a = rest**0.5 if rest > 1e-6 else 0.0
    b, c, d = np.array([b, c, d]) / (1 if rest > 1e-6 else (1 - rest) ** 0.5)
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = np.array([pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)])
    qform = turn @ (steps * voxel) + start
    length = {0: 1, 1: 1e3, 2: 1, 3: 1e-3}[units & 7]
    found = {"units": units, "codes": (scode, qcode)}
    if scode:
        found["sform"] = length * (sform @ [*voxel, 1])
    if qcode:
        found["qform"] = length * qform
    return found


def write(path, affine, unit, codes, qform=None):
    """Write a scan in a unit, with codes, whatever they are."""
    data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    factor = np.diag([*[UNITS[unit]] * 3, 1])
    image = nib.Nifti1Image(data, factor @ affine)
    image.set_sform(factor @ affine, codes[0])
    image.set_qform(factor @ (affine if qform is None else qform), codes[1])
    image.header["xyzt_units"] = unit | 16  # milliseconds
    nib.save(image, path)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("codes", CODES)
def test_voxels_stay_where_they_are_in_the_world(tmp_path, unit, codes):
    for order, signs in ORIENTATIONS:
        affine = matrix(order, signs)
        write(tmp_path / "scan.nii", affine, unit, codes)
        scan = load_scan(tmp_path / "scan.nii")
        save_like(scan, scan, tmp_path / "sr.nii", "a test")
        for voxel in ((0, 0, 0), (3, 0, 2), (3, 4, 5)):
            found = place(tmp_path / "sr.nii", np.array(voxel))
            assert found["codes"] == codes
            assert found["units"] == 2 | 16
            for form in found.keys() & {"sform", "qform"}:
                expected = affine[:3, :3] @ voxel + affine[:3, 3]
                np.testing.assert_allclose(found[form], expected, atol=1e-3)


def test_a_code_does_not_stay_on_a_matrix_of_another_space(tmp_path):
    affine, other = matrix((0, 1, 2), (1, 1, 1)), matrix((0, 1, 2), (1, 1, 1))
    other[:3, 3] += 7
    write(tmp_path / "scan.nii", affine, 2, (4, 1), qform=other)
    scan = load_scan(tmp_path / "scan.nii")
    save_like(scan, scan, tmp_path / "sr.nii", "a test")
    found = place(tmp_path / "sr.nii", np.array([1, 2, 3]))
    assert found["codes"] == (4, 4)
    np.testing.assert_allclose(found["qform"], found["sform"], atol=1e-3)


def test_overshoot_is_clipped_to_the_range_of_the_scan_and_recorded(tmp_path):
    data = np.array([-3, 0, 5, 12], np.float32).reshape(4, 1, 1)
    volume = Volume(data.copy(), np.eye(4))
    said = clipped(volume, 0, 10, "scan")
    assert volume.data.ravel().tolist() == [0, 0, 5, 10]
    assert said == "clipped, 2 of 4 voxels beyond the scan's 0 to 10"
    save_like(volume, volume, tmp_path / "sr.nii", said)
    kept = nib.load(tmp_path / "sr.nii").header.extensions[0].get_content()
    assert said in (kept.decode() if isinstance(kept, bytes) else kept)
    whole = Volume(data.copy(), np.eye(4))
    assert clipped(whole, 0, 10, "none").startswith("not clipped, 2 of 4")
    np.testing.assert_array_equal(whole.data, data)


@pytest.mark.parametrize(
    ("said", "at", "code", "value"),
    [
        ("positions of voxels (sform)", 292, "<f", 9.0),
        ("positions of voxels (qform)", 268, "<f", 9.0),
        ("voxel size", 80, "<f", 2.0),
        ("unit of length", 123, "<B", 3),
        ("codes of sform and qform", 254, "<h", 3),
    ],
)
@pytest.mark.parametrize("name", ["sr.nii", "sr.nii.gz"])
def test_a_header_that_is_written_otherwise_is_found_before_the_file_has_its_name(
    tmp_path, monkeypatch, said, at, code, value, name
):
    volume = Volume(np.random.default_rng(0).random(SHAPE, np.float32), np.eye(4))
    save = nib.save

    def other(image, path):
        save(image, path)
        packed = path.suffix == ".gz"
        content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
        struct.pack_into(code, content, at, value)
        path.write_bytes(gzip.compress(content) if packed else content)

    monkeypatch.setattr(nib, "save", other)
    with pytest.raises(InputError, match=f"{name}: not written, for its ") as caught:
        save_like(volume, volume, tmp_path / name, "a test")
    assert said in str(caught.value) and list(tmp_path.iterdir()) == []
    monkeypatch.setattr(nib, "save", save)
    save_like(volume, volume, tmp_path / name, "a test")
    assert load_scan(tmp_path / name).data.shape == SHAPE


def test_intensities_that_do_not_arrive_are_found(tmp_path, monkeypatch):
    volume = Volume(np.ones(SHAPE, np.float32), np.eye(4))
    save = nib.save
    half = nib.Nifti1Image(np.full(SHAPE, 0.5, np.float32), np.eye(4))

    def other(image, path):
        save(nib.Nifti1Image(half.dataobj, None, image.header), path)

    monkeypatch.setattr(nib, "save", other)
    with pytest.raises(InputError, match="for its intensities would not be"):
        save_like(volume, volume, tmp_path / "sr.nii", "a test")


def test_a_sheared_affine_has_no_qform(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.009  # as much as is taken
    data = np.ones((4, 200, 6), np.float32)
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, 1)
    image.header["qform_code"] = 0
    nib.save(image, tmp_path / "scan.nii")
    scan = load_scan(tmp_path / "scan.nii")
    save_like(scan, scan, tmp_path / "sr.nii", "a test")
    found = place(tmp_path / "sr.nii", np.array([0, 199, 0]))
    assert found["codes"] == (1, 0)
    np.testing.assert_allclose(found["sform"], affine[:3, :3] @ [0, 199, 0], atol=1e-3)
