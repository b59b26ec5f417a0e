"""Jobs that read a list of volumes, and volumes of it that are gone or changed."""

import hashlib
import os
import subprocess
import sys

import pandas as pd
import pytest

from tiny_study import TinyStudy, jobs, write_scan

pytestmark = pytest.mark.workflow
METRICS = "results/tiny/metrics/tiny/cubic/x2.csv"
AGAIN = (METRICS, "--forcerun", "evaluate_tiny")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study that has run as far as its metrics."""
    study = TinyStudy(tmp_path_factory.mktemp("lists"), methods={"cubic": None}, metrics=["psnr"])
    study.run(METRICS)
    return study


def test_lists_name_what_was_made_with_checksums(study):
    made = pd.read_csv(study.results / "hr/tiny/test.tsv", sep="\t")
    assert list(made["image"]) == [f"results/tiny/hr/tiny/sub-0{n}.nii.gz" for n in (4, 5)]
    for kind in ("image", "mask"):
        for file, its in zip(made[kind], made[f"{kind}_sha256"], strict=True):
            assert hashlib.sha256((study.folder / file).read_bytes()).hexdigest() == its
    for name in ("lr/tiny/x2", "sr/tiny/cubic/x2"):
        assert len(pd.read_csv(study.results / f"{name}.tsv", sep="\t")) == 2


def test_a_scan_replaced_by_an_older_one_is_measured_again(study):
    assert "Nothing to be done" in study.run("-n", METRICS)[1]
    measured = pd.read_csv(study.folder / METRICS)["value"]
    scan, old = study.scan("05"), study.folder / "old.nii.gz"
    scan.rename(old)
    # Another scan at the same path, by a link, with the time of the Stone Age of computers.
    other = study.folder / "other.nii.gz"
    write_scan(other, 99)
    os.utime(other, (1e9, 1e9))
    scan.symlink_to(other)
    again = study.run("-n", METRICS)[1]
    assert f"{scan}: replaced since results/tiny/sources/tiny/test.tsv was made of it" in again
    assert jobs(again).keys() >= {"fetch_tiny_test", "prepare_tiny_test", "evaluate_tiny"}
    check = [sys.executable, "-m", "mrisr.cli.main", "data", "check", "tiny"]
    check += ["--configfile", "tiny.yaml"]
    about = {"cwd": study.folder, "env": study.environment(), "capture_output": True, "text": True}
    said = subprocess.run(check, **about)
    assert said.returncode == 1 and f"{scan}: replaced, its sha256 is not the one in" in said.stdout
    study.run(METRICS)
    now = pd.read_csv(study.folder / METRICS)["value"]
    assert (measured != now).any()
    assert "Nothing to be done" in study.run("-n", METRICS)[1]
    said = subprocess.run(check, **about)
    assert said.returncode == 0, said.stdout + said.stderr
    # And back, by a rename, which keeps the first scan's time.
    scan.unlink()
    old.rename(scan)
    study.run(METRICS)
    assert (pd.read_csv(study.folder / METRICS)["value"] == measured).all()


def test_a_deleted_volume_is_named_and_made_again_by_the_command_that_is_told(study):
    file = "results/tiny/hr/tiny/sub-05.nii.gz"
    measured = (study.folder / METRICS).read_bytes()
    before = (study.folder / file).read_bytes()
    (study.folder / file).unlink()
    # As long as nothing needs it.
    assert "Nothing to be done" in study.run("-n", METRICS)[1]
    code, output = study.run(*AGAIN, check=False)
    assert code != 0
    assert f"{file}: not there, but listed in results/tiny/hr/tiny/test.tsv" in output
    assert f"run snakemake as before with {file} as its target" in output
    study.run(file)
    assert (study.folder / file).read_bytes() == before
    study.run(*AGAIN)
    assert (study.folder / METRICS).read_bytes() == measured


def test_a_changed_volume_is_not_measured(study):
    file = "results/tiny/sr/tiny/cubic/x2/sub-04.nii.gz"
    with (study.folder / file).open("ab") as volume:
        volume.write(b"more")
    code, output = study.run(*AGAIN, check=False)
    assert code != 0
    assert f"{file}: changed since it was made" in output
    assert not (study.folder / METRICS).exists()


def test_volumes_that_do_not_stay_are_there_until_they_are_measured(study):
    study.config |= {"keep": [], "report": {"viewer": False}, "figures": False}
    planned = jobs(study.run("-n", "--forceall", METRICS)[1])
    assert planned["reconstruct_cubic_tiny"] == planned["evaluate_tiny"] == 1
    study.run("--forcerun", "reconstruct_cubic_tiny", "--", METRICS)
    # The first stays to be shown.
    assert (study.results / "sr/tiny/cubic/x2/sub-04.nii.gz").exists()
    assert not (study.results / "sr/tiny/cubic/x2/sub-05.nii.gz").exists()
    assert set(pd.read_csv(study.folder / METRICS)["subject"]) == {"sub-04", "sub-05"}
