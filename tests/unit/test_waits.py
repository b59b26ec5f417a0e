"""What jobs on Slurm waited for, read from the logs of a run."""

import os
import stat

import pytest

from slurm import waits

LOG = """\
SLURM run ID: the-run
[Sat Nov 21 20:00:00 2026]
Job 7: Training
Job 7 has been submitted with SLURM jobid 1 (log: /a/rule_b/results/rule_train_net/2/1.log).
Job 8 has been submitted with SLURM jobid 2 (log: /a/rule_b/results/rule_prepare/2.log).
Job 9 has been submitted with SLURM jobid 3 (log: /a/rule_b/results/rule_prepare/3.log).
[Sat Nov 21 20:03:10 2026]
Finished jobid: 7 (Rule: train_net)
"""
DAY = "2026-11-21T"
DONE = f"""\
JobId=1 Name=the-run JobState=COMPLETED Partition=cpu \
StartTime={DAY}20:00:02 EndTime={DAY}20:03:00 SubmitTime={DAY}20:00:01
JobId=2 Name=the-run JobState=FAILED Partition=cpu \
StartTime={DAY}20:03:01 EndTime={DAY}20:04:00 SubmitTime={DAY}20:00:02
JobId=3 Name=the-run JobState=CANCELLED Partition=cpu \
StartTime={DAY}20:04:00 EndTime={DAY}20:04:00 SubmitTime={DAY}20:00:02
"""


def test_a_job_waits_for_the_one_that_ended_before_it_started():
    train, prepare = waits.jobs([LOG], waits.from_completions(DONE))
    assert (train.name, train.waited, train.noticed - train.ended) == ("train_net 2", 1, 10)
    assert (prepare.name, prepare.waited, prepare.noticed) == ("prepare", 179, None)
    lines = list(waits.described([train, prepare], 1))
    assert lines[2:4] == ["train_net | 1 | 1, 1 | 178 | 10", "prepare | 1 | 179, 179 | 59 | "]
    assert lines[-1] == "prepare | 179 | train_net 2; 1 ran in cpu"
    assert waits.cause(train, [train, prepare]) == "Slurm itself; 0 ran in cpu"


def test_several_runs_of_a_study_are_told_together():
    again = LOG.replace("jobid 1 ", "jobid 4 ").replace("jobid 2 ", "jobid 5 ")
    times = waits.from_completions(DONE + DONE.replace("JobId=1", "JobId=4"))
    assert [job.rule for job in waits.jobs([LOG, again], times)].count("train_net") == 2


def test_times_come_from_the_accounting_database(tmp_path, monkeypatch):
    row = f"1|cpu|COMPLETED|{DAY}20:00:01|{DAY}20:00:02|{DAY}20:03:00"
    sacct = tmp_path / "sacct"
    sacct.write_text(f'#!/bin/sh\n[ "$4" = --name=the-run ] && echo "{row}"\n')
    sacct.chmod(sacct.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert [job.waited for job in waits.jobs([LOG], waits.from_sacct("the-run"))] == [1]
    sacct.write_text('#!/bin/sh\necho "accounting is disabled" >&2\nexit 1\n')
    with pytest.raises(SystemExit, match="accounting is disabled\nWithout accounting"):
        waits.from_sacct("the-run")
