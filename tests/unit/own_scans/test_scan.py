"""`mrisr sr` and `mrisr info`: a trained model and a scan of one's own."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common import devices, seals
from mrisr.common.files import sha256
from mrisr.degrade.resample import degrade
from mrisr.methods import method as methods
from mrisr.methods.model_files import save_model
from mrisr.volumes.io import Volume

SMALL = {
    "arssr_rdn": {"features": 4, "growth": 4, "blocks": 1, "layers": 1, "channels": 8, "width": 16},
    "srcnn3d": {"features": [4, 4], "kernels": [3, 1, 3]},
}
SHAPE = (12, 14, 10)


def call(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done, " ".join(done.output.replace("│", " ").split())


def write_model(folder, name="arssr_rdn", grid="corners", spec=None, **said):
    """Write an untrained model as a study writes it; return its folder."""
    base = name if name in SMALL else "arssr_rdn"
    spec = {**(spec or {}), "model": SMALL[base]}
    spec["model"] = {**spec["model"], **({"head": "linear"} if base == "arssr_rdn" else {})}
    method = methods.get(name, {**({} if name == base else {"base": base}), **spec})
    torch.manual_seed(3)
    about = {
        **{"method": name, "folder": base, "preset": "published"},
        "scales": [2, 4] if method.models == "all_scales" else [2.0],
        **method.pack("network", "coordinates", "model", "training")["spec"],
        "degradation": {"kind": "volume", "kernel": "spline", "grid": grid, "antialias": None},
        **{"seed": 7, "dataset": "demo", "train_subjects": ["a", "b"], "val_subjects": ["c"]},
        **{"commit": "abc1", "versions": {"torch": "2"}, "device": "cpu", "parameters": 1234},
        **{"steps": 7800, "val_loss": 0.0123, "collapsed": False, "date": "2024-05-06"},
        **said,
    }
    save_model(folder / name, method.build().state_dict(), [], about)
    return folder / name


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Models and scans that no test changes."""
    folder = tmp_path_factory.mktemp("own")
    write_model(folder)
    write_model(folder, "srcnn3d")
    data = ndimage.gaussian_filter(np.random.default_rng(0).random(SHAPE), 1)
    data = (3000 * (data - data.min()) / np.ptp(data)).astype(np.float32)
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, 0.2, 0.05) @ np.diag([2, 1.5, 3]))
    affine = nib.affines.from_matvec(np.eye(3), [-11, 20, 5]) @ turn
    image = nib.Nifti1Image(data, affine)
    image.header["descrip"] = b"made for a test"
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=1)
    nib.save(image, folder / "scan.nii.gz")
    to = nib.orientations.axcodes2ornt("PIL")
    turned = nib.orientations.ornt_transform(nib.orientations.io_orientation(affine), to)
    nib.save(image.as_reoriented(turned), folder / "turned.nii.gz")
    nib.save(nib.Nifti1Image(np.stack([data] * 2, -1), affine), folder / "series.nii.gz")
    return folder


def resolved(shared, tmp_path, *arguments, scan="scan", name="sr"):
    done, output = call(
        "sr", shared / f"{scan}.nii.gz", "-o", tmp_path / f"{name}.nii.gz", *arguments
    )
    assert done.exit_code == 0, output
    return nib.load(tmp_path / f"{name}.nii.gz")


def corner(image, *voxel):
    """Where a voxel index lies, mm."""
    return nib.affines.apply_affine(image.affine, voxel)


@pytest.mark.parametrize("arguments", [["--model", "arssr_rdn"], ["--method", "cubic"]])
def test_the_field_of_view_of_a_scan_is_kept(arguments, shared, tmp_path):
    given = [shared / a if a == "arssr_rdn" else a for a in arguments]
    scan, made = (
        nib.load(shared / "scan.nii.gz"),
        resolved(shared, tmp_path, *given, "--scale", 2.5),
    )
    assert made.shape == tuple(round(2.5 * n) for n in SHAPE)
    ends = [np.array(image.shape) - 0.5 for image in (scan, made)]
    np.testing.assert_allclose(corner(made, *[-0.5] * 3), corner(scan, *[-0.5] * 3), atol=1e-4)
    np.testing.assert_allclose(corner(made, *ends[1]), corner(scan, *ends[0]), atol=1e-4)


