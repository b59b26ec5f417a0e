"""A 2-D study from scan to table on tiny scans: BM3D targets, curves, pairs for readers."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mrisr.readers.export import export
from mrisr.readers.folder import ReaderStudy
from mrisr.readers.key import read_key
from mrisr.readers.store import Store
from tiny_study import TinyStudy, jobs, write_scan

pytestmark = pytest.mark.workflow
TRAINING = {"epochs": 2, "steps_per_epoch": 3, "batch": 2, "lr_patch": 12}
COORD = {
    "model": {"features": 4, "blocks": 1, "width": 8, "layers": 3},
    "training": {**TRAINING, "queries": 30},
}
STUDY = {
    "methods": {"bicubic": None, "coord": COORD},
    "scales": [2],
    "degradation": {"kind": "slice", "kernel": "bicubic", "grid": "centres"},
    "slices": {"count": 2, "axis": "sagittal", "central": 10, "multiple": 6},
    "metrics": ["psnr"],
    "regions": ["volume"],
    "baseline": "bicubic",
    "early_stopping": {"coord": {"steps": 8, "points": 3}},
    "reader_study": {"methods": ["coord", "bicubic"], "pairs": 3},
}


TARGETS = [
    *(f"results/tiny/{name}" for name in ("tables/quality.csv", "figures/queries_tiny.json")),
    *("results/tiny/figures/early_stopping_coord.json", "reader_study"),
]


class Slices(TinyStudy):
    """With scans large enough for VIF, and a stand-in for BM3D, whose licence is not for all."""

    def __init__(self, folder, **config):
        super().__init__(folder, **{**STUDY, **config})
        for subject in ("01", "02", "03", "04", "05"):
            write_scan(self.scan(subject), int(subject), (44, 50, 56))
        self.packages = self.folder / "packages"
        for name in ("bm3d", "bm4d"):
            about = self.packages / f"{name}-0.0.dist-info"
            about.mkdir(parents=True)
            (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0\n")
            code = "def bm3d(image, sigma):\n    return image * 0.9\n"
            (self.packages / f"{name}.py").write_text(code)

    def environment(self):
        return {**super().environment(), "PYTHONPATH": str(self.packages)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    study = Slices(tmp_path_factory.mktemp("slices"))
    study.run(*TARGETS)
    return study


def test_a_2d_study_runs_from_scan_to_table(finished):
    results = finished.results
    table = pd.read_csv(results / "tables" / "quality.csv")
    rows = table.set_index(["scale", "method", "metric"]).sort_index()
    assert rows.loc[(2.0, "coord", "psnr"), "n"] == 2  # subjects, not their four slices
    values = pd.read_csv(results / "metrics/tiny/bicubic/x2.csv")
    assert len(values) == 4
    mean = values["value"].mean()
    assert rows.loc[(2.0, "bicubic", "psnr"), "mean"] == pytest.approx(mean, rel=1e-6)
    footnotes = (results / "tables" / "quality.md").read_text(encoding="utf-8")
    assert "2 sagittal slices of each subject, drawn from the central 10" in footnotes
    assert "cubic convolution (Keys, a = -0.5)" in footnotes
    for name in ("early_stopping_coord", "queries_tiny"):
        assert json.loads((results / f"figures/{name}.json").read_text())["name"] == name


def test_slices_lie_where_they_were_and_cover_the_same_field_of_view(finished):
    scan = nib.as_closest_canonical(nib.load(finished.scan("04")))
    truth = nib.load(finished.results / "hr/tiny/sub-04_slice-1.nii.gz")
    assert truth.shape[0] == 1 and truth.shape[1] % 6 == truth.shape[2] % 6 == 0
    start = np.linalg.inv(scan.affine) @ truth.affine[:, 3]
    np.testing.assert_allclose(start, np.round(start), atol=1e-4)
    x, y, z = np.round(start[:3]).astype(int)
    part = scan.get_fdata()[x : x + 1, y : y + truth.shape[1], z : z + truth.shape[2]]
    gain = scan.get_fdata().max()
    np.testing.assert_allclose(truth.get_fdata() * gain, part, atol=1e-2)
    for folder, factor in (("lr/tiny/x2", 0.5), ("beyond/tiny/coord/x2", 2)):
        other = nib.load(finished.results / folder / "sub-04_slice-1.nii.gz")
        np.testing.assert_allclose(other.shape[1:], factor * np.array(truth.shape[1:]))
        edges = [image.affine @ [0, -0.5, -0.5, 1] for image in (truth, other)]
        np.testing.assert_allclose(*edges, atol=1e-4)


def test_denoised_targets_are_made_where_a_loss_needs_them_and_once(finished):
    made = list((finished.results / "denoised/tiny/sigma0.03").iterdir())
    assert len(made) == 6  # of training and validation slices
    assert len(list((finished.folder / "resources/bm3d").iterdir())) == 6
    about = json.loads((finished.results / "models/coord/x1-2/model.json").read_text())
    assert about["steps"] == 6 and about["training"]["denoise"] == {"weight": 10, "sigma": 0.03}
    curve = pd.read_csv(finished.results / "early_stopping/coord/x1-2/curve.csv")
    assert set(curve["step"]) == {1, 3, 6, 8} and set(curve["n"]) == {2}
    assert set(curve.loc[curve["kept"] == 1, "step"]) == {6}


def test_readers_get_blinded_pairs_and_the_key_lies_elsewhere(finished):
    folder = finished.results / "reader_study"
    assert sorted(path.name for path in folder.iterdir()) == ["images", "study.json"]
    study = ReaderStudy.load(folder)
    assert [case.name for case in study.cases] == ["case-001", "case-002", "case-003"]
    key = read_key(finished.results / "reader_study_key.csv")
    for case in study.cases:
        its = key[case.name]
        assert {its.left_method, its.right_method} == {"coord", "bicubic"}
        source = finished.results / f"beyond/tiny/coord/x2/{its.item}.nii.gz"
        assert nib.load(source).shape == case.shape


def test_answers_become_a_table_and_pairs_with_readers_stay_as_they_are(finished):
    folder = finished.results / "reader_study"
    study = ReaderStudy.load(folder)
    key = read_key(finished.results / "reader_study_key.csv")
    with Store(study, create=True) as store:
        store.add_reader("R1")
        (reader,) = store.readers()
        for shown in store.cases(reader):
            score = 1 if key[shown.name].methods[shown.left] == "coord" else -1
            scores = {"noise": score, "sharpness": -2 * score}
            store.save(reader, shown.name, shown.name, scores, 3, 0)
        export(store, finished.folder / "answers.csv", key)
    images = {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}
    config = finished.config
    asked = {"answers": str(finished.folder / "answers.csv"), "pairs": 2}
    finished.config = {**config, "reader_study": {**config["reader_study"], **asked}}
    try:
        output = finished.run("results/tiny/tables/reader_study.csv", "reader_study")[1]
    finally:
        finished.config = config
    # Another number of pairs is asked for, but a reader has these.
    assert "reader_study_table" in jobs(output) and "reader_pairs" not in jobs(output)
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()} == images
    table = pd.read_csv(finished.results / "tables/reader_study.csv")
    scores = table[table["quantity"] == "score"].set_index("question")["value"]
    assert scores.to_dict() == {"noise": 1, "sharpness": -2}
    text = (finished.results / "tables/reader_study.md").read_text(encoding="utf-8")
    assert "compared with" in text and "Tiny" in text


def test_without_bm3d_a_study_stops_before_anything_runs(finished):
    blocked = finished.folder / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import importlib.util as util, os\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'bm3d' else found(name, *a)\n"
    )
    finished.packages, before = blocked, finished.packages
    try:
        code, output = finished.run("--forceall", check=False)
        dry, planned = finished.run("-n", "--forceall", check=False)
    finally:
        finished.packages = before
    lacking = "methods.coord: training.denoise: the package bm3d is not installed"
    assert code and lacking in output and "requirements-bm3d.txt" in output
    assert "Training coord" not in output and "Finished" not in output
    assert not dry and lacking in planned and jobs(planned)["train_coord"]


def test_another_strength_of_bm3d_denoises_and_trains_again(finished):
    training = finished.config["methods"]["coord"]["training"]
    training["denoise"] = {"sigma": 0.05}
    try:
        planned = jobs(finished.run("-n", *TARGETS)[1])
    finally:
        del training["denoise"]
    kept = ("fetch_", "prepare_", "degrade_", "reconstruct_bicubic", "beyond_bicubic")
    assert not [rule for rule in planned if rule.startswith(kept)]
    assert {"train_coord", "denoise_tiny_train", "denoise_tiny_val"} <= set(planned)
