"""Evaluation of files: rows, order, processes, what is known already, and bad files."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from mrisr import metrics
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import Staging
from mrisr.evaluate import pieces
from mrisr.evaluate import subjects as evaluation
from mrisr.evaluate.pieces import evaluate
from mrisr.evaluate.subjects import (
    Options,
    Subject,
    evaluate_subjects,
    score_subjects,
)
from mrisr.metrics import psnr
from mrisr.volumes.io import Volume, load, save

AFFINE = np.diag([0.9, 1.0, 1.1, 1.0])
PLAIN = Options(["psnr", "ssim"], ["volume", "mask"])


def pair(seed=0, shape=(12, 13, 14), noise=0.05):
    random = np.random.default_rng(seed)
    reference = random.random(shape)
    return reference, reference + noise * random.standard_normal(shape)


def box(shape=(12, 13, 14)):
    mask = np.zeros(shape, np.uint8)
    mask[3:9, 4:9, 3:10] = 1
    return mask


def written(folder, name, hr, sr, mask):
    """Write the volumes of a subject."""
    paths = [folder / kind / f"{name}.nii.gz" for kind in ("sr", "hr", "mask")]
    for path, data in zip(paths, (sr, hr, mask), strict=True):
        save(Volume(data, AFFINE), path)
    return Subject(name, *paths)


@pytest.fixture
def cohort(tmp_path):
    """Three subjects; the last is reconstructed perfectly."""
    subjects = []
    for seed, name in enumerate(["sub-02", "sub-01", "sub-03"]):
        reference, image = pair(seed)
        image = reference if seed == 2 else image
        subjects.append(written(tmp_path, name, reference, image, box()))
    return subjects


def run(cohort, output, options=PLAIN, **how):
    evaluate_subjects(cohort, options, output, **how)


def test_evaluate_subjects_writes_tidy_rows_in_order(cohort, tmp_path):
    run(cohort, tmp_path / "one.csv")
    run(cohort, tmp_path / "two.csv", workers=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    table = pd.read_csv(tmp_path / "one.csv")
    assert table.columns.tolist() == ["subject", "metric", "region", "value"]
    assert table["subject"].drop_duplicates().tolist() == [subject.name for subject in cohort]
    assert len(table) == 12
    assert "sub-03,psnr,volume,inf\n" in (tmp_path / "one.csv").read_text()
    reference, image = (data.astype(np.float32) for data in pair(0))
    assert table["value"][0] == pytest.approx(psnr(reference, image), rel=1e-8)


@pytest.mark.parametrize(
    ("kind", "data", "affine", "message"),
    [
        ("image", pair(1)[1][:, :, 1:], AFFINE, "shape .* write it on the grid"),
        ("image", pair(1)[1], AFFINE + 0.1 * np.eye(4, k=3), "voxels lie up to 0.1 mm off"),
        ("image", pair(1)[1] * np.nan, AFFINE, "NaN or infinite .* reconstruct"),
        ("mask", box()[1:], AFFINE, "shape"),
        ("mask", 0 * box(), AFFINE, "no voxel is inside"),
    ],
)
def test_evaluate_subjects_names_the_bad_file(cohort, tmp_path, kind, data, affine, message):
    save(Volume(data, affine), getattr(cohort[1], kind))
    with pytest.raises(InputError, match=rf"(?s)sub-01: .*sub-01.*{message}") as error:
        run(cohort, tmp_path / "out.csv")
    assert "sub-02" not in str(error.value)
    assert not (tmp_path / "out.csv").exists()


def test_evaluate_subjects_names_all_bad_files(cohort, tmp_path):
    for subject in cohort[:2]:
        subject.image.unlink()
    with pytest.raises(InputError, match=r"(?s)sub-02: .*no such file.*sub-01: .*no such file"):
        run(cohort, tmp_path / "out.csv")


def test_affine_within_tolerance_is_accepted(cohort, tmp_path):
    save(Volume(pair(1)[1], AFFINE + 5e-5 * np.eye(4, k=3)), cohort[1].image)
    run(cohort, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").exists()


@pytest.fixture(scope="module")
def slices_cohort(tmp_path_factory):
    """Files of two subjects large enough for all metrics; the second equals its ground truth."""
    folder = tmp_path_factory.mktemp("slices")
    subjects = []
    for seed, name in enumerate(["sub-01", "sub-02"]):
        truth = ndimage.gaussian_filter(np.random.default_rng(seed).random((42, 44, 46)), 1)
        truth = (truth - truth.min()) / np.ptp(truth)
        truth[:, :, :5] = 0
        image = truth if seed else ndimage.gaussian_filter(truth, 1)
        volumes = (data.astype(np.float32) for data in (truth, image, truth > 0))
        subjects.append(written(folder, name, *volumes))
    return subjects


ALL = Options(["psi", "psnr", "lpc_si", "vif"], ["volume", "mask"])


def test_any_number_of_processes_gives_the_same_bytes(slices_cohort, tmp_path):
    for workers in (1, 2, 3):
        run(slices_cohort, tmp_path / f"{workers}.csv", ALL, workers=workers)
    one, *others = (tmp_path / f"{workers}.csv" for workers in (1, 2, 3))
    assert all(one.read_bytes() == other.read_bytes() for other in others)
    table = pd.read_csv(one)
    first = table[table["subject"] == "sub-01"]
    assert first[["metric", "region"]].values.tolist() == [
        *(["psi", "volume"], ["psnr", "volume"], ["psnr", "mask"]),
        *(["lpc_si", "volume"], ["vif", "volume"]),
    ]


def test_scores_of_the_ground_truth_stand_for_images_that_equal_it(slices_cohort, tmp_path):
    truths = [Subject(subject.name, subject.reference) for subject in slices_cohort]
    scores = tmp_path / "ground_truth.csv"
    score_subjects(truths, ALL, scores, counts=True)
    table = pd.read_csv(scores).set_index(["subject", "metric"])["value"]
    assert table["sub-01", "slices"] == 42 + 44 + 46
    assert table["sub-01", "empty_slices"] == 5
    run(slices_cohort, tmp_path / "anew.csv", ALL)
    run(slices_cohort, tmp_path / "known.csv", ALL, scores=scores)
    assert (tmp_path / "anew.csv").read_bytes() == (tmp_path / "known.csv").read_bytes()
    scores.write_text(scores.read_text().replace("sub-02,lpc_si,volume,", "sub-02,lpc_si,volume,7"))
    run(slices_cohort, tmp_path / "wrong.csv", ALL, scores=scores)
    wrong = pd.read_csv(tmp_path / "wrong.csv").set_index(["subject", "metric"])["value"]
    assert wrong["sub-02", "lpc_si"] > 7 > wrong["sub-01", "lpc_si"]


@pytest.mark.parametrize("axis", [0, 2])
def test_views_through_the_plane_are_all_but_that_of_the_slices(axis, slices_cohort, tmp_path):
    options = Options(["psnr", "vif", "psi"], ["volume", "through_plane"], slice_axis=axis)
    subjects = slices_cohort[:1]
    run(subjects, tmp_path / "a.csv", options)
    table = pd.read_csv(tmp_path / "a.csv").set_index(["metric", "region"])["value"]
    assert ("psnr", "through_plane") not in table.index
    reference, image = (load(getattr(subjects[0], key)).data for key in ("reference", "image"))
    pair = pieces.Pair(reference, image)
    views = []
    for work in pieces.plan(image.shape, ["vif"], ["volume"]):
        if work.stack != axis:
            views.append(pieces.run(work, pair, {})["vif"])
    assert table["vif", "through_plane"] == pytest.approx(np.concatenate(views).mean(), rel=1e-6)
    # Scores of the ground truth stand for it in this region too.
    truths = [Subject(its.name, its.reference) for its in subjects]
    score_subjects(truths, options, tmp_path / "truth.csv")
    same = [replace(its, image=its.reference) for its in subjects]
    run(same, tmp_path / "anew.csv", options)
    run(same, tmp_path / "known.csv", options, scores=tmp_path / "truth.csv")
    assert (tmp_path / "anew.csv").read_bytes() == (tmp_path / "known.csv").read_bytes()
    with pytest.raises(ConfigError, match="through_plane: is for scans with thick slices"):
        run(subjects, tmp_path / "b.csv", replace(options, slice_axis=None))


def test_features_of_the_ground_truth_may_be_shared(slices_cohort, tmp_path, stand_in, monkeypatch):
    options = Options(["lpips", "vif"], settings={"lpips": stand_in})
    shared = [tmp_path / subject.name for subject in slices_cohort]
    sharing = [replace(its, features=f) for its, f in zip(slices_cohort, shared, strict=True)]
    run(slices_cohort, tmp_path / "anew.csv", options)
    run(sharing, tmp_path / "first.csv", options)
    assert len(list(shared[0].glob("*.safetensors"))) == 3 * evaluation.PIECES
    assert not shared[1].exists()  # equals its ground truth
    module, calls = metrics.module("lpips"), []
    monkeypatch.setattr(module, "features", lambda *a, **k: calls.append(a))
    run(sharing, tmp_path / "second.csv", options)
    assert not calls
    first, second = (tmp_path / f"{name}.csv" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    anew, again = pd.read_csv(tmp_path / "anew.csv")["value"], pd.read_csv(second)["value"]
    np.testing.assert_allclose(again, anew, atol=1e-6)
    assert anew[0] > 1e-4 and anew[2] == again[2] == 0


def test_finished_subjects_are_taken_up(slices_cohort, tmp_path, monkeypatch):
    calls = []
    original = evaluation._part
    monkeypatch.setattr(evaluation, "_part", lambda piece: calls.append(piece) or original(piece))
    run(slices_cohort, tmp_path / "one.csv", ALL)
    staging = Staging(tmp_path / "staging", "same")

    def killed(piece):
        if piece[0].name == "sub-02":
            raise KeyboardInterrupt
        return original(piece)

    monkeypatch.setattr(evaluation, "_part", killed)
    with pytest.raises(KeyboardInterrupt):
        run(slices_cohort, tmp_path / "two.csv", ALL, staging=staging)
    assert not (tmp_path / "two.csv").exists()
    calls.clear()
    monkeypatch.setattr(evaluation, "_part", lambda piece: calls.append(piece) or original(piece))
    run(slices_cohort, tmp_path / "two.csv", ALL, staging=Staging(tmp_path / "staging", "same"))
    assert {piece[0].name for piece in calls} == {"sub-02"}
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert not (tmp_path / "staging").exists()


def test_slices_too_small_for_a_metric_are_refused(cohort, tmp_path):
    with pytest.raises(InputError, match=r"sub-02.*VIF needs 41 x 41"):
        run(cohort, tmp_path / "out.csv", Options(["vif"]))


def test_metrics_that_could_not_be_fetched_are_left_out():
    fetched = json.loads('{"lpips": {"available": false}, "vif": {"available": true}}')
    assert evaluation.available(["psnr", "lpips", "vif"], fetched) == ["psnr", "vif"]


def test_files_and_arrays_give_the_same(slices_cohort, tmp_path):
    run(slices_cohort, tmp_path / "files.csv", ALL)
    table = pd.read_csv(tmp_path / "files.csv")
    first = slices_cohort[0]
    volumes = [load(path).data for path in (first.reference, first.image, first.mask)]
    arrays = evaluate(*volumes, ALL.metrics)
    np.testing.assert_allclose(arrays["value"], table["value"][: len(arrays)], rtol=1e-8)
