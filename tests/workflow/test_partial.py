"""Tables, figures and report of a study of which one method fails and another waits."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.plan import state as module
from mrisr.plan.figures import figures
from mrisr.plan.state import state
from mrisr.report import partial as making
from mrisr.study.load import checked
from tiny_study import ROOT, TinyStudy, environment

pytestmark = pytest.mark.workflow
BROKEN = '''"""A method that fails."""


def reconstruct(lr, query, model):
    """Fail."""
    raise ValueError("no such luck")
'''


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What is left when Snakemake has stopped at a failure, one method not even begun."""
    methods = {"nearest": None, "broken": None, "cubic": None}
    study = TinyStudy(
        tmp_path_factory.mktemp("partial"), methods=methods, scales=[2], metrics=["psnr"]
    )
    folder = study.plugins / "methods" / "broken"
    folder.mkdir()
    about = yaml.safe_load((ROOT / "workflow/methods/cubic/method.yaml").read_text())
    (folder / "method.yaml").write_text(yaml.safe_dump({**about, "label": "Broken"}))
    (folder / "method.py").write_text(BROKEN)
    wanted = [f"results/tiny/metrics/tiny/{name}/x2.csv" for name in ("nearest", "broken")]
    code, output = study.run("--keep-going", *wanted, check=False)
    assert code and "Error in rule reconstruct_broken_tiny" in output
    return study


