"""The job graph of a large study: how many jobs, and how long Snakemake thinks about them."""

import json
import resource
import subprocess
import sys

import pytest

import dry_runs
from mrisr.common.schema import read_yaml
from mrisr.plan.jobs import StudyJobs
from mrisr.study.load import checked
from tiny_study import ROOT, environment

pytestmark = pytest.mark.workflow
SUBJECTS = {"train": 195, "val": 28, "test": 24}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_ninth_of_the_papers_jobs_is_counted_in_seconds_and_as_planned(tmp_path, monkeypatch):
    configfile = ROOT / "config" / "rehearsal.yaml"
    every = {"priors": "atlas", "transform": "affine", "methods": None}  # all are segmented
    changes = {"datasets": {"crowd": {"subjects": SUBJECTS}}, "segmentation": every}
    probe = dry_runs.write_probe(tmp_path)
    before = cpu_seconds()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "all", "--snakefile", str(probe)),
            *("--directory", str(tmp_path), "--configfile", str(configfile), "-n", "-q", "rules"),
            *("--cores", "1", "--debug-dag", "--config"),
            *(f"{key}={json.dumps(value)}" for key, value in changes.items()),
        ],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # On a quiet machine a quarter of this.
    assert cpu_seconds() - before < 25

    output = done.stdout + done.stderr
    told = dry_runs.told(tmp_path, output)
    found = {rule: asked["count"] for rule, asked in told.items()}
    # Each file that a job needs is looked up among the outputs of all rules, which is what takes
    # long: what one job makes of all subjects stands as one list among the inputs of another.
    assert output.count("candidate job") < 4 * sum(found.values())
    assert found["segment_crowd"] == 24 * 5 * 10
    assert found["train_srcnn3d"] == 5 and found["train_arssr_rdn"] == 1
    monkeypatch.chdir(tmp_path)
    assert dry_runs.planned(StudyJobs(checked(read_yaml(configfile) | changes))) == told
