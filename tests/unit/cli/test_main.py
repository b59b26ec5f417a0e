"""The command `mrisr`."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import ConfigError
from mrisr.evaluate.pieces import evaluate
from mrisr.volumes.io import Volume, save
from tiny_study import ROOT

AFFINE = np.diag([0.9, 1.0, 1.1, 1.0])


def call(*arguments):
    return CliRunner().invoke(app, ["metrics", *map(str, arguments)])


@pytest.fixture(autouse=True)
def no_backbone(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)


def test_plan_takes_several_pairs_after_one_config_as_snakemake_does(monkeypatch):
    asked = []

    def load(path, pairs):
        asked.append(pairs)
        raise ConfigError("that is enough")

    monkeypatch.setattr("mrisr.study.load.load_study", load)
    config = ["plan", "--configfile", str(ROOT / "config/demo.yaml")]
    for words in (
        ["--config", "scales=[2]", "seed=3"],
        ["--config", "scales=[2]", "--config", "seed=3"],
        ["--config", "scales=[2]", "--parallel", "2", "seed=3"],
    ):
        CliRunner().invoke(app, [*config, *words])
        assert asked.pop() == ["scales=[2]", "seed=3"]
    for words in (["seed=3"], ["--config", "scales=[2]", "seed"]):
        done = CliRunner().invoke(app, [*config, *words])
        assert done.exit_code == 2 and "--config takes KEY=VALUE" in done.output
        assert asked == [] and "unexpected error" not in done.output


def test_plan_takes_a_config_by_name_or_file(monkeypatch):
    asked = []

    def load(path, pairs):
        asked.append((path, pairs))
        raise ConfigError("that is enough")

    monkeypatch.setattr("mrisr.study.load.load_study", load)
    thick = ROOT / "config/thick.yaml"
    for words in (["thick"], [str(thick)], ["--configfile", str(thick)]):
        CliRunner().invoke(app, ["plan", *words, "--config", "seed=3"])
        assert asked.pop() == (thick, ["seed=3"])
    done = CliRunner().invoke(app, ["plan", "thin"])
    assert "no config 'thin' here" in done.output and not asked


@pytest.fixture
def files(tmp_path):
    """A ground truth, an image of it and a mask, in raw intensity units."""
    truth = ndimage.gaussian_filter(np.random.default_rng(0).random((42, 44, 46)), 1)
    truth = np.round(4000 * (truth - truth.min()) / np.ptp(truth))
    volumes = {"hr": truth, "sr": ndimage.gaussian_filter(truth, 1), "mask": truth > 1500}
    for name, data in volumes.items():
        save(Volume(data.astype(np.float32), AFFINE), tmp_path / f"{name}.nii.gz")
    return {name: tmp_path / f"{name}.nii.gz" for name in volumes}


def test_metrics_of_a_pair_are_those_of_the_arrays(files, tmp_path):
    done = call(
        *(files["sr"], "--reference", files["hr"], "--mask", files["mask"]),
        *("--csv", tmp_path / "out.csv", "--workers", 1),
    )
    assert done.exit_code == 0, done.output
    assert "LPIPS is left out: no AlexNet backbone" in done.stderr
    found = pd.read_csv(tmp_path / "out.csv")
    volumes = [nib.load(files[name]).get_fdata(dtype=np.float32) for name in ("hr", "sr", "mask")]
    wanted = evaluate(*volumes)
    assert found[["metric", "region"]].equals(wanted[["metric", "region"]])
    np.testing.assert_allclose(found["value"], wanted["value"], rtol=1e-8)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["metric", "region", "value", "better"]
    psnr = wanted.query("metric == 'psnr' and region == 'mask'")["value"].item()
    assert ["PSNR", "mask", f"{psnr:.2f}", "dB", "higher"] in lines


def test_orientation_and_units_of_the_files_do_not_matter(files, tmp_path):
    def scores(image, reference):
        done = call(image, "--reference", reference, "--csv", tmp_path / "out.csv", "--workers", 1)
        assert done.exit_code == 0, done.output
        return pd.read_csv(tmp_path / "out.csv").set_index("metric")["value"]

    turned = {}
    for name in ("hr", "sr"):
        image = nib.load(files[name])
        to = nib.orientations.axcodes2ornt(("S", "P", "L"))
        image = image.as_reoriented(
            nib.orientations.ornt_transform(nib.orientations.io_orientation(AFFINE), to)
        )
        turned[name] = tmp_path / f"{name}_turned.nii.gz"
        nib.save(nib.Nifti1Image(image.get_fdata() / 7, image.affine), turned[name])
    straight = scores(files["sr"], files["hr"])
    np.testing.assert_allclose(scores(turned["sr"], turned["hr"]), straight, rtol=1e-4, atol=1e-6)


def test_one_volume_alone(files):
    done = call(files["hr"], "--no-reference", "--workers", 2)
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["metric", "LPC-SI", "PSI"]


def test_chosen_metrics_and_settings(files):
    done = call(
        *(files["sr"], "--reference", files["hr"], "--metric", "gain", "--metric", "lpips"),
        *("--workers", 1),
    )
    assert done.exit_code == 1 and "no AlexNet backbone" in done.stderr
    loose, tight = (
        call(files["sr"], "--no-reference", "--metric", "lpc_si", "--sigma", sigma).stdout
        for sigma in (0.33, 0.75)
    )
    assert loose != tight


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sr"], "give either --reference VOLUME or --no-reference"),
        (["sr", "--no-reference", "--reference", "hr"], "give either"),
        (["sr", "--reference", "small"], "write it on the grid of the ground truth"),
        (["sr", "--reference", "hr", "--metric", "psn"], "did you mean 'psnr'"),
        (["sr", "--no-reference", "--metric", "vif"], "vif needs one"),
        (["text", "--no-reference"], "not a NIfTI file"),
        (["absent", "--no-reference"], "does not exist"),
        (["sr", "--no-reference", "--empty-slices", "maybe"], "exclude or include"),
    ],
)
def test_mistakes_are_explained(arguments, message, files, tmp_path):
    save(Volume(np.zeros((9, 9, 9), np.float32), AFFINE), tmp_path / "small.nii.gz")
    (tmp_path / "text.nii.gz").write_text("no scan")
    given = [
        tmp_path / f"{a}.nii.gz" if a in ("sr", "hr", "small", "text", "absent") else a
        for a in arguments
    ]
    done = call(*given)
    assert done.exit_code != 0 and "Traceback" not in done.output
    assert message in " ".join(done.output.replace("│", " ").split())
