"""The whole chain on tiny scans: what it makes, what it makes again, and what a kill costs."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mrisr.scaffold import write
from tiny_study import ROOT, TINY, TinyStudy, environment, jobs

pytestmark = pytest.mark.workflow
METHODS = {"nearest": None, "cubic": None, **TINY, "identity": None}


FIGURES = {
    *("figure_scales", "figure_comparison_tiny", "figure_zoom_tiny", "figure_profile_tiny"),
    *("figure_quality_by_scale_tiny", "figure_subjects_tiny", "figure_quality_by_cost_tiny"),
    "figure_curves",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that has run, on a copy of the workflow that tests may edit."""
    folder = tmp_path_factory.mktemp("finished")
    study = TinyStudy(
        folder / "study", methods=METHODS, scales=[2, 5], baseline="cubic", title="A <tiny> study"
    )
    for name in ("workflow", "config", "envs"):
        shutil.copytree(
            ROOT / name, folder / "code" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "Snakefile", folder / "code")
    study.snakefile = folder / "code" / "Snakefile"
    study.said = study.run()[1]
    return study


def test_tables_figures_report_and_manifest(finished):
    table = pd.read_csv(finished.results / "tables" / "quality.csv")
    assert ",".join(table.columns) == (
        "dataset,scale,method,metric,region,n,mean,std,ci_low,ci_high,"
        "seeds,std_seeds,published_mean,published_std,note"
    )
    rows = table.set_index(["scale", "method", "metric", "region"]).sort_index()
    assert set(table["n"]) == {0, 2}
    truth = rows.loc[(2, "identity")]
    assert np.isinf(truth.loc[("psnr", "volume"), "mean"])
    assert truth.loc[("ssim", "mask"), "mean"] == 1
    psnr = rows.xs(("psnr", "volume"), level=("metric", "region"))["mean"]
    assert psnr[(2, "cubic")] > psnr[(2, "nearest")] > psnr[(5, "nearest")]
    # ArSSR says that it is not for scale 5: n/a with a reason, not a silent hole.
    assert "scale 5 not supported" in rows.loc[(5, "arssr_rdn", "psnr", "volume"), "note"]
    # A dozen steps are a trial; the table says so.
    assert "undertrained" in rows.loc[(2, "srcnn3d", "psnr", "volume"), "note"]
    for suffix in ("md", "tex", "html"):
        assert (finished.results / "tables" / f"quality.{suffix}").stat().st_size > 1000
    # Marked or not, every method is tested; two subjects are too few for any to be significant.
    tests = (finished.results / "tables" / "significance.csv").read_text().splitlines()
    assert tests[0].startswith("dataset,scale,metric,region,family,reference,method")
    assert any("primary,cubic,srcnn3d" in line for line in tests)
    assert all("too few subjects" in line for line in tests[1:])

    for figure in FIGURES:
        name = figure.removeprefix("figure_")
        for suffix in ("png", "pdf"):
            assert (finished.results / "figures" / f"{name}.{suffix}").stat().st_size > 5000
        record = json.loads((finished.results / "figures" / f"{name}.json").read_text())
        assert record["name"] == name and record["caption"]
    page = (finished.results / "report.html").read_text(encoding="utf-8")
    assert "A &lt;tiny&gt; study" in page
    assert "The report is results/tiny/report.html: open it in a browser." in finished.said
    markup = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    fetched = r"""<(?!a\b)[^>]*\b(src|href)=["']?(https?:)?//"""  # links are only followed
    assert not re.search(fetched, markup)
    assert "data:image/webp;base64" in page
    assert "Primary tests" in page
    for place in ("table-quality", "figure-comparison_tiny", "method-cubic", "subject-tiny-sub-05"):
        assert f'id="{place}"' in page
    # The viewer has one subject at two scales: GT, and LR and four and three methods, of which
    # the control that is the ground truth is stored once.
    assert page.count("data-blob=") == 1 + 4 + 3
    manifest = json.loads((finished.results / "manifest.json").read_text())
    assert manifest["seed"] == 1
    assert manifest["versions"]["torch"]
    assert len(manifest["sha256"]["tables"]) == 8
    assert manifest["durations"]["metrics"]["jobs"] == 9


