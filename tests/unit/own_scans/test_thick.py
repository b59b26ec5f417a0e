"""`mrisr sr` of one scan with thick slices: what it finds, is told, or assumes."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import InputError
from mrisr.degrade.acquisition import by_scale
from mrisr.own_scans.scan import super_resolve
from mrisr.own_scans.thick import in_plane, slice_axis, slices_of
from mrisr.volumes.io import Volume


def scan(*edges, shape=(8, 8, 8)):
    return Volume(np.ones(shape, np.float32), np.diag([*edges, 1.0]))


def test_the_slice_axis_is_that_of_the_longest_voxels():
    assert [slice_axis(scan(*e)) for e in ((1, 1, 5), (1, 5, 1.1), (3, 1, 1))] == [2, 1, 0]
    assert slice_axis(scan(1, 1, 1.1)) is None and slice_axis(scan(1, 3, 3)) is None
    assert in_plane(scan(0.9, 1, 5)) == 0.9


def test_thickness_is_given_or_in_the_sidecar_or_assumed(tmp_path, caplog):
    file, about = tmp_path / "a.nii.gz", tmp_path / "a.json"
    thick = scan(1, 1, 5)
    assumed = slices_of(file, thick)
    assert (assumed.thickness, assumed.gap) == (5, 0) and "assumed without gap" in str(assumed)
    about.write_text(json.dumps({"SliceThickness": 4, "SpacingBetweenSlices": 5}))
    read = slices_of(file, thick)
    assert (read.thickness, read.gap, read.source) == (4, 1, "a.json")
    assert str(read) == "slices of 4 mm every 5 mm (gap 1 mm; a.json)"
    for thickness, gap in ((3.5, None), (None, 1.5), (3.5, 1.5)):
        assert slices_of(file, thick, thickness, gap).thickness == 3.5
    assert slices_of(file, thick, 6).gap == -1  # slices overlap
    assert not caplog.records
    about.write_text(json.dumps({"SliceThickness": 4, "SpacingBetweenSlices": 4}))
    assert slices_of(file, thick).gap == 1 and "the voxels count" in caplog.text
    assert slices_of(file, scan(1, 1, 1), 1) is None and "nearly isotropic" in caplog.text


@pytest.mark.parametrize(
    ("sidecar", "thickness", "gap", "told"),
    [
        (None, 4, 2, "--thickness 4 and --gap 2 make 6 mm, but there is a slice every 5 mm"),
        (None, None, 5, "--gap 5: there is a slice every 5 mm"),
        (None, 20, None, "--thickness 20: there is a slice every 5 mm"),
        ({"SliceThickness": 40}, None, None, "a.json: SliceThickness of 40 mm"),
        ({"SliceThickness": "thin"}, None, None, "a.json: not a sidecar of BIDS"),
        ({"SliceThickness": -4}, None, None, "not above 0"),
        ([1], None, None, "a.json: not a sidecar of BIDS"),
    ],
)
def test_what_contradicts_itself_is_refused(sidecar, thickness, gap, told, tmp_path):
    if sidecar is not None:
        (tmp_path / "a.json").write_text(json.dumps(sidecar))
    with pytest.raises(InputError, match=told):
        slices_of(tmp_path / "a.nii.gz", scan(1, 1, 5), thickness, gap)


def test_slices_in_mm_become_a_degradation_in_voxels(tmp_path):
    how, scale = slices_of(tmp_path / "a.nii", scan(0.9, 0.9, 5), 4).degradation(0.9)
    (one,) = by_scale(how["acquisitions"]).values()
    assert one.thickness == pytest.approx(4 / 0.9) and one.spacing == scale
    assert scale == pytest.approx(5 / 0.9) and how["axis"] == "axial"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan with coronal slices of 3 mm, in another order of axes than RAS."""
    made = tmp_path_factory.mktemp("thick")
    data = ndimage.gaussian_filter(np.random.default_rng(0).random((20, 7, 22)), 1)
    affine = np.array([[0, 0, 1, -9], [0, 3, 0, 4], [-1, 0, 0, 7], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image((900 * data).astype(np.float32), affine), made / "scan.nii.gz")
    (made / "scan.json").write_text(json.dumps({"SliceThickness": 2.5}))
    nib.save(nib.Nifti1Image(data.astype(np.float32), np.eye(4)), made / "cubes.nii.gz")
    return made


def called(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done, " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("method", [None, "cubic", "smore"])
def test_a_thick_scan_becomes_isotropic_in_its_own_orientation(method, folder, tmp_path, caplog):
    made = tmp_path / "sr.nii.gz"
    with caplog.at_level("INFO", "mrisr"):
        minutes = 0.01 if method == "smore" else None
        super_resolve(folder / "scan.nii.gz", made, method=method, minutes=minutes)
    assert "slices of 2.5 mm every 3 mm (gap 0.5 mm; scan.json)" in caplog.text
    # Slices of this distance have a model of their own, which needs no such warning.
    assert "whose profile the model was not trained for" not in caplog.text
    assert ("cubic_residual_thick: the model that comes with mrisr" in caplog.text) == (
        method is None
    )
    image, given = nib.load(made), nib.load(folder / "scan.nii.gz")
    assert image.shape == (20, 21, 22)
    np.testing.assert_allclose(image.header.get_zooms(), 1, atol=1e-5)
    for ends in ([-0.5, -0.5, -0.5], [19.5, 6.5, 21.5]):
        sr_ends = [ends[0], ends[1] if ends[1] < 0 else 20.5, ends[2]]
        np.testing.assert_allclose(
            *(nib.affines.apply_affine(i.affine, e) for i, e in ((image, sr_ends), (given, ends))),
            atol=1e-4,
        )


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "cubic_residual_thick"),
        ({"voxel_size": 1.05}, "cubic_residual_thick"),
        ({"voxel_size": 2.9}, None),  # nothing is refined
        ({"voxel_size": 0.5}, "cubic_residual"),  # pixels too
        ({"scale": 2}, "cubic_residual"),
    ],
)
def test_the_model_for_thick_slices_is_applied_where_slices_alone_are_refined(
    options, name, folder, tmp_path, caplog, monkeypatch
):
    class Applied(Exception):
        pass

    def stop(*arguments, **settings):
        raise Applied

    monkeypatch.setattr("mrisr.own_scans.scan.reconstruct", stop)
    with caplog.at_level("INFO", "mrisr"), pytest.raises((Applied, InputError)):
        super_resolve(folder / "scan.nii.gz", tmp_path / "sr.nii.gz", any_scale=True, **options)
    assert name is None or f"{name}: the model that comes with mrisr" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cubes.nii.gz"], "1 x 1 x 1 mm already"),
        (["cubes.nii.gz", "--method", "smore", "--scale", 2], "no axis has thick slices"),
        (["scan.nii.gz", "--minutes", 1], "--minutes is for a --method that trains on the scan"),
        (["scan.nii.gz", "--method", "cubic", "--minutes", 1], "leave --minutes out"),
        (["scan.nii.gz", "--thickness", 1, "--gap", 1], "make 2 mm, but there is a slice every 3"),
        (["scan.nii.gz", "scan.nii.gz", "--gap", 1], "none of --model, --scale, --thickness"),
    ],
)
def test_mistakes_with_thick_slices_are_explained(arguments, told, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    done, text = called("sr", *arguments, "-o", tmp_path / "out.nii.gz")
    assert done.exit_code and told in text, text
    assert not (tmp_path / "out.nii.gz").exists()
