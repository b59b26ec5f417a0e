"""Trainings of slices: losses, resumption, and metrics of a training that goes on."""

from dataclasses import replace
from itertools import pairwise

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import l1_loss, mse_loss

from mrisr.degrade.resample import degrade
from mrisr.evaluate import early_stopping
from mrisr.evaluate.early_stopping import kept_step, steps_of
from mrisr.methods import method as methods
from mrisr.reconstruct.apply import reconstruct
from mrisr.train.engine import TrainingJob, _loss, train
from mrisr.volumes.io import Volume, load, save

DEGRADATION = {"kind": "slice", "kernel": "bicubic", "grid": "centres", "antialias": None}
MODEL = {"coord": {"features": 4, "blocks": 1, "width": 8, "layers": 3}}
MODEL["conv"] = {"features": 4, "blocks": 1}
SMALL = {"epochs": 3, "steps_per_epoch": 4, "batch": 2, "lr_patch": 8, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    random = np.random.default_rng(3)
    found = []
    for kind in ("truth", "denoised"):
        for i in range(4):
            path = folder / kind / f"sub-{i:02d}_slice-1.nii.gz"
            save(Volume(random.random((1, 48, 42 + 2 * i), dtype=np.float32), np.eye(4)), path)
            found.append(str(path))
    return found


def make(name, slices, folder, weight=0, **training):
    settings = {**SMALL, "checkpoint_minutes": 0, "denoise": {"weight": weight}, **training}
    settings |= {"queries": 30} if name == "coord" else {}
    method = methods.get(name, {"model": MODEL[name], "training": settings})
    job = TrainingJob(
        name=name,
        build=method.build,
        scales=[1, 2] if name == "coord" else [2],
        spec=method.spec,
        degradation=DEGRADATION,
        seed=1,
        train=slices[:3],
        val=slices[3:4],
        checkpoints=str(folder / "checkpoints"),
        train_denoised=slices[4:7] if weight else [],
        val_denoised=slices[7:] if weight else [],
    )
    return method, job


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name, weight", [("coord", 10), ("coord", 0), ("conv", 10), ("conv", 0)])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(name, weight, slices, tmp_path):
    whole = train(make(name, slices, tmp_path / "whole", weight)[1])
    job = make(name, slices, tmp_path / "parts", weight)[1]
    for stop_at in (3, 8):
        assert train(job, stop=lambda step, at=stop_at: step == at) is None
    resumed = train(job)
    assert equal(whole.state, resumed.state) and whole.log == resumed.log


def test_the_loss_is_l1_and_lambda_times_the_distance_to_the_denoised():
    output, truth, smooth = (torch.rand(2, 5) for _ in range(3))
    training = {"precision": "float32", "denoise": {"weight": 10}}
    loss, _ = _loss(lambda _: output, (output,), (truth, smooth), training)
    torch.testing.assert_close(loss, l1_loss(output, truth) + 10 * mse_loss(output, smooth))
    loss, _ = _loss(lambda _: output, (output,), (truth,), training)
    torch.testing.assert_close(loss, l1_loss(output, truth))


def test_the_denoising_term_changes_the_weights_and_its_weight_how_much(slices, tmp_path):
    states = [
        train(make("coord", slices, tmp_path / str(weight), weight)[1]).state
        for weight in (0, 1, 10)
    ]
    assert not any(equal(a, b) for a, b in pairwise(states))


def test_the_weights_kept_are_those_after_the_last_step(slices, tmp_path):
    # Long steps: the validation loss is not least at the end.
    _, job = make("coord", slices, tmp_path, learning_rate=0.03, epochs=5)
    last = train(job)
    losses = [row["val_loss"] for row in last.log]
    assert last.info["best_epoch"] == 5 and last.info["val_loss"] == losses[-1] > min(losses)
    _, other = make("coord", slices, tmp_path / "b", learning_rate=0.03, epochs=5, keep="best")
    assert train(other).info["val_loss"] == min(losses)


def test_steps_are_spaced_in_their_logarithm_and_hold_the_step_that_is_kept():
    assert steps_of(100, 3, 1000) == [1, 10, 100]
    assert steps_of(100, 3, 12) == [1, 10, 12, 100]
    assert steps_of(10, 30, 10) == list(range(1, 11))
    assert steps_of(100, 3, 12, each=4) == [1, 2, 3, 4, 10, 12, 100]
    assert steps_of(3, 2, 12, each=9) == [1, 2, 3]
    assert kept_step({"epochs": 3, "steps_per_epoch": None, "batch": 4}, 10) == 6


def run(slices, folder, name="coord", weight=10):
    method, job = make(name, slices, folder, weight)
    early_stopping.early_stopping(job, method, 2, last=20, points=5, folder=folder / "out", each=3)
    return pd.read_csv(folder / "out" / "curve.csv"), folder / "out"


@pytest.mark.parametrize("name", ["coord", "conv"])
def test_a_longer_training_passes_through_the_weights_that_are_kept(name, slices, tmp_path):
    table, folder = run(slices, tmp_path, name)
    assert list(table.columns) == list(early_stopping.COLUMNS)
    assert sorted(set(table["step"])) == [1, 2, 3, 4, 9, 12, 20]
    assert list(table.loc[table["kept"] == 1, "step"].unique()) == [12]
    assert set(table["n"]) == {1} and np.isfinite(table["mean"]).all()
    assert not (tmp_path / "checkpoints").exists()

    method, job = make(name, slices, tmp_path / "own", 10)
    network = method.build()
    network.load_state_dict(train(job).state)
    truth = load(slices[3])
    low = degrade(truth, 2, DEGRADATION)[""]
    sr = reconstruct(method, network.eval(), low, truth.data.shape, 2, truth.affine, "centres")
    with np.load(folder / "images.npz") as images:
        assert "step_2" in images.files and "step_3" not in images.files
        np.testing.assert_allclose(images["step_12"], sr.data[0], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(images["truth"], truth.data[0])


def test_an_interrupted_curve_ends_as_an_uninterrupted_one(slices, tmp_path, monkeypatch):
    whole, folder = run(slices, tmp_path / "whole")
    measure = early_stopping._measure

    def broken(step, *arguments):
        if step == 12:
            raise KeyboardInterrupt
        return measure(step, *arguments)

    monkeypatch.setattr(early_stopping, "_measure", broken)
    with pytest.raises(KeyboardInterrupt):
        run(slices, tmp_path / "parts")
    monkeypatch.setattr(early_stopping, "_measure", measure)
    again, parts = run(slices, tmp_path / "parts")
    pd.testing.assert_frame_equal(whole, again)
    for name in ("curve.csv", "images.npz"):
        with np.load(folder / "images.npz") as a, np.load(parts / "images.npz") as b:
            assert all(np.array_equal(a[key], b[key]) for key in a.files), name


def test_observing_does_not_change_the_training(slices, tmp_path):
    _, job = make("coord", slices, tmp_path / "a")
    plain = train(job)
    seen = []

    def observe(step, network, seconds):
        network.eval()
        with torch.inference_mode():
            seen.append(float(network.encode(torch.ones(1, 1, 8, 8)).sum()))

    observed = train(replace(job, checkpoints=str(tmp_path / "b")), observe=observe)
    assert equal(plain.state, observed.state) and len(set(seen)) == 12


def test_validation_slices_may_lie_in_any_plane(slices, tmp_path):
    turned = []
    for index in (0, 1, 2, 3):
        image = nib.load(slices[index]).get_fdata(dtype=np.float32)
        turned.append(str(tmp_path / f"{index}.nii.gz"))
        save(Volume(np.moveaxis(image, 0, 2), np.eye(4)), turned[-1])
    ours = train(make("conv", [*turned, *slices[4:]], tmp_path / "a")[1])
    theirs = train(make("conv", slices, tmp_path / "b")[1])
    assert equal(ours.state, theirs.state)
