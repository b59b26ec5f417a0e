"""A tiny study with a segmentation, from the simulated scan to table, figure and report."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tiny_study import TinyStudy, jobs

pytestmark = pytest.mark.workflow
SMALL = {
    "label": "Small",
    "simulated": True,
    "skull_stripped": True,
    "source": {"kind": "bundled", "generator": "mni152", "parameters": {"voxel_size": 5}},
    "split": "small.tsv",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = TinyStudy(
        tmp_path_factory.mktemp("segmentation"),
        datasets={"small": None},
        methods={"cubic": None, "identity": None},
        metrics=["psnr"],
        segmentation={"priors": "atlas", "transform": "affine", "voxel_size": 6},
        tables={
            "table1": {"dataset": "small", "title": "One"},
            "table4": {
                "dataset": "small",
                "kind": "overlap",
                "published": [{"file": "arssr_table4.csv", "source": "Printed elsewhere."}],
            },
        },
    )
    (study.plugins / "datasets/small.yaml").write_text(yaml.safe_dump(SMALL))
    (study.plugins / "datasets/small.tsv").write_text("subject\tsplit\nsub-01\ttest\n")
    return study


def test_from_scan_to_report(study):
    planned = jobs(study.run("-n")[1])
    assert planned["fetch_priors"] == planned["align_small"] == 1
    assert planned["segment_ground_truth_small"] == 1
    assert planned["segment_small"] == planned["overlap_small"] == 2
    assert planned["segment_noisy_small"] == planned["noise_floor_small"] == 1
    study.run()

    truth = nib.load(study.results / "hr/small/sub-01.nii.gz")
    for place in ("ground_truth", "cubic/x2", "identity/x2"):
        labels = nib.load(study.results / f"segmentation/small/{place}/sub-01.nii.gz")
        assert labels.shape == truth.shape and labels.get_data_dtype() == np.uint8
        np.testing.assert_allclose(labels.affine, truth.affine)
    table = pd.read_csv(study.results / "tables/segmentation.csv")
    assert ",".join(table.columns) == (
        "dataset,scale,method,region,metric,n,mean,std,ci_low,ci_high,noise_floor,difference,"
        "difference_low,difference_high,p,p_holm,p_equivalence,conclusion,published,note"
    )
    floors = table.groupby("metric")["noise_floor"].max()
    assert (floors < [0.5, 0.7, 15, 100]).all() and (floors >= 0).all()
    means = table.set_index(["method", "region", "metric"])["mean"]
    equal = means["identity"].unstack()
    assert (equal[["dice", "iou"]] == 1).all(axis=None)
    assert (equal[["volume", "surface"]] == 0).all(axis=None)
    assert 0.3 < means["cubic", "mean", "dice"] < 1
    tissues = pd.read_csv(study.results / "tables/tissues.csv").set_index(["method", "metric"])
    assert (tissues.loc[("identity", "rmse"), "mean"] == 0).all()
    assert tissues.loc[("identity", "snr_gain"), "mean"].item() == 0
    assert tissues.loc[("identity", "contrast_gain"), "mean"].item() == 1
    assert (tissues.loc[("cubic", "rmse"), "mean"] > 0).all()
    paper = pd.read_csv(study.results / "tables/table4.csv").set_index(
        ["method", "region", "metric"]
    )
    row = paper.loc[("cubic", "mean", "dice")]
    assert row["mean"] == means["cubic", "mean", "dice"] and row["published_mean"] == 0.8219
    assert row["difference"] == row["mean"] - 0.8219
    for suffix in ("md", "tex", "html"):
        text = (study.results / f"tables/table4.{suffix}").read_text(encoding="utf-8")
        # In LaTeX a number is set in two parts, which meet at the decimal point.
        values = ".8219/0.7116" if suffix == "tex" else "0.8219/0.7116"
        assert "Printed elsewhere." in text and values in text
    assert "| 2× | Cubic | " in (study.results / "tables/table1.md").read_text("utf-8")
    assert (study.results / "figures/segmentation_small.png").stat().st_size > 5000
    page = (study.results / "report.html").read_text(encoding="utf-8")
    assert (
        'id="table-segmentation"' in page
        and 'id="table-tissues"' in page
        and "coarse six-region atlas" in page
    )
    drawn = list((study.results / "figures").glob("*.json"))
    assert page.count("data:image/webp;base64") == len(drawn) > 2
    assert "Nothing to be done" in study.run()[1]


def test_own_registration_runs_for_every_volume_and_the_truth_still_scores_1(study):
    settings = study.config["segmentation"]
    target = "results/tiny/overlap/small/identity/x2.csv"
    try:
        study.config["segmentation"] = settings | {"registration": "own"}
        output = study.run(target)[1]
    finally:
        study.config["segmentation"] = settings
    planned = jobs(output)
    assert planned["segment_small"] == planned["overlap_small"] == 1
    assert "align_small" not in planned
    log = (study.results / "logs/segmentation/small/identity/x2/sub-01.nii.gz.log").read_text()
    assert "of the mask is covered by priors" in log
    scores = pd.read_csv(study.folder / target).groupby("metric")["value"]
    assert scores.min().to_dict() == {"dice": 1, "iou": 1, "surface": 0, "volume": 0}


def test_without_the_key_nothing_is_segmented(study):
    settings = study.config.pop("segmentation")
    try:
        planned = jobs(study.run("-n", "--forceall")[1])
    finally:
        study.config["segmentation"] = settings
    assert not any("segment" in rule or "align" in rule or "priors" in rule for rule in planned)


def test_priors_that_are_not_there_stop_everything(study):
    settings = study.config["segmentation"]
    try:
        study.config["segmentation"] = settings | {"priors": "nowhere"}
        code, output = study.run("-n", check=False)
    finally:
        study.config["segmentation"] = settings
    assert code != 0 and "segmentation.priors: no folder nowhere" in output
    assert "Traceback" not in output