def test_a_model_of_the_corner_grid_keeps_the_outer_voxel_centres(shared, tmp_path):
    scan = nib.load(shared / "scan.nii.gz")
    made = resolved(shared, tmp_path, "--model", shared / "srcnn3d", "--scale", 2)
    ends = [np.array(image.shape) - 1 for image in (scan, made)]
    np.testing.assert_allclose(corner(made, 0, 0, 0), corner(scan, 0, 0, 0), atol=1e-4)
    np.testing.assert_allclose(corner(made, *ends[1]), corner(scan, *ends[0]), atol=1e-4)


def test_a_blob_stays_where_it_is_in_millimetres(shared, tmp_path):
    axes = np.meshgrid(*map(np.arange, (30, 32, 28)), indexing="ij")
    blob = 500 * np.exp(-sum((a - c) ** 2 for a, c in zip(axes, (11, 18, 9), strict=True)) / 18)
    truth = Volume(blob.astype(np.float32), nib.load(shared / "scan.nii.gz").affine)
    how = {"kind": "volume", "kernel": "spline", "grid": "centres", "antialias": None}
    low = degrade(truth, 2, how)[""]
    nib.save(nib.Nifti1Image(low.data, low.affine), tmp_path / "low.nii.gz")
    made = resolved(tmp_path, tmp_path, "--method", "cubic", "--scale", 2, scan="low")
    centre = corner(made, *ndimage.center_of_mass(np.asarray(made.dataobj)))
    expected = nib.affines.apply_affine(truth.affine, ndimage.center_of_mass(truth.data))
    np.testing.assert_allclose(centre, expected, atol=0.05)


def test_orientation_units_and_header_are_the_scans_own(shared, tmp_path):
    options = ("--model", shared / "arssr_rdn" / "model.safetensors", "--scale", 2)
    straight = resolved(shared, tmp_path, *options)
    turned = resolved(shared, tmp_path, *options, scan="turned", name="turned")
    assert nib.aff2axcodes(turned.affine) == ("P", "I", "L")
    both = [nib.as_closest_canonical(image) for image in (straight, turned)]
    np.testing.assert_array_equal(both[0].get_fdata(), both[1].get_fdata())
    np.testing.assert_allclose(both[0].affine, both[1].affine, atol=1e-4)
    header = straight.header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 1)
    assert header["descrip"].item() == b"made for a test"
    assert header.get_xyzt_units() == ("mm", "sec")
    assert straight.get_data_dtype() == np.float32
    np.testing.assert_allclose(straight.get_qform(), straight.get_sform(), atol=1e-4)


def test_intensities_are_the_scans_own_unless_they_are_left_in_0_to_1(shared, tmp_path):
    options = ("--model", shared / "arssr_rdn", "--scale", 2)
    own = resolved(shared, tmp_path, *options).get_fdata()
    unit = resolved(shared, tmp_path, *options, "--keep-normalised", name="unit").get_fdata()
    top = nib.load(shared / "scan.nii.gz").get_fdata().max()
    np.testing.assert_allclose(own, top * unit, rtol=1e-5)
    cubic = resolved(shared, tmp_path, "--method", "cubic", "--scale", 2, name="cubic").get_fdata()
    np.testing.assert_allclose(cubic.max(), top, rtol=0.05)


def test_memory_changes_nothing_that_counts(shared, tmp_path):
    options = ("--model", shared / "srcnn3d", "--scale", 2)
    whole = resolved(shared, tmp_path, *options).get_fdata()
    tiled = resolved(shared, tmp_path, *options, "--memory", 1, name="tiled").get_fdata()
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * whole.max())


