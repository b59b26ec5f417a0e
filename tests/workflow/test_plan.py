"""`mrisr plan` states the jobs that Snakemake runs: rules, numbers, threads, memory and time."""

import json
import subprocess
import sys

import pytest
import yaml

import dry_runs
from mrisr.common.paths import WORKFLOW
from mrisr.common.schema import read_yaml
from mrisr.plan.jobs import StudyJobs
from mrisr.study.load import load_study
from tiny_study import ROOT, environment

pytestmark = pytest.mark.workflow
#: test_scale dry-runs it.
LARGE = "rehearsal"
CONFIGS = {
    file.stem: (file, {}) for file in sorted((ROOT / "config").glob("*.yaml")) if file.stem != LARGE
}
PASSING = {"keep": [], "segmentation": {"priors": "atlas", "registration": "own"}}
CONFIGS["passing"] = (ROOT / "config/demo.yaml", PASSING)


def with_two_subjects(file, changes):
    """Return a config with at most two subjects in each split: as many rules, fewer jobs."""
    config, study = read_yaml(file) | changes, load_study(file)
    for name, dataset in study.datasets.items():
        subjects = {split: dataset.subjects[split] for split in study.splits(name)}
        few = {split: min(2, len(names)) for split, names in subjects.items()}
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


def test_volumes_that_pass_have_rules_of_their_own(told):
    found = told["passing"]
    assert found["segment_demo_shown"]["count"] == found["segment_demo"]["count"]
    assert found["segment_demo"]["minutes"] > told["demo"]["segment_demo"]["minutes"]