def partial(folder, *arguments):
    """Run the command in a folder, in a process of its own; return what it printed."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mrisr.cli.main",
            "partial",
            "--configfile",
            "tiny.yaml",
            *arguments,
        ],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def seen(folder):
    """Return every file below a folder with its bytes and when it was written."""
    return {
        str(file): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_partial_makes_everything_and_touches_nothing(study):
    lock = study.folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/tiny/report.html\n")
    before = {name: seen(study.folder / name) for name in ("results", ".snakemake")}
    try:
        output = partial(study.folder)
    finally:
        after = {name: seen(study.folder / name) for name in ("results", ".snakemake")}
        lock.unlink()
    assert after == before
    assert "tiny: 1 of 3 cells measured (33 %); 1 failed, 1 waiting." in output
    assert "results/tiny/logs/sr/tiny/broken/x2.log\n    ValueError: no such luck" in output

    made = study.folder / "partial" / "tiny"
    rows = pd.read_csv(made / "tables/quality.csv").query("region == 'volume'").set_index("method")
    assert rows["n"].to_dict() == {"nearest": 2, "broken": 0, "cubic": 0}
    assert rows.loc["cubic", "note"] == "missing"
    assert (made / "figures/comparison_tiny.png").stat().st_size > 5000
    page = (made / "report.html").read_text()
    assert "results/tiny/logs/sr/tiny/broken/x2.log" in page and "no such luck" in page
    assert '<td class="failed" data-scale="2">failed</td>' in page
    assert "1 of 3 cells were measured" in page and "<i" in page
    record = json.loads((made / "manifest.json").read_text())
    assert f"{made.relative_to(study.folder)}/tables/quality.csv" in record["sha256"]["tables"]
    assert record["durations"]["sr"]["jobs"] == 1


def test_a_figure_is_drawn_again_only_if_what_it_shows_has_changed(study, monkeypatch):
    monkeypatch.chdir(study.folder)
    figure = next(its for its in figures(checked(study.config)) if its.name == "comparison_tiny")
    drawn = []
    monkeypatch.setattr(making.figure_plan, "figures", lambda _: [figure])
    monkeypatch.setattr(making.figure_files, "draw", lambda *given: drawn.append(given))
    folder = study.folder / "partial" / "tiny"
    assert making._figures(checked(study.config), folder, print) and not drawn
    os.utime(study.results / "hr/tiny/sub-04.nii.gz")
    assert making._figures(checked(study.config), folder, print) and len(drawn) == 1


def command(*arguments):
    return CliRunner().invoke(app, ["partial", "--configfile", "tiny.yaml", *arguments])


def test_partial_only_says_how_far_the_study_is(study, monkeypatch):
    monkeypatch.chdir(study.folder)
    output = command("--say", "--config", "scales=[2, 3]").output
    assert "1 of 6 cells measured" in output
    lines = [line.split() for line in output.splitlines()]
    assert ["Broken", "failed", "waiting"] in lines and ["Nearest", "done", "waiting"] in lines


def test_partial_refuses_a_folder_of_the_workflow(study, monkeypatch):
    monkeypatch.chdir(study.folder)
    refused = command("-o", "results/tiny/now")
    said = "results/tiny/now: is inside results/, which the workflow owns"
    assert refused.exit_code == 1 and said in refused.output
    assert not (study.folder / "results/tiny/now").exists()
    assert "give key=value" in command("--say", "--config", "scales").output


@pytest.fixture
def copy(study, tmp_path, monkeypatch):
    """A copy that tests may spoil, as the working directory."""
    for name in ("results", "plugins", "bids"):
        shutil.copytree(study.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return checked({**study.config, "plugins": ["plugins"]})


def states(found):
    return {cell.method.name: its for cell, its in found.cells}


def test_what_has_begun_runs_or_was_stopped(copy, tmp_path):
    (tmp_path / "results/tiny/logs/sr/tiny/cubic").mkdir(parents=True)
    log = tmp_path / "results/tiny/logs/sr/tiny/cubic/x2.log"
    log.write_text("2026-01-01 10:00:00,000 reconstruct cubic: 1 of 2, 10.1 s\n")
    assert states(state(copy))["cubic"] == "stopped"
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.input.lock").write_text("")
    assert states(state(copy)) == {"nearest": "done", "broken": "failed", "cubic": "running"}
    log.write_text("2026-01-01 10:00:00,000 error: scan.nii.gz: no such file\n")
    found = state(copy)
    assert states(found)["cubic"] == "failed"
    assert found.failures[-1] == module.Failure(
        "results/tiny/logs/sr/tiny/cubic/x2.log", "scan.nii.gz: no such file"
    )
    # Killed: the lock stays, but no Snakemake works here, as its log names this machine.
    log.write_text("2026-01-01 10:00:00,000 reconstruct cubic: 1 of 2, 10.1 s\n")
    said = tmp_path / ".snakemake/log/2026-01-01T100000.000000.snakemake.log"
    said.parent.mkdir(parents=True)
    said.write_text(f"SNAKEMAKE\n=========\n  Host: {os.uname().nodename}\n")
    assert states(state(copy))["cubic"] == "stopped"
    said.write_text("SNAKEMAKE\n=========\n  Host: another\n")
    assert states(state(copy))["cubic"] == "running"
    # Run again: the log is that of a job at work.
    log.write_text("2026-01-01 10:05:00,000 reconstruct cubic: 1 of 2, 10.1 s\n")
    assert states(state(copy))["cubic"] == "running"


def test_a_job_that_slurm_killed_is_named_with_slurms_reason(copy, tmp_path):
    log = "results/tiny/logs/sr/tiny/cubic/x2.log"
    slurm = tmp_path / "results/logs/slurm/rule_reconstruct_cubic_tiny/2/17.log"
    slurm.parent.mkdir(parents=True)
    slurm.write_text(
        f"localrule reconstruct_cubic_tiny:\n    log: {log}\n"
        "slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 10:00 DUE TO TIME LIMIT ***\n"
    )
    found = state(copy)
    assert states(found)["cubic"] == "failed"
    reason = {failure.log: failure.reason for failure in found.failures}[log]
    assert reason.startswith("slurmstepd: error") and "TIME LIMIT" in reason


def test_a_job_that_snakemake_saw_fail_is_named_although_its_log_is_silent(copy, tmp_path):
    log = "results/tiny/logs/metrics/tiny/cubic/x2.log"
    said = tmp_path / ".snakemake/log/2026-01-01T100000.000000.snakemake.log"
    said.parent.mkdir(parents=True)
    said.write_text(
        "Error in rule evaluate_tiny:\n    jobid: 3\n"
        f"    log: {log} (check log file(s) for error details)\n"
    )
    found = state(copy)
    assert states(found)["cubic"] == "failed"
    assert any(its.log == log and str(said.name) in its.reason for its in found.failures)