def test_variants_and_methods_of_plugins_are_found(shared, tmp_path):
    model = write_model(tmp_path, "my_arssr", spec={"coordinates": "grid"})
    made = resolved(shared, tmp_path, "--model", model, "--scale", 2)
    assert made.shape == tuple(2 * n for n in SHAPE)
    scan = nib.load(shared / "scan.nii.gz")
    np.testing.assert_allclose(corner(made, *[-0.5] * 3), corner(scan, *[-0.5] * 3), atol=1e-4)
    said = json.loads((model / "model.json").read_text())
    seals.unseal(model / "model.json")
    (model / "model.json").write_text(json.dumps({**said, "method": "theirs", "folder": "theirs"}))
    options = ["sr", shared / "scan.nii.gz", "--model", model, "--scale", 2]
    done, output = call(*options, "-o", tmp_path / "x.nii.gz")
    assert done.exit_code == 1 and "name the folder that holds methods/ with --plugins" in output
    plugin = tmp_path / "plugin" / "methods" / "theirs"
    plugin.mkdir(parents=True)
    (plugin / "method.yaml").write_text("base: arssr_rdn\nlabel: Theirs\n")
    done, output = call(*options, "-o", tmp_path / "x.nii.gz", "--plugins", tmp_path / "plugin")
    assert done.exit_code == 0, output


def test_an_output_is_replaced_only_by_force(shared, tmp_path):
    target = tmp_path / "sr.nii.gz"
    target.write_text("precious")
    options = ["sr", shared / "scan.nii.gz", "--method", "cubic", "--scale", 2, "-o", target]
    done, output = call(*options)
    assert done.exit_code == 1 and "exists already" in output
    assert target.read_text() == "precious"
    assert call(*options, "--force")[0].exit_code == 0
    assert nib.load(target).shape == tuple(2 * n for n in SHAPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan.nii.gz", "--scale", 2, "--method", "cubic", "--model", "srcnn3d"], "not both"),
        (["scan.nii.gz", "--scale", 2, "--voxel-size", 1], "--scale or --voxel-size, not both"),
        (["scan.nii.gz", "--voxel-size", 3], "2 x 1.5 x 3 mm already; ask for a --voxel-size be"),
        (["scan.nii.gz", "--voxel-size", 1, "--model", "srcnn3d"], "trained for 2 only"),
        (["scan.nii.gz", "--voxel-size", 1, "--model", "arssr_rdn"], "one scale along all axes"),
        (["scan.nii.gz", "--scale", 7], "cubic_residual: scale 7 not supported (1 to 6"),
        (["scan.nii.gz", "--scale", 2, "--method", "cubic", "--ensemble"], "for trained models"),
        (["scan.nii.gz", "--scale", 2, "--precision", "half"], "float32 or bfloat16"),
        (["scan.nii.gz", "--scale", 2, "--method", "cubic", "--precision", "bfloat16"], "trained"),
        (["scan.nii.gz", "--scale", 2, "--method", "cubik"], "did you mean 'cubic'"),
        (["scan.nii.gz", "--scale", 2, "--method", "srcnn3d"], "give a trained model of it"),
        (["scan.nii.gz", "--scale", 2, "--method", "identity"], "runs in a study only"),
        (["scan.nii.gz", "--scale", 1, "--method", "cubic"], "a scale above 1"),
        (["scan.nii.gz", "--scale", 5, "--model", "arssr_rdn"], "1 to 4: trained for 2 to 4"),
        (["scan.nii.gz", "--scale", 3, "--model", "srcnn3d"], "trained for 2 only; choose such"),
        (["scan.nii.gz", "--scale", 2, "--model", "."], "model.safetensors is missing"),
        (["scan.nii.gz", "--scale", 2, "--model", "scan.nii.gz"], "not a model"),
        (["series.nii.gz", "--scale", 2, "--method", "cubic"], "split the series"),
        (["absent.nii.gz", "--scale", 2, "--method", "cubic"], "does not exist"),
        (["scan.nii.gz", "--scale", 2, "--method", "cubic", "--device", "tpu"], "auto, cpu or"),
        (["scan.nii.gz", "--scale", 2, "--method", "cubic", "-o", "sr.png"], "ends in .nii"),
    ],
)
def test_mistakes_are_explained(arguments, message, shared, tmp_path, monkeypatch):
    monkeypatch.chdir(shared)
    output = [] if "-o" in arguments else ["-o", tmp_path / "out.nii.gz"]
    done, text = call("sr", *arguments, *output)
    assert done.exit_code != 0
    assert message in text
    assert not (tmp_path / "out.nii.gz").exists()


