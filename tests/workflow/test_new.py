"""What `mrisr new` writes, and a method that is only rules, in a study: tables, figures, report."""

import json
import shutil

import pandas as pd
import pytest

from mrisr import metrics
from mrisr.plan import bill, costs
from mrisr.plan.jobs import StudyJobs
from mrisr.plan.state import state
from mrisr.report.partial import described
from mrisr.scaffold import write
from mrisr.scaffold.look import look
from mrisr.study.load import load_study
from tiny_study import ROOT

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(not shutil.which("perl"), reason="perl is not installed"),
]
# The other kinds are held to the contract by tests/unit/scaffold/test_write.py, without a study.
SHRUNK = {"training": {"epochs": 1, "steps_per_epoch": 2, "border": 0, "patch": 16}}


def test_methods_metric_and_dataset_of_a_user_stand_in_tables_figures_and_report(
    tiny_study, monkeypatch
):
    study = tiny_study(
        methods={"my_cnn": SHRUNK, "trilinear": None},
        datasets={"tiny": {"roles": ["train"]}, "ours": {"subjects": {"test": ["sub-04"]}}},
        preset="demo",
        metrics=["psnr", "nrmse"],
        regions=["volume"],
        figures=["quality_by_cost"],
        report={"viewer": False},
    )
    monkeypatch.chdir(study.folder)
    write.method("my_cnn", "supervised", "mine")
    write.metric("nrmse", "mine")
    write.dataset("ours", "mine", look(study.bids).about)
    (study.folder / "examples").symlink_to(ROOT / "examples")
    study.config["plugins"] += ["mine", "examples"]  # relative, as users write them
    study.run("all")

    table = pd.read_csv(study.results / "tables/quality.csv").set_index(["metric", "method"])
    shown = table.loc["nrmse"]
    assert list(shown.index) == ["my_cnn", "trilinear"]
    assert (shown["n"] == 1).all() and (shown["mean"] > 0).all()
    drawn = json.loads((study.results / "figures/quality_by_cost_ours.json").read_text())
    assert "trilinear" in drawn["methods"] and "Not timed" not in drawn["caption"]
    assert "start included, by its benchmark: Trilinear." in drawn["caption"]
    page = (study.results / "report.html").read_text()
    for label in ("Trilinear", "My cnn", "Nrmse"):
        assert label in page and label in (study.results / "tables/quality.md").read_text()

    # What is not Snakemake knows them as well.
    loaded = load_study(study.folder / "tiny.yaml")
    study_jobs = StudyJobs(loaded)
    known = costs.record(study_jobs)
    assert "trilinear" in [its.variant for its in known.costs if its.kind == "reconstruct"]
    assert bill.plan(study_jobs, known).stages["reconstruct"].jobs == 2
    assert "2 of 2 cells measured (100 %)" in described("tiny", state(loaded))
    metrics.use([])
