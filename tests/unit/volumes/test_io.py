"""What mrisr.volumes.io reads, refuses and writes."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrisr.common.errors import InputError
from mrisr.volumes import io

AFFINE = np.array(
    [[-0.9, 0.02, 0, 80.5], [0.02, 1.1, -0.1, -120.25], [0, 0.1, 1.25, -60], [0, 0, 0, 1]]
)


def noise(shape=(5, 6, 7), dtype=np.float32):
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def nifti(path, data, affine=AFFINE):
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    dtype=st.sampled_from([np.uint8, np.int16, np.float32]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_round_trip_keeps_data_and_affine(tmp_path_factory, shape, dtype, suffix):
    path = tmp_path_factory.mktemp("io") / f"scan{suffix}"
    data = noise(shape, dtype)
    io.save(io.Volume(data, AFFINE), path)
    volume = io.load(path)
    assert nib.load(path).get_data_dtype() == dtype
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(volume.voxel_size, np.sqrt((AFFINE[:3, :3] ** 2).sum(0)), rtol=1e-6)


def test_other_types_become_float32_and_bool_becomes_uint8(tmp_path):
    for dtype, stored in [(np.float64, np.float32), (np.int64, np.float32), (bool, np.uint8)]:
        io.save(io.Volume(noise(dtype=dtype), AFFINE), tmp_path / "scan.nii")
        assert nib.load(tmp_path / "scan.nii").get_data_dtype() == stored


def test_sform_and_qform_agree(tmp_path):
    rigid = nib.affines.from_matvec(np.diag([2.0, 2, 3]), [1, 2, 3])
    io.save(io.Volume(noise(), rigid), tmp_path / "scan.nii")
    header = nib.load(tmp_path / "scan.nii").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform())
    assert header.get_xyzt_units()[0] == "mm"


def test_scaling_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.full((2, 2, 2), 10, np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / "scan.nii")
    stored = nib.load(tmp_path / "scan.nii")
    slope, inter = stored.dataobj.slope, stored.dataobj.inter
    raw = np.asarray(stored.dataobj.get_unscaled())
    np.testing.assert_allclose(io.load(tmp_path / "scan.nii").data, raw * slope + inter)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    """Also from another process, at another time and under another name."""
    code = (
        "import sys, numpy as np; from mrisr.volumes import io;"
        "data = np.arange(60, dtype=np.float32).reshape(3, 4, 5);"
        "io.save(io.Volume(data, np.eye(4)), sys.argv[1])"
    )
    source = str(Path(io.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.nii.gz")], check=True, cwd=source)
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    io.save(io.Volume(data, np.eye(4)), tmp_path / "a.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_trailing_axes_of_length_one_are_dropped(tmp_path):
    data = noise((4, 5, 1, 1, 1))
    assert io.load(nifti(tmp_path / "scan.nii.gz", data)).data.shape == (4, 5, 1)


def test_missing(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.nii\.gz: no such file"):
        io.load(tmp_path / "nowhere.nii.gz")


CONTENTS = [b"not an image\n" * 50, b"", gzip.compress(b"text" * 200)]


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.mgz", "scan.mgh", "scan.txt"])
@pytest.mark.parametrize("content", CONTENTS, ids=["text", "empty", "packed text"])
def test_not_an_image(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError, match=rf"{name}: .*(not an? \w+ file|cannot be read|header is damaged).*; "
    ):
        io.load(tmp_path / name)


def test_a_large_volume_that_is_packed_like_no_scan_is_refused_by_its_sizes(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape((640, 640, 640))
    header["magic"], header["vox_offset"] = b"n+1", 352
    packed = gzip.compress(header.binaryblock + bytes(4) + bytes(6 << 20), 1)
    path = tmp_path / "scan.nii.gz"
    # A real one would be 1,049 MB of zeros; it is refused before any of them is unpacked.
    path.write_bytes(packed + np.random.default_rng(0).bytes(5 << 20))
    told = r"5\.3 MB that would unpack to 1,049 MB \(640 x 640 x 640 voxels\), 198 times as many"
    with pytest.raises(InputError, match=told):
        io.load_image(path)


def test_sizes_of_a_large_volume_are_said_before_it_is_read(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(io, "MANY", 1000)
    caplog.set_level("INFO", "mrisr")
    nib.save(nib.Nifti1Image(noise(dtype=np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    io.load(tmp_path / "scan.nii.gz")
    assert "scan.nii.gz: reading 0.0 MB, 0 MB unpacked, " in caplog.text


def test_advice_on_a_damaged_result_is_to_make_it_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, remedy in (("results/s/sr", "run snakemake again"), ("data", "copy or download")):
        path = Path(folder, "sub-01.nii.gz")
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(noise(dtype=np.float32), np.eye(4)), path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(InputError, match=f"sub-01.nii.gz: truncated or damaged .*{remedy}"):
            io.load(path)


def test_a_folder_is_not_a_scan(tmp_path):
    (tmp_path / "scan.nii.gz").mkdir()
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        io.load(tmp_path / "scan.nii.gz")


def test_another_format(tmp_path):
    nib.save(nib.Spm99AnalyzeImage(noise(dtype=np.int16), np.eye(4)), tmp_path / "scan.img")
    with pytest.raises(InputError, match=r"scan\.img: .* where NIfTI or MGH is expected"):
        io.load(tmp_path / "scan.img")


@pytest.mark.parametrize("name", ["scan.mgz", "scan.mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_mgh_is_read_like_nifti(tmp_path, name, dtype):
    data = noise(dtype=dtype)
    rigid = nib.affines.from_matvec(np.diag([-0.9, 1.1, 1.25]), [80.5, -120.25, -60])
    nib.save(nib.MGHImage(data, rigid), tmp_path / name)
    volume = io.load(tmp_path / name)
    assert volume.data.dtype == np.float32 and volume.header is None
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, rigid, atol=1e-5)
    assert io.canonical_shape(tmp_path / name) == data.shape
    io.save(volume, tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(io.load(tmp_path / "scan.nii.gz").data, data)


def test_mgh_series_is_refused(tmp_path):
    nib.save(nib.MGHImage(noise((4, 4, 4, 3)), np.eye(4)), tmp_path / "bold.mgz")
    with pytest.raises(InputError, match=r"bold.*4-D with shape \(4, 4, 4, 3\).*split"):
        io.load(tmp_path / "bold.mgz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgh", ".mgz"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_truncated(tmp_path, suffix, part):
    path = tmp_path / f"scan{suffix}"
    kind = nib.Nifti1Image if "nii" in suffix else nib.MGHImage
    nib.save(kind(noise((20, 20, 20)), np.eye(4)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=rf"scan{suffix}: .*(again|convert)") as caught:
        io.load(path)
    assert "\n" not in str(caught.value)


def test_damaged_inside(tmp_path):
    path = nifti(tmp_path / "scan.nii.gz", noise((20, 20, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :: 7] = b"\xff" * len(content[len(content) // 2 :: 7])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"scan\.nii\.gz: .*again"):
        io.load(path)


def test_series_is_refused(tmp_path):
    path = nifti(tmp_path / "bold.nii.gz", noise((4, 4, 4, 3)))
    with pytest.raises(InputError, match=r"bold.*4-D with shape \(4, 4, 4, 3\).*split"):
        io.load(path)


@pytest.mark.parametrize(
    "dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]], ids=["complex", "rgb"]
)
def test_not_scalar_is_refused(tmp_path, dtype):
    path = nifti(tmp_path / "scan.nii.gz", np.zeros((3, 3, 3), dtype))
    with pytest.raises(InputError, match=r"scan\.nii\.gz: voxels of type .*scalar"):
        io.load(path)


def test_nothing_is_left_when_saving_fails(tmp_path, monkeypatch):
    io.save(io.Volume(noise(), AFFINE), tmp_path / "scan.nii.gz")
    before = (tmp_path / "scan.nii.gz").read_bytes()

    def fail(image, path):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(nib, "save", fail)
    for name in ["scan.nii.gz", "new.nii.gz"]:
        with pytest.raises(OSError, match="disk full"):
            io.save(io.Volume(2 * noise(), AFFINE), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]
    assert (tmp_path / "scan.nii.gz").read_bytes() == before


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"scan\.nii\.gz: not a regular file"):
        io.load(tmp_path / "scan.nii.gz")
