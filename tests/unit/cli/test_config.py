"""The commands `mrisr config` and `mrisr reproduce`."""

import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from mrisr.cli import reproduce
from mrisr.cli.main import app
from mrisr.common.optional_packages import BM3D_LACKING
from mrisr.study import inherit
from tiny_study import LEAST, ROOT


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_whole_config_is_printed_and_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ROOT / "config/open.yaml"
    done = call("config", "show", "--configfile", file, "--config", "scales=[2]")
    assert done.exit_code == 0, done.output
    (tmp_path / "printed.yaml").write_text(done.stdout)
    written = inherit.together([file], {"scales": [2]})
    assert inherit.read("printed.yaml").content == written.content
    assert list(yaml.safe_load(done.stdout)["methods"]) == list(written.content["methods"])
    assert "&id" not in done.stdout and "laid over" in done.stdout.splitlines()[0]

    (tmp_path / "least.yaml").write_text(yaml.safe_dump({**LEAST, "scales": [0.5]}))
    done = call("config", "show", "--configfile", "least.yaml")
    assert done.exit_code == 1 and "scales: [0.5]" in done.stdout
    assert "'scales.0'" in done.stderr


@pytest.fixture
def called(monkeypatch):
    """Commands of Snakemake that were run; `codes` are what they end with."""
    commands, codes = [], {}

    def run(command, **_):
        commands.append(command)
        name = command[command.index("--configfile") + 1].rsplit("/", 1)[1]
        return subprocess.CompletedProcess(command, codes.get(name, 0))

    monkeypatch.setattr(reproduce.subprocess, "run", run)
    monkeypatch.setattr("mrisr.common.optional_packages.has_bm3d", lambda: True)
    return commands, codes


def test_all_papers_are_run_one_after_the_other(called):
    commands, _ = called
    done = call("reproduce", "--", "--profile", "slurm")
    assert done.exit_code == 0, done.output
    names = [command[command.index("--configfile") + 1] for command in commands]
    assert names == [str(ROOT / f"config/{name}.yaml") for name in ("arssr", "irem", "coord")]
    for command in commands:
        assert command[:3] == [sys.executable, "-m", "snakemake"]
        assert command[-2:] == ["--profile", "slurm"] and "--cores" not in command
        assert "--dry-run" not in command
    assert done.stdout.split() == [f"results/{n}/report.html" for n in ("arssr", "irem", "coord")]
    commands.clear()
    assert call("reproduce", "-n", "irem").exit_code == 0
    assert len(commands) == 1 and {"--dry-run", "--cores"} <= {*commands[0]}
    # Behind `--` it is a dry-run too, which has no report.
    done = call("reproduce", "irem", "--", "-n")
    assert done.stdout == "" and "--dry-run" in commands[1]


def test_the_first_paper_that_fails_ends_it(called, monkeypatch):
    commands, codes = called
    codes["irem.yaml"] = 3
    done = call("reproduce")
    assert done.exit_code == 3 and len(commands) == 2
    assert "irem: Snakemake ended with exit code 3" in done.stderr
    assert "done: arssr; not begun: coord" in done.stderr
    commands.clear()
    monkeypatch.setattr("mrisr.common.optional_packages.has_bm3d", lambda: False)
    for words, message in (
        (["reproduce"], f"coord: {BM3D_LACKING}"),
        (["reproduce", "arsr"], "no paper 'arsr': did you mean 'arssr'?"),
    ):
        done = call(*words)
        assert done.exit_code == 1 and message in done.stderr and not commands
    assert call("reproduce", "irem", "coord", "--", "--sdm", "conda").exit_code == 3
