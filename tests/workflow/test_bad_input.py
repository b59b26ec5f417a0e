"""Bad scans among good ones, through Snakemake."""

import re

import pytest
from typer.testing import CliRunner

from corpus import KINDS, Lab
from mrisr.cli.main import app
from tiny_study import TINY

pytestmark = pytest.mark.workflow


def spoil(study, subject, name, folder):
    """Put a scan of a kind of the corpus in place of a good one."""
    lab = Lab(folder / subject)
    next(kind for kind in KINDS if kind.name == name).make(lab)
    study.scan(subject).write_bytes(lab.scan.read_bytes())


def test_bad_scans_are_named_and_nothing_is_trained(tiny_study, tmp_path, monkeypatch):
    study = tiny_study(methods={"srcnn3d": TINY["srcnn3d"]})
    spoil(study, "01", "sheared", tmp_path / "bad")
    spoil(study, "02", "gzip with a wrong checksum", tmp_path / "bad")
    spoil(study, "04", "standardised in the brain", tmp_path / "bad")
    target = "results/tiny/sources/checked"
    code, output = study.run("--keep-going", target, check=False)
    assert code != 0
    assert "Traceback" not in output
    assert re.search(r"sub-01: .*sheared.*; resample", output)
    assert re.search(r"sub-04: .*no magnitudes.*; .*undo the standardisation", output)
    assert not re.search(r"sub-0[35]: ", output)
    assert not (study.results / "models").exists()

    # The workflow reads voxels only once all headers of a split are fine; the command need not.
    monkeypatch.chdir(study.folder)
    called = CliRunner().invoke(
        app, ["data", "check", "tiny", "--full", "--configfile", "tiny.yaml", "--workers", "1"]
    )
    said = " ".join(called.output.split())
    assert called.exit_code == 1
    for words in (
        "sub-01 (train): .* sheared",
        "sub-02 (train): .*CRC",
        "sub-04 (test): .*no magn",
    ):
        assert re.search(words.replace("(", r"\(").replace(")", r"\)"), said)
    assert "2 fine" in said and "3 with problems" in said
