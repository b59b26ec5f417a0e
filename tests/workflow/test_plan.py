"""`mrisr plan` states the jobs that Snakemake runs: rules, numbers, threads, memory and time."""

import json
import subprocess
import sys

import pytest
import yaml

import dry_runs
from mrisr.common.paths import WORKFLOW
from mrisr.plan.jobs import StudyJobs
from mrisr.study.inherit import read
from mrisr.study.load import load_study
from tiny_study import ROOT, environment

pytestmark = pytest.mark.workflow
#: test_scale dry-runs it.
ELSEWHERE = {"rehearsal"}
CONFIGS = {
    file.stem: (file, {})
    for file in sorted((ROOT / "config").glob("*.yaml"))
    if file.stem not in ELSEWHERE
}
PASSING = {"keep": [], "segmentation": {"priors": "atlas", "registration": "own"}}
PASSING |= {"seeds": 2}  # further trainings have rules of their own
CONFIGS["passing"] = (ROOT / "config/demo.yaml", PASSING)


def with_two_subjects(file, changes):
    """Return a config with two test subjects in each dataset: as many rules, fewer jobs."""
    config, study = read(file).content | changes, load_study(file)
    for name in study.datasets:
        few = {split: 2 if split == "test" else 1 for split in study.splits(name)}
        config["datasets"][name] = {**(config["datasets"][name] or {}), "subjects": few}
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small form of every config."""
    folder = tmp_path_factory.mktemp("configs")
    for name, (file, changes) in CONFIGS.items():
        small = with_two_subjects(file, changes)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(small, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """What Snakemake tells of each."""
    done = subprocess.run(
        [sys.executable, dry_runs.__file__, str(folder), *(f"{name}.yaml" for name in CONFIGS)],
        capture_output=True,
        text=True,
        env={**environment(), "PYTHONPATH": str(WORKFLOW), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(zip(CONFIGS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_jobs_of_every_config_are_those_of_snakemake(name, folder, told, monkeypatch):
    monkeypatch.chdir(folder)
    assert dry_runs.planned(StudyJobs(load_study(f"{name}.yaml"))) == told[name]


def test_further_trainings_have_rules_of_their_own(told):
    rules = {rule for rule in told["passing"] if "_seed2" in rule}
    assert {"train_arssr_rdn_seed2", "reconstruct_arssr_rdn_seed2_demo"} <= rules
    assert {rule.replace("_seed2", "") for rule in rules} <= set(told["demo"])


def test_volumes_that_pass_have_rules_of_their_own(told):
    found = told["passing"]
    assert found["segment_demo_shown"]["count"] == found["segment_demo"]["count"]
    assert found["segment_demo"]["minutes"] > told["demo"]["segment_demo"]["minutes"]
