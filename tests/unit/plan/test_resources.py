"""What jobs ask for: one table that the rules and the bill of a study read."""

import re

from mrisr.common.paths import WORKFLOW
from mrisr.common.schema import read_yaml
from mrisr.methods.method import unpack
from mrisr.plan.jobs import StudyJobs
from mrisr.plan.resources import DOWNLOADS, REQUESTS, requests
from mrisr.study.load import checked


def test_rules_ask_for_what_the_table_says_and_for_nothing_else():
    rules = "".join(file.read_text() for file in (WORKFLOW / "rules").glob("*.smk"))
    assert "mem_mb" not in rules and "runtime=" not in rules
    asked = set(re.findall(r'REQUESTS\["(\w+)"', rules)) | {"segment_with_registration"}
    assert asked == set(REQUESTS)
    for kind in asked - {"segment_with_registration"}:
        threads = rules.count(f'threads: REQUESTS["{kind}"].threads')
        assert threads == rules.count(f'**REQUESTS["{kind}"].resources'), kind


def test_in_a_deterministic_study_every_job_has_one_thread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_yaml(WORKFLOW.parent / "config" / "demo.yaml")
    free, one = (
        StudyJobs(checked({**config, "deterministic": value}, "config")) for value in (False, True)
    )
    assert max(jobs.threads for jobs in free.jobs) > 1
    assert {jobs.threads for jobs in one.jobs if jobs.kind not in DOWNLOADS} == {1}
    # Rules have their threads from the same two places.
    rules = "".join(file.read_text() for file in (WORKFLOW / "rules").glob("*.smk"))
    found = set(re.findall(r"^ *threads: (.*)", rules, re.MULTILINE))
    assert all(re.match(r'REQUESTS?\b|method\.threads\("', said) for said in found), found
    assert "REQUESTS = requests(STUDY.deterministic)" in rules
    assert requests(False) is REQUESTS


def test_the_demos_networks_leave_a_core_to_other_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = checked(read_yaml(WORKFLOW.parent / "config" / "demo.yaml"), "config")
    for name in ("srcnn3d", "arssr_rdn"):
        method = study.methods[name]
        assert (method.threads("train"), method.threads("reconstruct")) == (1, 1), name


def test_a_study_that_becomes_deterministic_makes_its_numbers_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_yaml(WORKFLOW.parent / "config" / "demo.yaml")
    free, one = (
        checked({**config, "deterministic": value}, "config").methods for value in (False, True)
    )
    for name in free:
        assert "deterministic" not in free[name].pack("model")["spec"]
        assert one[name].pack("model")["spec"]["deterministic"] is True
        assert unpack(one[name].pack("model")).threads("train") == 1
