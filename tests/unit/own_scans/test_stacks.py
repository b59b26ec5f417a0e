"""`mrisr sr` of several stacks."""

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import InputError
from mrisr.methods import method as methods
from mrisr.own_scans.train_here import content_seed
from mrisr.prepare.real_stacks import prepare_stacks
from mrisr.volumes.io import Volume, save
from mrisr.volumes.raw import load_scan
from stack_scans import acquired


def call(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done, " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    files = {}
    for kind, gain in (("axial", 10.0), ("coronal", 25.0)):
        volume, mask = acquired(kind, gain)
        files[kind] = (folder / f"{kind}.nii.gz", folder / f"{kind}_mask.nii.gz")
        save(volume, files[kind][0])
        save(mask, files[kind][1])
    return files


@pytest.mark.parametrize("method", ["bspline", "srr"])
def test_two_stacks_become_one_volume_in_the_unit_of_the_first(method, stacks, tmp_path):
    scans = [its[0] for its in stacks.values()]
    masks = [word for its in stacks.values() for word in ("--mask", its[1])]
    output = tmp_path / "sr.nii.gz"
    options = ["--method", method, "--voxel-size", 2.5, "--no-register", "-o", output]
    done, said = call("sr", *scans, *masks, *options, "--threads", 1)
    assert done.exit_code == 0, said
    image, first = nib.load(output), nib.load(scans[0])
    np.testing.assert_allclose(image.header.get_zooms(), 2.5)
    inside = image.get_fdata()[image.get_fdata() > 0]
    mask = nib.load(stacks["axial"][1]).get_fdata() != 0
    assert inside.mean() == pytest.approx(first.get_fdata()[mask].mean(), rel=0.1)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    done, said = call("sr", *scans, *options, "--threads", 1)
    assert done.exit_code == 1 and "exists already" in said


def test_irem_is_trained_on_the_spot(stacks, tmp_path, monkeypatch):
    get = methods.get
    small = {"model": {"encoding": 16, "width": 16}}

    def shrunk(name, overrides=None, *rest, **more):
        training = {**(overrides or {}).get("training", {}), "epochs": 2}
        return get(name, {**small, "training": training}, *rest, **more)

    monkeypatch.setattr(methods, "get", shrunk)
    scans, output = [its[0] for its in stacks.values()], tmp_path / "sr.nii.gz"
    options = ["--method", "irem", "--voxel-size", 3, "--no-register", "--minutes", 5]
    # Two epochs may leave all of its output below 0.
    options += ["--clip", "none"]
    done, said = call("sr", *scans, *options, "-o", output, "--threads", 1)
    assert done.exit_code == 0, said
    assert np.ptp(nib.load(output).get_fdata()) > 0


def test_what_does_not_go_together_is_refused(stacks, tmp_path):
    scans, out = [its[0] for its in stacks.values()], ["-o", tmp_path / "a.nii.gz"]
    lacking = "give --method, --voxel-size and --output"
    assert lacking in call("sr", *scans, *out, "--method", "srr")[1]
    assert lacking in call("sr", *scans, "--voxel-size", 1, "--method", "srr")[1]
    one = call("sr", scans[0], *out, "--voxel-size", 1, "--mask", scans[0])[1]
    assert "--mask is for several stacks" in one
    wanted = [*out, "--voxel-size", 2]
    done, said = call("sr", *scans, *wanted, "--method", "cubic")
    assert done.exit_code == 1 and "takes volume, not stacks" in said
    masks = ["--mask", stacks["axial"][1]]
    done, said = call("sr", *scans, *wanted, *masks, "--method", "srr")
    assert done.exit_code == 1 and "1 masks of 2 stacks" in said


def test_the_random_numbers_depend_on_what_stacks_hold_and_not_on_names(stacks):
    axial, coronal = (load_scan(its[0]) for its in stacks.values())
    again = [load_scan(its[0]) for its in stacks.values()]
    assert content_seed(0, [axial, coronal]) == content_seed(0, again)
    assert content_seed(0, [axial, coronal]) != content_seed(1, again)
    again[1].data[3, 3, 3] += 1
    assert content_seed(0, [axial, coronal]) != content_seed(0, again)


def test_the_same_stack_twice_is_refused(stacks):
    axial = load_scan(stacks["axial"][0])
    with pytest.raises(InputError, match="a and b hold the same voxels; name each stack once"):
        prepare_stacks({"a": axial, "b": axial}, None, 2, register="none", name="P1")


def test_parallel_stacks_are_said(stacks, caplog):
    axial, coronal = (load_scan(its[0]) for its in stacks.values())
    other = Volume(axial.data * np.float32(1.5), axial.affine)
    with caplog.at_level("WARNING", "mrisr"):
        prepare_stacks({"a": axial, "b": coronal}, None, 2, register="none", name="P1")
        assert "parallel" not in caplog.text
        prepare_stacks({"a": axial, "b": other}, None, 2, register="none", name="P1")
    assert "the slices of all stacks are parallel (0 degrees" in caplog.text
