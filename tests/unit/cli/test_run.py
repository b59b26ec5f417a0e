"""The commands `mrisr run` and `mrisr init`, and what a run says at its end."""

import os
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from mrisr.cli import run
from mrisr.cli.main import app
from mrisr.plan.ending import ending
from mrisr.study.load import load_study
from tiny_study import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def called(monkeypatch):
    """Calls of Snakemake, which succeed; without running it."""
    commands = []

    def done(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(run.subprocess, "run", done)
    return commands


def call(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def config_of(command):
    return command[command.index("--configfile") + 1]


def test_which_config_is_meant(folder, called):
    for words in ((), ("demo",), (ROOT / "config/demo.yaml",)):
        assert call("run", *words).exit_code == 0
        assert config_of(called[-1]) == str(ROOT / "config/demo.yaml")
    (folder / "config").mkdir()
    for name in ("ours", "demo"):
        (folder / f"config/{name}.yaml").write_text(f"base: demo\nstudy: {name}\n")
        assert call("run", name).exit_code == 0
        assert config_of(called[-1]) == f"config/{name}.yaml"  # before mrisr's own of that name
    several = call("run")
    assert several.exit_code == 1 and "name one of demo, ours" in several.stderr
    wrong = call("run", "arsr")
    assert wrong.exit_code == 1 and "did you mean 'arssr'?" in wrong.stderr
    assert len(called) == 5


def test_words_behind_the_dashes_reach_snakemake(called):
    assert call("run", "-n").exit_code == 0
    assert called[-1][:3] == [sys.executable, "-m", "snakemake"]
    assert {"--dry-run", "--cores"} <= {*called[-1]}
    assert call("run", "demo", "--", "results/x.csv", "--profile", "slurm").exit_code == 0
    # Behind an option, Snakemake would take the target for one of its values.
    assert called[-1][3] == "results/x.csv" and called[-1][-2:] == ["--profile", "slurm"]
    assert "--cores" not in called[-1] and "--dry-run" not in called[-1]


def test_a_report_that_is_there_already_is_named(folder, called):
    report = folder / "results/demo/report.html"
    assert "report" not in call("run").stdout
    report.parent.mkdir(parents=True)
    report.touch()
    os.utime(report, (1, 1))
    assert "up to date: results/demo/report.html" in call("run").stdout
    for words in (("-n",), ("demo", "--", "results/demo/tables/quality.md")):
        assert "report" not in call("run", *words).stdout


def test_the_end_names_the_report_only_if_it_is_new(folder):
    report = folder / "report.html"
    assert "without a new report" in ending(report, 100.0, 220.0)
    report.touch()
    os.utime(report, (150, 150))
    assert ending(report, 100.0, 220.0).startswith(f"Done in 2 min. The report is {report}: open")
    os.utime(report, (99, 99))
    assert "without a new report" in ending(report, 100.0, 220.0)


def test_a_working_folder_is_a_study_that_runs(folder, called, monkeypatch):
    done = call("init", "My Brains", "--base", "open")
    assert done.exit_code == 0 and "cd 'My Brains'" in done.stdout
    monkeypatch.chdir(folder / "My Brains")
    study = load_study("config/my_brains.yaml")
    assert study.name == "my_brains" and study.config["scales"] == [2, 4]
    profile = yaml.safe_load((folder / "My Brains/slurm/config.yaml").read_text())
    shipped = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    assert profile == {**shipped, "configfile": "config/my_brains.yaml"}
    assert call("run").exit_code == 0 and config_of(called[-1]) == "config/my_brains.yaml"
    again = call("init", ".")
    assert again.exit_code == 1 and "is there already, and stays" in again.stderr
    monkeypatch.chdir(folder)
    wrong = call("init", "other", "--base", "opn")
    assert wrong.exit_code == 1 and "did you mean 'open'?" in wrong.stderr
    assert not (folder / "other").exists()
