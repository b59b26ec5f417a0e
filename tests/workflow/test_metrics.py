"""Metrics in the workflow: LPIPS with and without its backbone, and what is shared."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tiny_study import jobs, write_scan

pytestmark = pytest.mark.workflow
METRICS = ["psnr", "lpips", "lpc_si", "vif", "gain"]


@pytest.fixture
def study(tiny_study):
    """Two test subjects, large enough for metrics on slices."""
    made = tiny_study(
        methods={"cubic": None, "identity": None},
        metrics=METRICS,
        lpips={"url": "http://127.0.0.1:9/no-such-server"},
    )
    for subject in ("04", "05"):
        write_scan(made.scan(subject), int(subject), (48, 50, 52))
    return made


def table(study):
    found = pd.read_csv(study.results / "tables/quality.csv")
    return found.set_index(["method", "metric", "region"])


def test_lpips_column_stays_empty_until_there_is_a_backbone(study, stand_in):
    study.config["lpips"]["sha256"] = stand_in["sha256"]
    study.run("tables")
    quality = table(study)
    assert quality.loc[("cubic", "lpips", "volume"), "n"] == 0
    assert quality.loc[("cubic", "lpips", "volume"), "note"] == "unavailable"
    assert quality.loc[("cubic", "vif", "volume"), "n"] == 2
    page = (study.results / "tables/quality.md").read_text()
    assert "LPIPS: no AlexNet backbone" in page and "127.0.0.1:9" in page
    assert "are means over 2-D slices" in page
    assert "lpips" not in (study.results / "tables/significance.csv").read_text()

    # Once it lies where the message said, the next run takes it.
    place = study.folder / "resources/lpips/alexnet-owt-7be5be79.pth"
    assert str(place.relative_to(study.folder)) in page.replace("\\_", "_")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(stand_in["backbone"], place)
    study.run("tables")
    quality = table(study)
    assert quality.loc[("cubic", "lpips", "volume"), "mean"] > 0
    assert quality.loc[("identity", "lpips", "volume"), "mean"] == 0
    assert "no AlexNet" not in (study.results / "tables/quality.md").read_text()
    assert not (study.results / ".staging/features").exists()
    assert "Nothing to be done" in study.run("tables", "-n")[1]

    study.config["methods"]["nearest"] = None
    planned = jobs(study.run("tables", "-n")[1])
    assert planned["evaluate_tiny"] == 1
    assert not {"fetch_metric_lpips", "ground_truth_scores_tiny"} & set(planned)


def test_a_required_backbone_that_cannot_be_had_is_an_error(study):
    study.config["lpips"]["required"] = True
    code, output = study.run("results/tiny/metrics/lpips.json", check=False)
    assert code != 0
    said = Path(study.results / "logs/metrics/lpips.json.log").read_text()
    for text in (said, output):
        assert "sha256 7be5be79" in text and "lpips.backbone" in text
    assert not (study.results / "metrics/lpips.json").exists()


def test_a_wrong_backbone_is_an_error_even_if_none_is_required(study, tmp_path):
    wrong = tmp_path / "weights.pth"
    wrong.write_text("no weights")
    study.config["lpips"]["backbone"] = str(wrong)
    code, output = study.run("results/tiny/metrics/lpips.json", check=False)
    assert code != 0 and "lpips.backbone" in output and str(wrong) in output
    assert not (study.results / "metrics/lpips.json").exists()


def test_settings_of_metrics_are_checked(study):
    study.config["lpc_si"] = {"sigma": 2}
    study.config["lpips"]["backbon"] = "x"
    code, output = study.run("-n", check=False)
    assert code != 0
    assert "lpc_si.sigma" in output and "lpips.backbon': did you mean 'backbone'" in output
