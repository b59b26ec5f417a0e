"""The jobs of a study, where they differ from study to study."""

from mrisr.plan.costs import Costs
from mrisr.plan.jobs import STAGES, StudyJobs
from mrisr.study.load import checked
from tiny_study import LEAST


def jobs(**changes):
    """The jobs of a study of the demo's scans, by name."""
    return {group.name: group for group in StudyJobs(checked(LEAST | changes)).jobs}


def test_scans_are_checked_where_something_is_trained():
    training = {"datasets": {"demo": None}, "methods": {"cubic": None, "srcnn3d": None}}
    assert "check_scans" not in jobs()
    found = jobs(**training)
    prepared = [f"prepare_demo_{split}" for split in ("train", "val", "test")]
    assert found["check_scans"].after == prepared
    assert "check_scans" in found["train_srcnn3d x2"].after


def test_volumes_that_pass_and_those_that_are_shown_have_rules_of_their_own():
    segmentation = {"priors": "atlas", "registration": "own"}
    found = jobs(keep=[], segmentation=segmentation)
    passing, shown = (found[f"segment_demo{end} cubic 2"] for end in ("", "_shown"))
    assert passing.count == shown.count == 1
    assert not {*passing.benchmarks} & {*shown.benchmarks}
    assert {passing.name, shown.name} <= {*found["overlap_demo cubic 2"].after}
    kept = jobs(segmentation={"priors": "atlas"})
    assert kept["segment_demo cubic 2"].count == 2 and kept["segment_demo cubic 2"].minutes == 60
    assert passing.minutes == shown.minutes == 120


def test_what_is_needed_comes_first():
    training = {"datasets": {"demo": None}, "methods": {"cubic": None, "srcnn3d": None}}
    seen = []
    for name, group in jobs(**training, segmentation={"priors": "atlas"}).items():
        assert {*group.after} <= {*seen}, name
        assert group.stage in STAGES
        seen.append(name)


def test_another_engine_is_not_told_as_recorded(monkeypatch):
    monkeypatch.setattr("mrisr.study.check.has_antspynet", lambda: True)
    for engine, basis in (("atropos", "recorded"), ("deep_atropos", "other")):
        found = jobs(segmentation={"priors": "atlas", "engine": engine})
        for name in ("segment_ground_truth_demo", "segment_demo cubic 2"):
            assert Costs.load().estimate(found[name]).basis == basis
