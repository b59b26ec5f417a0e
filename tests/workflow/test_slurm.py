"""A tiny study on a real Slurm: its jobs, their logs, one that fails, and the tables' bytes."""

import re

import pytest

from slurm.cluster import Cluster
from slurm.lab import Clone, about_job
from tiny_study import TinyStudy

pytestmark = [pytest.mark.workflow, pytest.mark.slurm]
UNSTABLE = {"training": {"learning_rate": 1e30}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster with the partitions of the profile."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    if reason := cluster.why_not():
        pytest.skip(f"no Slurm here: {reason}")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def done(cluster, tmp_path_factory):
    """A study of which one training failed, then went well; and the same one on this machine."""
    folder = tmp_path_factory.mktemp("slurm")
    study = TinyStudy(
        folder / "study",
        methods={"cubic": None, "toy_patient": UNSTABLE},
        baseline="cubic",
        metrics=["psnr"],
        regions=["volume"],
    )
    clone = Clone(folder / "clone", study)
    failed = clone.run("--retries", "0", check=False)
    study.config["methods"]["toy_patient"] = None
    local = Clone(folder / "local", study)
    finished = clone.run()
    local.run(slurm=False)
    return clone, local, failed, finished


def jobs(*runs):
    """Return what Slurm knows of the last job of each rule."""
    submitted = re.findall(
        r"jobid (\d+) \(log: \S+/rule_(\w+)/", "".join(run.output for run in runs)
    )
    return {rule: about_job(number) for number, rule in submitted}


def test_jobs_for_a_gpu_land_on_its_partition_and_get_what_they_ask_for(done):
    *_, failed, finished = done
    known = jobs(failed, finished)
    on_gpus = {rule for rule, about in known.items() if about["Partition"] == "gpu"}
    assert on_gpus == {"train_toy_patient"}
    assert {about["Partition"] for about in known.values()} == {"cpu", "gpu"}
    assert len(known) == 10
    training = known["train_toy_patient"]
    # Three threads, also if the machine that submits has fewer cores.
    assert training["NumCPUs"] == "3" and training["TresPerJob"] == "gres:gpu:1"
    assert (training["TimeLimit"], training["MinMemoryNode"]) == ("00:10:00", "1000M")
    assert training["Requeue"] == "1"


def test_a_job_that_fails_is_named_with_its_logs(done):
    clone, _, failed, _ = done
    assert failed.process.returncode != 0
    error = failed.output[failed.output.index("Error in rule train_toy_patient") :]
    log, slurm_log = re.search(r"log: (\S+), (\S+) \(check", error).groups()
    assert log == "results/tiny/logs/models/toy_patient/x2.log"
    told = "error: toy_patient: the loss is not finite"
    assert told in (clone.folder / slurm_log).read_text()
    assert slurm_log.startswith(f"{clone.folder}/results/logs/slurm/rule_train_toy_patient/2/")
    # What does not depend on it went on.
    assert "(Rule: evaluate_tiny)" in failed.output


def test_logs_of_jobs_that_went_well_are_kept_by_rule(done):
    clone, *_ = done
    logs = clone.folder / "results" / "logs" / "slurm"
    text = "".join(file.read_text() for file in logs.glob("rule_prepare_tiny_train/*.log"))
    assert "Finished jobid" in text
    assert (clone.results / "logs" / "models" / "toy_patient" / "x2.log").stat().st_size > 0


def test_tables_are_those_of_this_machine_byte_for_byte(done):
    clone, local, _, _ = done
    assert len(local.tables()) == 8
    assert clone.tables() == local.tables()
    assert clone.unusable() == []
