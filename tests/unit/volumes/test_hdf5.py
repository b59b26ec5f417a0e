"""Scans in HDF5 files, laid out as SKM-TEA's."""

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr.common.errors import InputError
from mrisr.volumes import checks, hdf5, raw

FORM = {
    "kind": "hdf5",
    "dataset": "target",
    "echo": 1,
    "voxel_size": [0.5, 0.4, 0.8],
    "orientation": ["SI", "AP", "LR"],
}
SHAPE = (5, 6, 4)


def complex_noise(shape, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(np.complex64)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "MTR_001.h5"
    with h5py.File(path, "w") as content:
        content["target"] = complex_noise((*SHAPE, 2, 1))
        content["echo1"] = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
        content["two_maps"] = np.zeros((*SHAPE, 2, 2))
        content["flat"] = np.zeros((5, 6))
        content["words"] = "a text"
        content["stats/echo1"] = np.zeros(SHAPE)
    return path


def check(path, form):
    checks.header(path, form).refuse()


def test_the_magnitude_of_an_echo_is_read(file):
    target = complex_noise((*SHAPE, 2, 1))
    for echo in (1, 2):
        volume = raw.load_scan(file, FORM | {"echo": echo})
        assert volume.data.dtype == np.float32 and volume.data.flags.c_contiguous
        np.testing.assert_allclose(volume.data, np.abs(target[..., echo - 1, 0]), rtol=1e-6)
    report = checks.header(file, FORM)
    assert (report.shape, report.kind, report.problems) == (SHAPE, "complex64", [])
    assert (report.orientation, report.voxel_size) == ("IPR", (0.5, 0.4, 0.8))


def test_a_real_array_of_three_axes_is_read_as_it_is(file):
    volume = raw.load_scan(file, FORM | {"dataset": "echo1"})
    np.testing.assert_array_equal(volume.data.ravel(), np.arange(np.prod(SHAPE)))
    assert raw.load_scan(file, FORM | {"dataset": "stats/echo1"}).data.shape == SHAPE


AXES = st.permutations([["LR", "RL"], ["AP", "PA"], ["IS", "SI"]]).flatmap(
    lambda pairs: st.tuples(*map(st.sampled_from, pairs))
)


@settings(max_examples=30)
@given(orientation=AXES, edges=st.tuples(*[st.floats(0.2, 4)] * 3))
def test_the_affine_has_the_stated_orientation_and_voxel_size_around_0_mm(orientation, edges):
    affine = hdf5._affine("x", FORM | {"orientation": orientation, "voxel_size": edges}, SHAPE)
    assert "".join(nib.aff2axcodes(affine)) == "".join(code[1] for code in orientation)
    np.testing.assert_allclose(nib.affines.voxel_sizes(affine), edges)
    middle = (np.array(SHAPE) - 1) / 2
    np.testing.assert_allclose(affine @ [*middle, 1], [0, 0, 0, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "image"}, r"no array 'image'; .*echo1, flat, target, two_maps, words"),
        ({"dataset": "stats"}, r"no array 'stats'; "),
        ({"dataset": "flat"}, r"'flat' has shape \(5, 6\); X x Y x Z is expected"),
        ({"dataset": "two_maps"}, r"'two_maps' has shape \(5, 6, 4, 2, 2\); .*1 coil map"),
        ({"dataset": "words"}, r"'words' holds object; .*numbers"),
        ({"echo": 3}, r"no echo 3, 'target' has 2; set format\.echo"),
        ({"dataset": "echo1", "echo": 2}, r"no echo 2, 'echo1' has 1; "),
        ({"orientation": ["SI", "IS", "LR"]}, r"orientation \['SI', 'IS', 'LR'\]; one of LR"),
        ({"voxel_size": [0.5, 0, 0.8]}, r"voxel size \[0\.5, 0, 0\.8\]; three edges"),
    ],
)
@pytest.mark.parametrize("read", [raw.load_scan, check])
def test_what_cannot_be_read_is_refused_by_name(file, changes, message, read):
    with pytest.raises(InputError, match=rf"MTR_001\.h5: {message}"):
        read(file, FORM | changes)


def test_files_that_are_no_hdf5_are_refused(file, tmp_path):
    content = file.read_bytes()
    for damaged in (b"", b"not hdf5\n" * 99, content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"MTR_001\.h5: not an HDF5 file, or truncated .*; "):
            check(file, FORM)
    with pytest.raises(InputError, match=r"none\.h5: no such file"):
        raw.load_scan(tmp_path / "none.h5", FORM)


def test_a_damaged_chunk_is_refused(tmp_path):
    path = tmp_path / "MTR_002.h5"
    with h5py.File(path, "w") as content:
        content.create_dataset("target", data=complex_noise(SHAPE), compression="gzip")
        at = content["target"].id.get_chunk_info(0)
    damaged = bytearray(path.read_bytes())
    damaged[at.byte_offset : at.byte_offset + at.size] = bytes(at.size)
    path.write_bytes(damaged)
    check(path, FORM)
    with pytest.raises(InputError, match=r"MTR_002\.h5: truncated or damaged .*; copy"):
        raw.load_scan(path, FORM)
