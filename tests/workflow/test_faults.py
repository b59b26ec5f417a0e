"""What a run on this machine survives; `tests/slurm/faults.py` does the same on a cluster."""

import os
import signal
import subprocess

import pytest

from slurm.faults import MODELS, SCRIPT, Bench, full_disk, read_only
from slurm.lab import Clone, script_process
from tiny_study import TinyStudy

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A clone whose inputs are prepared, and the same one with its model."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = TinyStudy(folder / "study", methods={"toy_patient": None}, metrics=["psnr"])
    clone = Clone(folder / "clone", study)
    clone.run(targets=["results/tiny/sources/checked"], slurm=False)
    whole = clone.copy(folder / "whole")
    whole.run(targets=MODELS, slurm=False)
    return clone, whole


def trained(clone):
    """Return the bytes of the weights and the losses."""
    folder = clone.results / "models" / "toy_patient" / "x2"
    return [(folder / name).read_bytes() for name in ("model.safetensors", "log.csv")]


@pytest.fixture
def bench(undisturbed, tmp_path):
    """A study that is about to train, to be disturbed; in the end its model is compared."""
    clone, whole = undisturbed
    mine = clone.copy(tmp_path / "clone")
    try:
        yield Bench(mine, None)
    finally:
        mine.end()
    assert mine.unusable() == []
    assert trained(mine) == trained(whole)


@pytest.fixture
def mounting(tmp_path):
    """Whether this process may mount file systems."""
    (tmp_path / "mount").mkdir()
    command = ["mount", "-t", "tmpfs", "tmpfs", tmp_path / "mount"]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    subprocess.run(["umount", tmp_path / "mount"], check=True)


def test_a_training_that_got_sigterm_says_so_and_continues(bench):
    run = bench.training()
    script_process(bench.clone.folder, SCRIPT).terminate()
    assert run.wait() != 0
    assert "error: toy_patient: ended by SIGTERM; a checkpoint is kept" in run.output
    bench.read()
    bench.again()
    bench.continued()


def test_the_same_job_waits_for_one_that_outlived_its_snakemake(bench):
    run = bench.training(rest=5)
    left = script_process(bench.clone.folder, SCRIPT)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    bench.again("--unlock")
    second = bench.clone.start("--rerun-incomplete", targets=MODELS, slurm=False)
    told = f"waiting for process {left.pid} on "
    second.until(lambda: told in second.output, "word of the other process")
    left.kill()
    assert second.wait() == 0, second.output
    bench.continued()


def test_a_full_disk_is_named_and_nothing_is_lost(bench, mounting):
    assert "no space left on the device; free some space" in full_disk(bench)


def test_a_read_only_results_folder_is_refused_before_any_work(bench, mounting):
    assert read_only(bench).startswith("results/tiny: the file system is read-only")
