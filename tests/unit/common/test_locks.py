"""One process at a time does a job, and the others say who."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from mrisr.common.errors import InputError
from mrisr.common.locks import alone, claim, held
from tiny_study import ROOT

JOB = """
import sys, time
from mrisr.common.progress import job
with job(sys.argv[1]):
    print("working", flush=True)
    {work}
"""


@pytest.fixture
def start(tmp_path):
    """Start a job with the log `a.log`; all that run are killed in the end."""
    started = []

    def start(work, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", JOB.format(work=work), str(tmp_path / "a.log")],
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_job_waits_for_the_same_job_and_says_which_it_is(start, tmp_path):
    first = start("time.sleep(600)", SLURM_JOB_ID="12")
    assert first.stdout.readline() == "working\n"
    second = start("pass")
    told = second.stderr.readline()
    assert re.match(r"waiting for Slurm job 12 on \S+, since 20\S+ \S+, which makes the", told)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert second.wait(60) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_what_a_killed_job_has_forked_does_not_hold_up_the_next(start):
    first = start(
        "import os; n = os.fork(); n and print(f'{n}\\n', end='', flush=True); time.sleep(60)"
    )
    assert first.stdout.readline() == "working\n"
    child = int(first.stdout.readline())
    first.send_signal(signal.SIGKILL)
    assert start("pass").wait(60) == 0
    os.kill(child, 0)  # it is still there


def test_the_lock_file_is_gone_afterwards_and_no_other_is_removed(tmp_path):
    lock = tmp_path / "folder" / "lock"
    with alone(lock, pytest.fail):
        assert f"process {os.getpid()} on" in lock.read_text()
    assert not list(lock.parent.iterdir())


def test_jobs_with_other_logs_run_beside_each_other(tmp_path):
    began = time.monotonic()
    with alone(tmp_path / "a", pytest.fail), alone(tmp_path / "b", pytest.fail):
        assert time.monotonic() - began < 5


def test_a_lock_that_is_held_is_seen_and_one_that_was_left_is_not(start, tmp_path):
    lock = tmp_path / ".a.log.lock"
    assert not held(lock)
    process = start("time.sleep(600)")
    assert process.stdout.readline() == "working\n"
    assert held(lock) and held(lock)
    process.kill()
    process.wait()
    assert lock.exists() and not held(lock)


CLAIM = """
import sys, time
from mrisr.common.errors import InputError
from mrisr.common.locks import claim
claim("results/tiny", *sys.argv[1:])
print("working", flush=True)
time.sleep(60)
"""


@pytest.fixture
def working(tmp_path):
    """Start a process that works on the folder `shared` from a workplace."""
    started = []

    def start(workplace):
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path / "shared", workplace],
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_checkouts_do_not_work_on_one_results_folder(working, tmp_path, monkeypatch):
    monkeypatch.setattr("atexit.register", lambda _: None)
    first = working("/one")
    assert first.stdout.readline() == "working\n"
    told = rf"^results/tiny: another Snakemake works on it, from /one: process {first.pid} on \S+,"
    with pytest.raises(InputError, match=told):
        claim("results/tiny", tmp_path / "shared", "/two")
    # From the same folder: Snakemake's own lock is for these.
    assert working("/one").stdout.readline() == "working\n"
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_what_a_killed_process_left_keeps_nobody_off(working, tmp_path, monkeypatch):
    held = []
    monkeypatch.setattr("atexit.register", held.append)
    first = working("/one")
    assert first.stdout.readline() == "working\n"
    first.kill()
    first.wait()
    claim("results/tiny", tmp_path / "shared", "/two")
    assert len(list((tmp_path / "shared").iterdir())) == 1
    held[0]()
    assert list((tmp_path / "shared").iterdir()) == []
