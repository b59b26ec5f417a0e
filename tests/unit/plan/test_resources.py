"""What jobs ask for: one table that the rules and the bill of a study read."""

import re

import pytest

from mrisr.common.paths import WORKFLOW
from mrisr.plan.jobs import StudyJobs
from mrisr.plan.resources import REQUESTS
from mrisr.study.load import load_study

#: Their rules ask for nothing.
SMALL = {"check_scans", "dataset_terms", "fetch_metric", "list"}


def test_rules_ask_for_what_the_table_says_and_for_nothing_else():
    rules = "".join(file.read_text() for file in (WORKFLOW / "rules").glob("*.smk"))
    assert "mem_mb" not in rules and "runtime=" not in rules
    asked = set(re.findall(r'REQUESTS\["(\w+)"', rules)) | {"segment_with_registration"}
    assert asked == set(REQUESTS)
    for kind in asked - {"segment_with_registration"}:
        threads = rules.count(f'threads: REQUESTS["{kind}"].threads')
        assert threads == rules.count(f'**REQUESTS["{kind}"].resources'), kind


@pytest.mark.parametrize("config", ["demo", "coord"])
def test_every_job_of_the_bill_asks_for_memory(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for jobs in StudyJobs(load_study(WORKFLOW.parent / "config" / f"{config}.yaml")).jobs:
        assert (jobs.memory_mb > 0) == (jobs.kind not in SMALL), jobs.rule
        if jobs.kind in REQUESTS:
            request = REQUESTS[jobs.kind]
            assert (jobs.threads, jobs.memory_mb) == (request.threads, request.memory_mb)