def test_files_keep_the_contract(finished):
    truth = nib.load(finished.results / "hr/tiny/sub-04.nii.gz")
    assert nib.aff2axcodes(truth.affine) == ("R", "A", "S")
    assert truth.get_data_dtype() == np.float32
    assert float(truth.get_fdata().max()) == 1
    for method in METHODS:
        image = nib.load(finished.results / f"sr/tiny/{method}/x2/sub-04.nii.gz")
        assert image.shape == truth.shape
        np.testing.assert_allclose(image.affine, truth.affine)
    about = json.loads((finished.results / "models/arssr_rdn/x2-4/model.json").read_text())
    assert about["train_subjects"] == ["sub-01", "sub-02"]
    assert about["steps"] == 12
    assert (finished.results / "logs/models/srcnn3d/x2.log").stat().st_size > 0
    assert (finished.results / "benchmarks/models/srcnn3d/x2.tsv").exists()
    hidden = finished.results / ".staging"
    assert not [p for p in hidden.rglob("*") if p.is_file()]
    assert not list(finished.results.rglob(".tmp*"))


def test_a_second_run_does_nothing(finished):
    assert "Nothing to be done" in finished.run()[1]


def test_a_change_of_a_metrics_code_runs_evaluation_and_what_follows(finished):
    file = finished.snakefile.parent / "workflow/mrisr/metrics/psnr.py"
    before = file.read_text()
    try:
        file.write_text(before + "\n# A comment changes nothing.\n")
        assert "Nothing to be done" in finished.run("-n")[1]
        file.write_text(before + "\nANOTHER = 1\n")
        planned = jobs(finished.run("-n")[1])
    finally:
        file.write_text(before)
    assert planned == {
        "evaluate_tiny": 9,  # five methods at two scales, one of them skipped
        # Marks and PSNR stand in them; the losses in none but the curves.
        **dict.fromkeys(FIGURES - {"figure_curves"}, 1),
        "quality_table": 1,
        "significance_table": 1,
        "report_page": 1,
        "all": 1,
    }


def test_a_change_of_a_method_retrains_that_method_alone(finished):
    file = finished.snakefile.parent / "workflow/methods/srcnn3d/method.py"
    before = file.read_text()
    try:
        file.write_text(before + "\nANOTHER = 1\n")
        planned = jobs(finished.run("-n")[1])
    finally:
        file.write_text(before)
    assert planned["train_srcnn3d"] == 2
    assert not any("arssr" in rule or "prepare" in rule for rule in planned)


def test_a_new_method_of_a_plugin_folder_runs_alone(finished):
    mine = finished.folder / "mine"
    write.method("own", "interpolation", mine)
    before = finished.config["plugins"], finished.config["methods"]
    try:
        finished.config["plugins"] = [*before[0], str(mine)]
        finished.config["methods"] = {**before[1], "own": None}
        planned = jobs(finished.run("-n")[1])
    finally:
        finished.config["plugins"], finished.config["methods"] = before
    drawn = FIGURES - {"figure_curves", "figure_scales"}
    assert planned == {
        "reconstruct_own_tiny": 2,
        "evaluate_tiny": 2,
        **dict.fromkeys(drawn, 1),
        "quality_table": 1,
        "significance_table": 1,
        "report_page": 1,
        "all": 1,
    }


def test_a_new_test_subject_does_not_retrain(finished):
    config = finished.config["datasets"]
    try:
        finished.config["datasets"] = {"tiny": {"subjects": {"test": 1}}}
        planned = jobs(finished.run("-n")[1])
    finally:
        finished.config["datasets"] = config
    assert "prepare_tiny_test" in planned
    assert not any(rule.startswith("train_") for rule in planned)


