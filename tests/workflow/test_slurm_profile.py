"""What `snakemake --profile slurm` means, without a cluster."""

import os
import sys
from types import SimpleNamespace

import pytest
import yaml
from snakemake.cli import parse_args
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from mrisr.methods import method
from tiny_study import ROOT

PARTITIONS = ROOT / "slurm" / "partitions.yaml"


@pytest.fixture
def typed(monkeypatch):
    """Return how Snakemake understands a command that is typed in the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)

    def parse(*words):
        monkeypatch.setattr(sys, "argv", ["snakemake", *words])
        return parse_args(None)[1]

    return parse


def test_snakemake_alone_uses_all_cores(typed):
    found = typed()
    assert found.cores == len(os.sched_getaffinity(0)) and found.executor is None
    assert typed("--cores", "1").cores == 1


@pytest.mark.parametrize(
    "words", [["--profile", "slurm"], ["--profile=slurm"], ["--executor", "slurm", "--jobs", "5"]]
)
def test_cores_of_this_machine_do_not_limit_jobs_elsewhere(typed, words):
    # With `cores`, a job of 8 threads sent from a machine of 2 cores would be a job of 2 threads.
    assert typed(*words).cores is None


def test_a_profile_of_the_environment_counts_too(typed, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "slurm")
    assert typed().cores is None


def test_the_profile_sends_jobs_to_slurm_and_another_study_replaces_the_papers(typed):
    found = typed("--profile", "slurm")
    assert (found.executor, found.jobs, found.retries) == ("slurm", 100, 1)
    assert [str(file) for file in found.configfile] == ["config/arssr.yaml"]
    assert str(found.slurm_partition_config) == "slurm/partitions.yaml"
    # The default, sacct, waits for ever where there is no accounting database.
    assert found.slurm_status_command == "squeue"
    other = typed("--profile", "slurm", "--configfile", "config/open.yaml")
    assert [str(file) for file in other.configfile] == ["config/open.yaml"]
    assert other.executor == "slurm"


class Log:
    def __getattr__(self, name):
        return lambda *_: None


def chosen(resources, threads=1):
    """Return the partition that the plugin picks for a job."""
    job = SimpleNamespace(resources=resources, threads=threads, name="a job")
    return get_best_partition(read_partition_file(PARTITIONS), job, Log())


def test_jobs_that_want_a_gpu_go_to_its_partition_and_all_others_do_not():
    asked = {
        (name, stage): method.get(name).spec["resources"].get(stage)
        for name in method.names()
        for stage in ("train", "reconstruct")
    }
    picked = {
        key: (chosen(its, its.get("threads", 1)), its.get("gpu", 0))
        for key, its in asked.items()
        if its
    }
    assert {gpu for _, gpu in picked.values()} == {0, 1}
    assert {place for place, gpu in picked.values() if gpu} == {"gpu"}
    assert {place for place, gpu in picked.values() if not gpu} == {"cpu"}
    defaults = yaml.safe_load((ROOT / "slurm" / "config.yaml").read_text())["default-resources"]
    assert chosen(defaults) == "cpu"
    assert chosen({"gpu": 4}) == "gpu"
