"""Habits of the command line, and studies that `mrisr new study` writes."""

import logging
import re

import pytest
import yaml
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common import progress
from mrisr.common.errors import ConfigError
from mrisr.common.provenance import version
from mrisr.study.load import checked, load_study
from tiny_study import LEAST, ROOT, write_scan


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_said", "progress")
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def test_version_help_and_completion():
    project = (ROOT / "pyproject.toml").read_text()
    assert call("--version").output == f"mrisr {version()}\n"
    assert re.search(r'^version = "(.*)"', project, re.M)[1].replace(".dev", "") in (
        version().replace(".dev", "")
    )
    for words in (["-h"], ["sr", "-h"], ["data", "check", "-h"]):
        assert call(*words).exit_code == 0 and "Usage" in call(*words).output
    assert "--install-completion" in call("-h").output


@pytest.mark.parametrize(
    ("words", "level"), [([], 20), (["--quiet"], 30), (["-q"], 30), (["--verbose"], 10)]
)
def test_how_much_is_said(words, level):
    done = call(*words, "plan", "--configfile", ROOT / "config/demo.yaml", "--config", "scales")
    assert logging.getLogger().level == level
    assert done.exit_code == 1 and "give key=value" in done.stderr
    assert ("Traceback" in done.stderr) == (level == 10)
    assert call("-q", "--verbose", "plan").exit_code == 2


def test_the_reader_study_has_a_name_of_its_own_and_answers_to_the_former_one():
    assert "readers" in call("-h").output and not re.search(r"^│ study", call("-h").output, re.M)
    former = call("study", "status", "nowhere")
    assert former.exit_code == 1 and "is called `mrisr readers` now" in former.stderr
    assert "is called" not in call("readers", "status", "nowhere").stderr
    assert call("study", "make", "-h").output.count("--repeats") == 1


def test_a_folder_of_plugins_that_is_not_there_is_named(folder):
    (folder / "mine/methods").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"plugins: no folder mein .*: did you mean 'mine'\?"):
        checked({**LEAST, "plugins": ["mein"]})
    done = call("data", "list", "--plugins", "mein")
    assert done.exit_code == 2 and "mein" in done.output


def scans(folder, *names):
    for number, name in enumerate(names):
        write_scan(folder / f"{name}/anat/{name}_T1w.nii.gz", number)
    return folder


def test_what_mrisr_new_wrote_is_found_and_becomes_a_study(folder):
    assert call("new", "dataset", "ours", "--from", scans(folder / "o", "sub-1")).exit_code == 0
    assert "ours" in call("data", "list").output
    assert call("data", "describe", "ours").exit_code == 0
    done = call("new", "study", "ours", "open_ms")
    assert done.exit_code == 0, done.output
    study = load_study("config/ours.yaml")
    # It has no subjects to train on: networks learn from the base's.
    assert (study.name, study.train_dataset) == ("ours", "ds002748")
    assert study.test_datasets == ["ours", "open_ms"] and study.plugins == ["mine"]
    assert study.config["tables"] == {} and study.scales("open_ms") == study.config["scales"]
    assert "mrisr config show --configfile config/ours.yaml" in done.output
    # A study on top of this one knows the folder, and adds another.
    scans(folder / "t", "sub-2")
    assert call("new", "dataset", "their", "--from", "t", "--folder", "more").exit_code == 0
    for names, plugins, used in (
        (["open_ms"], [], ["mine"]),
        (["their"], ["--plugins", "more"], ["mine", "more"]),
    ):
        done = call("new", "study", *names, "--base", "ours", *plugins)
        assert done.exit_code == 0, done.output
        assert load_study(f"config/{names[0]}.yaml").plugins == used
    again = call("new", "study", "ours")
    assert again.exit_code == 1 and "config/ours.yaml: is there already" in again.stderr


def test_a_study_of_a_dataset_with_a_split_learns_from_it(folder):
    done = call("new", "study", "ds002748", "--name", "short", "--base", "irem")
    assert done.exit_code == 0, done.output
    assert load_study("config/short.yaml").test_datasets == ["ds002748"]
    done = call("new", "study", "ds000011", "ds002748", "--name", "heads")
    assert done.exit_code == 0, done.output
    content = yaml.safe_load((folder / "config/heads.yaml").read_text())
    assert content["base"] == "arssr" and "plugins" not in content
    study = load_study("config/heads.yaml")
    assert (study.train_dataset, study.test_datasets) == ("ds002748", ["ds002748", "ds000011"])
    assert call("new", "study", "nowhere").exit_code == 1


def test_only_what_can_be_taken_is_offered(folder):
    write_scan(folder / "a.nii.gz", 1)
    done = call("sr", "a.nii.gz", "--scale", 2, "--method", "zzz")
    assert "--method: no method 'zzz': known: cubic, nearest, smore\n" in done.stderr
    (folder / "b.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes())
    words = ("--method", "zzz", "--voxel-size", 1, "-o", "out.nii.gz")
    done = call("sr", "a.nii.gz", "b.nii.gz", *words)
    assert "--method: no method 'zzz': known: bspline, irem, srr\n" in done.stderr