def kill_when(study, target, happened, **slowed):
    """Make `target`, and kill -9 Snakemake with all its jobs as soon as `happened()`.

    Args:
        study: The study.
        target: What Snakemake makes.
        happened: Asked all the time.
        slowed: Environment variables that make toy methods rest, so that this is soon enough.
    """
    log = study.folder / "killed.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            study.command("--rerun-incomplete", target),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment() | slowed,
            start_new_session=True,
        )
    seen, deadline, look = set(), 0.0, 0.0
    while not happened():
        assert process.poll() is None, "ended before it could be killed:\n" + log.read_text()
        if time.monotonic() > look:  # seldom: to list thousands of files holds up the study
            if (there := {*study.folder.rglob("*")}) != seen:  # a slow machine gets somewhere, too
                seen, deadline = there, time.monotonic() + 300
            assert time.monotonic() < deadline, "never got there:\n" + log.read_text()
            look = time.monotonic() + 5
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    study.run("--unlock")


def test_kill_9_in_training_and_reconstruction_changes_no_byte(tmp_path):
    config = {"methods": {"toy_slow": None, "toy_patient": None}}
    undisturbed = TinyStudy(tmp_path / "undisturbed", **config)
    undisturbed.run("tables")

    killed = TinyStudy(tmp_path / "killed", **config)
    staging = killed.results / ".staging"
    checkpoint = staging / "models/toy_patient/x2/checkpoint.before.pt"
    kill_when(killed, "models", checkpoint.exists, TOY_REST="2")
    assert not (killed.results / "models/toy_patient/x2/model.safetensors").exists()
    finished_subjects = "sr/tiny/toy_slow/x2/[!.]*sub-*"  # not the one being written
    kill_when(
        killed,
        "tables",
        lambda: len(list(staging.glob(finished_subjects))) == 1,
        TOY_SLOW="5",
    )
    assert not list(killed.results.glob("sr/tiny/toy_slow/x2/*"))
    killed.run("tables", "--rerun-incomplete")

    log = (killed.results / "logs/models/toy_patient/x2.log").read_text()
    assert "continuing after step" in log
    log = (killed.results / "logs/sr/tiny/toy_slow/x2.log").read_text()
    assert "1 of 1" in log  # the other subject was taken up
    for name in ("quality.csv", "quality.md", "quality.tex", "quality.html"):
        a, b = (study.results / "tables" / name for study in (undisturbed, killed))
        assert a.read_bytes() == b.read_bytes()


def test_bad_scans_are_refused_by_name_before_anything_else_runs(tiny_study):
    study = tiny_study(methods={"cubic": None, "srcnn3d": TINY["srcnn3d"]})
    study.scan("01").write_text("this is not a scan")
    image = nib.load(study.scan("02"))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 3), np.int16), image.affine), study.scan("02"))
    code, output = study.run("--keep-going", check=False)
    assert code != 0
    assert re.search(r"sub-01.*not a NIfTI file", output)
    assert re.search(r"sub-02.*4-D", output)
    assert "Traceback" not in output
    assert not re.search(r"sub-0[345]: ", output)  # the others are not blamed
    assert not (study.results / "models").exists()

    for subject in ("01", "02"):
        shutil.copy(study.scan("03"), study.scan(subject))
    data = np.asarray(image.dataobj, np.float32)
    data[10, 10, 10] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), study.scan("04"))
    study.scan("05").unlink()
    code, output = study.run("-n", check=False)  # missing: known before a job starts
    assert code != 0
    assert re.search(r"sub-05", output)
    shutil.copy(study.scan("03"), study.scan("05"))
    code, output = study.run("--keep-going", check=False)
    assert code != 0
    # One bad test subject: nothing is trained, even where Snakemake goes on after errors.
    assert not (study.results / "models").exists()
    assert re.search(r"sub-04: .*1 of \d+ voxels are NaN or infinite", output)
    assert not list((study.results / "hr" / "tiny").glob("sub-0[45]*"))
