"""Weights that come with mrisr: they fit, are small, and are not tested on what they saw."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from mrisr.common.errors import ConfigError
from mrisr.common.files import sha256
from mrisr.degrade.resample import degrade, upsample
from mrisr.methods import method as methods
from mrisr.methods import shipped
from mrisr.methods.import_weights import import_model, start_of
from mrisr.methods.model_files import load_model, read_description, shipped_training
from mrisr.plan.cells import has_losses
from mrisr.reconstruct.apply import reconstruct
from mrisr.study.load import checked
from mrisr.volumes.io import Volume

STUDY = {
    "study": "imports",
    "seed": 1,
    "datasets": {"demo": {"roles": ["test"]}},
    "scales": [2, 3],
    "degradation": {"kind": "volume"},
    "metrics": ["psnr"],
    "methods": {"cubic_residual": {"weights": "shipped"}},
}


@pytest.mark.parametrize("name", shipped.names())
def test_shipped_weights_are_a_model_of_their_method_with_a_card(name, tmp_path):
    file = shipped.weights_file(name, "here")
    assert file.stat().st_size < 6_000_000
    method, said = methods.get(name), read_description(file.parent)
    assert said["method"] == name and said["model"] == method.spec["model"]
    count = sum(p.numel() for p in load_model(method, file).parameters())
    assert count == said["parameters"] == method.spec["parameters"]
    card = (file.parent / "README.md").read_text(encoding="utf-8")
    for words in (f"{said['steps']:,}", said["licence"], "Not for diagnosis", said["commit"]):
        assert words in card
    assert all(subject in card for subject in said["train_subjects"])


@pytest.mark.parametrize("scale", [2, 3])
def test_the_default_weights_beat_cubic_interpolation_on_edges(scale):
    """Of a blob with sharp borders, which looks like no head: far from a test of quality."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(5).random((40, 36, 44)), 3)
    data = 0.2 + 0.5 * (smooth > np.median(smooth)) + 0.2 * (smooth > np.quantile(smooth, 0.8))
    hr = Volume(ndimage.gaussian_filter(data, 0.7).astype(np.float32), np.eye(4))
    low = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}
    lr = degrade(hr, scale, low)[""]
    method = methods.get(shipped.DEFAULT)
    network = load_model(method, shipped.weights_file(shipped.DEFAULT, "here"))
    sr = reconstruct(method, network, lr, hr.data.shape, scale, hr.affine).data
    errors = [np.mean((its - hr.data) ** 2) for its in (upsample(lr.data, hr.data.shape), sr)]
    assert errors[1] < 0.95 * errors[0]


def test_a_study_takes_shipped_weights_without_training(tmp_path):
    study = checked(STUDY)
    method = study.methods["cubic_residual"]
    assert study.supervised == [] and study.imported == [method]
    assert study.splits("demo") == ["test"] and not has_losses(study)
    file = method.weights(2)
    assert not file.is_absolute() and file.resolve().is_relative_to(shipped.FOLDER.resolve())
    import_model(method, file, tmp_path / "model", method.spec["scale_range"])
    written = tmp_path / "model" / "model.safetensors"
    assert sha256(written) == read_description(tmp_path / "model")["sha256"] == sha256(file)
    said = read_description(tmp_path / "model")
    steps, words = read_description(file.parent)["steps"], shipped_training(said)
    assert words == (
        f"weights that come with mrisr, trained elsewhere for {steps:,} steps on 16 subjects of"
        " ds002748"
    )


@pytest.mark.parametrize("overrides", [{"weights": "shipped"}, {"model": "shipped"}])
def test_the_demo_preset_keeps_the_network_of_the_weights(overrides):
    method = methods.get("cubic_residual", overrides, preset="demo")
    assert method.spec["model"] == methods.get("cubic_residual").spec["model"]
    assert shipped.is_shipped(method.weights(2))


def test_a_variant_has_the_weights_of_its_base():
    method = methods.get("mine", {"base": "cubic_residual", "weights": "shipped"})
    assert shipped.is_shipped(method.weights(2))


@pytest.mark.parametrize("name", ["rescnn", "cubic"])
def test_a_method_without_shipped_weights_is_refused_with_those_that_have_some(name):
    with pytest.raises(ConfigError, match=rf"'{name}'.*only of cubic_residual; train it"):
        checked({**STUDY, "methods": {name: {"weights": "shipped"}}})


@pytest.mark.parametrize("split", ["train_subjects", "val_subjects"])
def test_subjects_that_the_weights_saw_are_not_tested(split, monkeypatch):
    tested = checked(STUDY).datasets["demo"].subjects["test"]
    said = {"dataset": "demo", "train_subjects": ["x"], "val_subjects": ["y"], split: tested[:1]}
    monkeypatch.setattr("mrisr.study.check.read_description", lambda folder: said)
    problem = rf"trained on test subjects of datasets\.demo: {tested[0]}; take them out"
    with pytest.raises(ConfigError, match=problem):
        checked(STUDY)
    said["dataset"] = "another"
    checked(STUDY)


def test_the_default_split_tests_no_subject_that_the_weights_saw():
    checked({**STUDY, "datasets": {"ds002748": {"roles": ["test"]}}})


def starting(start, **settings):
    method = {"base": "cubic_residual", "training": {"start_from": start}, **settings}
    train = {"demo": {"roles": ["train", "test"]}}
    return {**STUDY, "datasets": train, "methods": {"tuned": method}}


def test_a_training_starts_from_the_weights_of_its_base(tmp_path):
    study = checked(starting("shipped"))
    [method] = study.supervised
    weights = shipped.weights_file("cubic_residual", "here")
    assert [Path(file).resolve() for file in method.start] == [weights.resolve()]
    shrunk = methods.get("tuned", starting("shipped")["methods"]["tuned"], preset="demo")
    state, said = start_of(shrunk, shrunk.start[0])
    assert said["shipped"] and said["sha256"] == sha256(weights)
    for key, value in load_file(weights).items():
        assert torch.equal(state[key], value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"start": "nowhere.pt"}, r"start_from: nowhere\.pt: no such file"),
        ({"start": "shipped", "weights": "shipped"}, "start_from: nothing is trained here"),
        ({"start": "results/imports/model.pt"}, "is a result of this study itself"),
    ],
)
def test_a_start_that_cannot_be_taken_is_refused(change, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results/imports").mkdir(parents=True)
    Path("results/imports/model.pt").touch()
    with pytest.raises(ConfigError, match=problem):
        checked(starting(**change))


def test_subjects_that_a_start_saw_are_not_tested(monkeypatch):
    tested = checked(starting("shipped")).datasets["demo"].subjects["test"]
    said = {"dataset": "demo", "train_subjects": tested, "val_subjects": []}
    monkeypatch.setattr("mrisr.study.check.read_description", lambda folder: said)
    with pytest.raises(ConfigError, match=r"start_from: the shipped weights were trained on test"):
        checked(starting("shipped"))


def test_what_lies_elsewhere_is_not_shipped(tmp_path, monkeypatch):
    assert not shipped.is_shipped(tmp_path / "model.safetensors")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped.names() == []
    with pytest.raises(ConfigError, match="only of no method"):
        shipped.weights_file("cubic_residual", "here")
