"""The recipe on a small simulated head; ANTs runs in processes of their own, with one thread."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrisr.common.errors import ConfigError, InputError
from mrisr.data.simulate import simulate
from mrisr.degrade.resample import downsample, upsample
from mrisr.segment import atropos, priors
from mrisr.segment.overlap import dice
from mrisr.study.load import checked
from mrisr.volumes import registration
from mrisr.volumes.io import Volume, load, load_series, save, save_series
from tiny_study import LEAST, ROOT

RUN = """
import sys
sys.path.insert(0, "workflow")
from mrisr.common.progress import job
from mrisr.segment.atropos import align_subject, segment_subject
from mrisr.volumes.registration import leave_out_unused

with job(None):
    leave_out_unused()
    folder = sys.argv[1] + "/"
    own = sys.argv[2] + "/"
    align_subject(
        folder + "hr.nii.gz", folder + "mask.nii.gz", folder + "template.nii.gz",
        folder + "atlas.nii.gz", own + "priors.nii.gz", own + "inside.nii.gz",
        transform="affine", voxel_size=6, seed=7,
    )
    for name in sys.argv[3:]:
        segment_subject(
            folder + name + ".nii.gz", own + "inside.nii.gz",
            own + "priors.nii.gz", own + name + "_labels.nii.gz", voxel_size=6, seed=7,
        )
    segment_subject(
        folder + "hr.nii.gz", own + "inside.nii.gz",
        folder + "atlas.nii.gz", own + "own_labels.nii.gz",
        template=folder + "template.nii.gz", transform="affine", voxel_size=6, seed=7,
    )