def test_other_scales_are_done_when_insisted_on(shared, tmp_path):
    options = ("--model", shared / "srcnn3d", "--scale", 3, "--any-scale")
    assert resolved(shared, tmp_path, *options).shape == tuple(3 * n for n in SHAPE)


def test_without_a_model_the_one_that_comes_with_mrisr_is_applied(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, output = call("sr", shared / "scan.nii.gz", "--scale", 2.5, "--threads", 1)
    assert done.exit_code == 0, output
    made = nib.load("scan_sr.nii.gz")
    assert made.shape == tuple(round(2.5 * n) for n in SHAPE)
    cubic = resolved(shared, tmp_path, "--method", "cubic", "--scale", 2.5).get_fdata()
    difference = np.abs(made.get_fdata() - cubic)
    assert 1 < difference.max() < 1000  # of a scan whose maximum is 3000


def test_which_model_was_applied_and_its_limits_are_said(shared, tmp_path):
    options = (
        "sr",
        shared / "scan.nii.gz",
        "-o",
        tmp_path / "sr.nii.gz",
        "--force",
        "--threads",
        1,
    )
    said = call(*options, "--scale", 1.5)[1]
    assert "cubic_residual: the model that comes with mrisr, trained on 16 subjects of ds" in said
    assert "at 2 to 4x" in said and "not for diagnosis" in said
    assert "scale 1.5 lies beyond its training" in said
    assert "comes with mrisr" not in call(*options, "--scale", 2, "--method", "cubic")[1]


@pytest.mark.parametrize("arguments", [[], ["--method", "cubic"]])
def test_a_voxel_size_is_met_along_each_axis(arguments, shared, tmp_path):
    scan = nib.load(shared / "scan.nii.gz")  # voxels of 2 x 1.5 x 3 mm
    options = (*arguments, "--voxel-size", 1.5, "--threads", 1)  # as many for the same bytes
    made = resolved(shared, tmp_path, *options)
    assert made.shape == (16, 14, 20)
    np.testing.assert_allclose(made.header.get_zooms(), 1.5, rtol=1e-5)
    np.testing.assert_allclose(corner(made, *[-0.5] * 3), corner(scan, *[-0.5] * 3), atol=1e-4)
    turned = resolved(shared, tmp_path, *options, scan="turned", name="t")
    both = [nib.as_closest_canonical(image).get_fdata() for image in (made, turned)]
    np.testing.assert_array_equal(*both)


def test_a_model_of_one_scale_meets_a_voxel_size_when_insisted_on(shared, tmp_path):
    options = ("--model", shared / "srcnn3d", "--voxel-size", 1.5, "--any-scale")
    made = resolved(shared, tmp_path, *options)
    assert made.shape == (16, 14, 19)  # centres of the outer voxels are kept
    np.testing.assert_allclose(made.header.get_zooms(), (22 / 15, 1.5, 1.5), rtol=1e-4)


def test_an_ensemble_is_another_volume_on_the_same_grid(shared, tmp_path):
    # Of a network that is not trained, all could lie beyond the scan's own intensities.
    options = ("--model", shared / "arssr_rdn", "--scale", 2, "--threads", 1, "--clip", "none")
    once = resolved(shared, tmp_path, *options)
    mean = resolved(shared, tmp_path, *options, "--ensemble", name="mean")
    np.testing.assert_array_equal(mean.affine, once.affine)
    difference = np.abs(mean.get_fdata() - once.get_fdata())
    assert mean.shape == once.shape and difference.max() > 1


def test_bfloat16_is_taken_where_the_device_has_it(shared, tmp_path, monkeypatch):
    options = ("sr", shared / "scan.nii.gz", "--scale", 2, "--threads", 1, "--precision")
    made, said = {}, {}
    for name, precision, found in (
        ("exact", "float32", True),
        ("low", "bfloat16", True),
        ("without", "bfloat16", False),
    ):
        monkeypatch.setattr(devices, "has_bfloat16", lambda device, found=found: found)
        done, said[name] = call(*options, precision, "-o", tmp_path / f"{name}.nii.gz")
        assert done.exit_code == 0, said[name]
        made[name] = nib.load(tmp_path / f"{name}.nii.gz")
    assert "this CPU has no bfloat16; computing in float32" in said["without"]
    exact, low, without = (image.get_fdata() for image in made.values())
    np.testing.assert_array_equal(without, exact)
    assert 0 < np.abs(low - exact).max() < 30  # of a scan whose maximum is 3000
    notes = [image.header.extensions[0].get_content() for image in made.values()]
    assert ["bfloat16" in str(note) for note in notes] == [False, True, False]


def test_info_without_a_model_is_of_the_one_that_comes_with_mrisr():
    done, output = call("info")
    assert done.exit_code == 0, output
    assert "(cubic_residual, preset published)" in output and "not for diagnosis" in output
    assert "ds002748, 16 subjects, 2 for validation" in output


def test_info_says_what_a_model_is(shared):
    done, output = call("info", shared / "arssr_rdn")
    assert done.exit_code == 0, output
    for text in (
        *("ArSSR (RDN) (arssr_rdn, preset published)", "doi.org/10.1109/JBHI.2022.3223106"),
        *("any from 1 to 4 (trained on 2 to 4)", "demo, 2 subjects, 1 for validation, seed 7"),
        *("7,800 of 780,000 published (1 %)", "0.01230", "2024-05-06", "commit abc1"),
        sha256(shared / "arssr_rdn" / "model.safetensors"),
        f"mrisr sr SCAN.nii.gz --model {shared / 'arssr_rdn'} --scale 2",
    ):
        assert text in output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged"),
        ("\x80", "damaged"),
        ("[1]", "damaged"),
        ('{"method": "arssr_rdn"}', "'model'"),
        ('{"method": "x", "model": {}, "scales": [], "degradation": {}}', "no scale"),
    ],
)
def test_a_damaged_description_is_named(content, message, tmp_path):
    folder = write_model(tmp_path)
    seals.unseal(folder / "model.json")
    (folder / "model.json").write_text(content, encoding="latin-1")
    done, output = call("info", folder)
    assert done.exit_code == 1 and "model.json" in output and message in output


@pytest.mark.parametrize(
    "wrong", [{"steps": "many"}, {"val_loss": "x"}, {"train_subjects": 3, "dataset": "a"}]
)
def test_info_names_a_description_of_the_wrong_kind(wrong, tmp_path):
    folder = write_model(tmp_path)
    said = json.loads((folder / "model.json").read_text())
    seals.unseal(folder / "model.json")
    (folder / "model.json").write_text(json.dumps({**said, **wrong}))
    done, output = call("info", folder)
    assert done.exit_code == 1 and "not the description of a model" in output


def test_info_prints_no_control_characters(tmp_path):
    folder = write_model(tmp_path)
    said = json.loads((folder / "model.json").read_text())
    seals.unseal(folder / "model.json")
    (folder / "model.json").write_text(json.dumps({**said, "date": "now \x1b[2J"}))
    done, output = call("info", folder)
    assert done.exit_code == 0 and "\x1b" not in output and "now \\x1b[2J" in output
