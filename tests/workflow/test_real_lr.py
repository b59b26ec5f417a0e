"""Real LR scans in the workflow: with HR references, alone, and beside a simulated dataset."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

import dry_runs
from mrisr.plan.jobs import StudyJobs
from mrisr.study.load import load_study
from tiny_study import jobs

pytestmark = pytest.mark.workflow


@pytest.fixture
def study(tiny_study):
    """A tiny study of real LR scans with HR references; the dataset `own` has none."""
    study = tiny_study(
        datasets={"pair": None},
        methods={"cubic": None, "identity": None},
        metrics=["psnr", "lpc_si", "gain"],
        baseline="cubic",
        tables={
            "table_healthy": {
                "dataset": "pair",
                "layout": {"rows": "scale", "columns": "method"},
                "mean": True,
            }
        },
    )
    scans = {"kind": "bids", "folder": str(study.bids), "suffix": "T1w"}
    about = {"label": "Own", "skull_stripped": True, "scans": "lr", "source": scans}
    about |= {"split": "pair.tsv", "scan": {"shape": [30, 34, 32], "voxel_size": [1, 1.1, 0.9]}}
    for name, more in (("own", {}), ("pair", {"reference": {"source": scans}})):
        (study.plugins / f"datasets/{name}.yaml").write_text(yaml.safe_dump(about | more))
    (study.plugins / "datasets/pair.tsv").write_text("subject\tsplit\nsub-04\ttest\n")
    return study


def test_from_real_scans_to_report(study, monkeypatch):
    study.snakefile = dry_runs.write_probe(study.folder)
    output = study.run("all")[1]
    planned = jobs(output)
    monkeypatch.chdir(study.folder)
    told = dry_runs.told(study.folder, output)
    assert dry_runs.planned(StudyJobs(load_study("tiny.yaml"))) == told
    assert planned["prepare_pair_real"] == planned["prepare_pair_reference"] == 1
    assert planned["evaluate_pair"] == 1
    assert not any("degrade" in rule or "ground_truth" in rule for rule in planned)

    lr = nib.load(study.results / "lr/pair/x2/sub-04.nii.gz")
    raw = nib.as_closest_canonical(nib.load(study.scan("04")))
    assert lr.get_data_dtype() == np.float32 and float(lr.get_fdata().max()) == 1
    np.testing.assert_allclose(lr.get_fdata() * raw.get_fdata().max(), raw.get_fdata(), atol=1e-2)
    np.testing.assert_allclose(lr.affine, raw.affine)
    image = nib.load(study.results / "sr/pair/cubic/x2/sub-04.nii.gz")
    assert image.shape == tuple(2 * n for n in lr.shape)
    first = [-0.25] * 3 + [1]  # half an SR voxel from the edge of the field of view
    np.testing.assert_allclose(image.affine[:, 3], lr.affine @ first, atol=1e-6)
    np.testing.assert_allclose(image.affine[:3, :3], lr.affine[:3, :3] / 2, atol=1e-6)

    table = pd.read_csv(study.results / "tables/quality.csv")
    assert table["method"].tolist() == ["cubic", "hr_reference"]
    assert set(table["metric"]) == {"lpc_si"} and set(table["n"]) == {1}
    healthy = (study.results / "tables/table_healthy.md").read_text(encoding="utf-8").splitlines()
    assert healthy[0] == "### table\\_healthy: Own: LPC-SI ↑"
    assert healthy[2] == "| Scale | Cubic | HR reference (control) |"
    assert [row.split(" | ")[0] for row in healthy[4:6]] == ["| 2×", "| Mean"]
    assert any("There is no ground truth" in line for line in healthy)
    printed = (study.results / "tables/quality.md").read_text()
    assert "HR reference (control)" in printed and "PSNR" not in printed
    assert (study.results / "figures/real_pair.png").stat().st_size > 5000
    assert not (study.results / "hr").exists()
    page = (study.results / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64") == 1
    assert "Real low-resolution scans of 1 test subject of Own were" in page
    assert "was made from the ground truth" not in page
    assert "Nothing to be done" in study.run("all", "-n")[1]


def test_own_scans_alone_and_beside_a_simulated_dataset(study):
    study.config["datasets"] = {"tiny": {"roles": ["test"]}, "own": {"scales": [2, 3]}}
    study.config["tables"] = {}
    study.config["methods"]["toy_external"] = None
    planned = jobs(study.run("-n")[1])
    assert planned["degrade_tiny"] == 1 and planned["prepare_own_real"] == 2
    assert planned["evaluate_tiny"] == 3 and planned["evaluate_own"] == 4
    assert planned["figure_comparison_tiny"] == planned["figure_real_own"] == 1
    # Two subjects on the grid of their ground truth, a real scan at two scales on its own.
    assert planned["reconstruct_toy_external"] == 4
    assert not any("reference" in rule for rule in planned)