# Seconds of start-up, for each of many short jobs.
print(*{"matplotlib", "nilearn", "skimage", "sklearn", "statsmodels", "torch"} & {*sys.modules})
"""


def run(folder, out, *names):
    """Align and segment in a new process, with temporary files in a folder of its own."""
    out.mkdir()
    (out / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(out), *names],
        env={**os.environ, "TMPDIR": str(out / "tmp")},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "", "imported for nothing"


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    scan = simulate("sub-01", 3, voxel_size=4.0)
    truth = scan.data.astype(np.float32) / scan.data.max()
    save(Volume(truth, scan.affine), folder / "hr.nii.gz")
    save(Volume(scan.data > 0, scan.affine), folder / "mask.nii.gz")
    for k in (2, 4):
        image = upsample(downsample(truth, k), truth.shape)
        save(Volume(image, scan.affine), folder / f"cubic{k}.nii.gz")
    template, maps = priors.atlas()
    save(template, folder / "template.nii.gz")
    save_series(maps, template.affine, folder / "atlas.nii.gz")
    return folder


@pytest.fixture(scope="module")
def segmented(head):
    run(head, head / "first", "hr", "cubic2", "cubic4")
    return head / "first"


def labels(folder, name):
    return load(folder / f"{name}_labels.nii.gz")


def test_labels_keep_the_contract(head, segmented):
    truth, found = load(head / "hr.nii.gz"), labels(segmented, "hr")
    assert found.data.shape == truth.data.shape
    np.testing.assert_array_equal(found.affine, truth.affine)
    assert found.header.get_data_dtype() == np.uint8
    assert set(np.unique(found.data)) == set(range(7))
    # Labelled is the brain, by whole voxels of the working grid.
    brain = load(head / "mask.nii.gz").data > 0
    assert np.mean((found.data > 0) == brain) > 0.97


def test_regions_are_where_they_belong(segmented):
    found = labels(segmented, "hr")
    ml = np.bincount(found.data.astype(int).ravel(), minlength=7)[1:] * 0.064
    assert ml[1] > 300 and ml[2] > 300 and 60 < ml[5] < 250
    centres = [
        (found.affine @ [*np.argwhere(found.data == label).mean(axis=0), 1])[:3]
        for label in range(1, 7)
    ]
    stem, cerebellum, white = centres[4], centres[5], centres[2]
    assert cerebellum[1] < stem[1] < white[1]  # from the back to the front
    assert max(stem[2], cerebellum[2]) < white[2]


def test_priors_sum_to_one_inside_the_mask(segmented):
    maps = load_series(segmented / "priors.nii.gz", 6)
    inside = load(segmented / "inside.nii.gz").data > 0
    np.testing.assert_allclose(maps.sum(axis=0)[inside], 1, atol=1e-5)
    assert not maps[:, ~inside].any()


def test_dice_falls_with_the_scale(segmented):
    truth = labels(segmented, "hr").data
    two, four = (
        dice(truth, labels(segmented, f"cubic{k}").data, range(1, 7)).mean() for k in (2, 4)
    )
    assert 1 > two > four + 0.01 > 0.2


def test_own_registration_of_the_ground_truth_is_the_shared_one(segmented):
    first, second = (segmented / f"{name}_labels.nii.gz" for name in ("hr", "own"))
    assert first.read_bytes() == second.read_bytes()


def test_two_runs_give_the_same_bytes_and_leave_nothing_behind(head, segmented):
    run(head, head / "second", "hr")
    for name in ("hr_labels", "priors", "inside", "own_labels"):
        first, second = (f / f"{name}.nii.gz" for f in (segmented, head / "second"))
        assert first.read_bytes() == second.read_bytes(), name
    for folder in (segmented, head / "second"):
        assert not list((folder / "tmp").iterdir())


def test_the_folder_of_temporary_files_is_put_back_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyError), registration.scratch():
        assert tempfile.gettempdir() != str(tmp_path)
        (tmp_path / "mine").write_text("")
        raise KeyError
    assert tempfile.gettempdir() == str(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_what_cannot_be_segmented_is_named(value):
    volume = Volume(np.full((8, 8, 8), value, np.float32), np.eye(4))
    mask = Volume(np.ones((8, 8, 8), np.uint8), np.eye(4))
    with pytest.raises(InputError, match=r"sub-09: constant, NaN or infinite"):
        atropos.segment(volume, mask, np.full((6, 8, 8, 8), 1 / 6, np.float32), "sub-09")


def test_a_reconstruction_off_the_grid_is_refused(head, tmp_path):
    volume = load(head / "cubic2.nii.gz")
    save(Volume(volume.data[1:], volume.affine), tmp_path / "off.nii.gz")
    with pytest.raises(InputError, match=r"off\.nii\.gz: not on the grid of .*mask\.nii\.gz"):
        atropos.segment_subject(tmp_path / "off.nii.gz", head / "mask.nii.gz", "none", "none")


def test_a_blank_reconstruction_gets_no_labels_and_a_blank_ground_truth_is_refused(
    tmp_path, caplog
):
    affine = np.eye(4)
    blank, mask = (tmp_path / f"{name}.nii.gz" for name in ("blank", "mask"))
    save(Volume(np.full((8, 8, 8), 0.5, np.float32), affine), blank)
    save(Volume(np.ones((8, 8, 8), np.uint8), affine), mask)
    save_series(np.full((6, 8, 8, 8), 1 / 6, np.float32), affine, tmp_path / "priors.nii.gz")
    its = {"mask": mask, "priors": tmp_path / "priors.nii.gz", "output": tmp_path / "labels.nii.gz"}
    atropos.segment_subject(blank, **its)
    assert not load(its["output"]).data.any()
    assert "blank.nii.gz" in caplog.text and "its overlap is 0" in caplog.text
    with pytest.raises(InputError, match=r"blank\.nii\.gz: constant"):
        atropos.segment_subject(blank, ground_truth=True, **its)


SHAPES = st.tuples(*[st.integers(2, 9)] * 3)


@given(SHAPES, st.floats(0.5, 4))
def test_the_working_grid_keeps_the_field_of_view(shape, voxel_size):
    affine = np.array([[0, -0.8, 0, 5], [1.2, 0, 0, -7], [0, 0, 1, 2], [0, 0, 0, 1]], float)
    volume = Volume(np.full(shape, 3, np.float32), affine)
    coarse = registration.working_grid(volume, voxel_size)
    assert all(a <= b for a, b in zip(coarse.data.shape, shape, strict=True))
    np.testing.assert_allclose(coarse.data, 3, rtol=1e-6)
    for corner in np.ndindex(2, 2, 2):
        ends = [v.affine @ [*(np.array(corner) * v.data.shape - 0.5), 1] for v in (volume, coarse)]
        np.testing.assert_allclose(*ends, atol=1e-9)


def test_a_linear_ramp_survives_resampling():
    x = np.arange(24, dtype=np.float32)
    volume = Volume(np.broadcast_to(x[:, None, None], (24, 6, 6)).copy(), np.eye(4))
    coarse = registration.working_grid(volume, 2.0)
    assert coarse.data.shape == (12, 3, 3)
    np.testing.assert_allclose(coarse.data[3:-3, 1, 1], coarse.affine[0, 3] + 2.0 * x[3:9])


@given(SHAPES)
def test_labels_return_to_the_grid_they_came_from(shape):
    grid = np.random.default_rng(0).integers(0, 7, shape).astype(np.uint8)
    for factor in (1, 2, 3):
        fine = Volume(np.zeros([n * factor for n in shape]), np.eye(4))
        wanted = grid.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
        np.testing.assert_array_equal(atropos.labels_on_grid(grid, fine), wanted)


def test_uncovered_voxels_are_csf_and_a_missed_brain_is_refused():
    inside = np.ones((4, 4, 4), bool)
    maps = np.full((6, 4, 4, 4), 0.1, np.float32)
    maps[:, 0] = 0
    found = atropos._normalised(maps, inside, "sub-01")
    np.testing.assert_allclose(found[:, 1], 1 / 6, rtol=1e-6)
    assert (found[0, 0] == 1).all() and not found[1:, 0].any()
    maps[:, :3] = 0
    with pytest.raises(InputError, match=r"sub-01: the registered template covers 25 %"):
        atropos._normalised(maps, inside, "sub-01")


def test_without_ants_a_segmentation_is_refused_in_a_sentence(monkeypatch):
    asked = {**LEAST, "segmentation": True}
    assert checked(asked).segmentation is not None
    monkeypatch.setattr("mrisr.study.check.has_ants", lambda: False)
    with pytest.raises(ConfigError, match=r"segmentation: the package antspyx is not installed"):
        checked(asked)
    assert checked(LEAST).segmentation is None
    monkeypatch.setitem(sys.modules, "ants", None)
    monkeypatch.setattr(registration, "has_ants", lambda: False)
    with pytest.raises(InputError, match="antspyx is not installed"), registration.scratch():
        pass
