"""Training of implicit networks: reproducible, resumable to the bit, within its budgets."""

import json

import numpy as np
import pytest
import torch

from mrisr.common.errors import ConfigError, InputError, TrainingError
from mrisr.degrade.resample import degrade
from mrisr.methods import method as methods
from mrisr.methods.model_files import LOSSES, load_model
from mrisr.reconstruct.apply import reconstruct
from mrisr.train import one_subject
from mrisr.train.engine import TrainingJob, train_and_save
from mrisr.volumes.io import Volume, save

SMALL = {"encoding": 16, "width": 24}
TRAINING = {"epochs": 4, "batch": 200, "learning_rate": 3e-3, "checkpoint_minutes": 10}
STACKS = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}
AFFINE = np.array([[0.9, 0.1, 0, -8], [-0.1, 0.9, 0, 4], [0, 0, 1.1, 20], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def truth():
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 16)] * 3, indexing="ij")
    data = 0.5 + 0.25 * np.sin(2 * x + y) + 0.25 * np.cos(2 * z - y)
    return Volume(data.astype(np.float32), AFFINE)


@pytest.fixture(scope="module")
def stacks(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    files = []
    for name, stack in degrade(truth, 4, STACKS).items():
        files.append(str(folder / f"sub-01_{name}.nii.gz"))
        save(stack, files[-1])
    return files


def make_job(stacks, folder, seed=1, masks=(), model=SMALL, **training):
    settings = {"model": model, "training": {**TRAINING, **training}}
    method = methods.get("irem", settings)
    return TrainingJob(
        name="irem",
        build=method.build,
        scales=[4],
        spec=method.spec,
        degradation=STACKS,
        seed=seed,
        train=stacks,
        val=[],
        checkpoints=str(folder / "checkpoints"),
        masks=masks,
    )


def weights_equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_training_is_reproducible_and_lowers_the_loss(stacks, tmp_path):
    first = one_subject.train(make_job(stacks, tmp_path / "a", epochs=6))
    again = one_subject.train(make_job(stacks, tmp_path / "b", epochs=6))
    assert weights_equal(first.state, again.state) and first.log == again.log
    assert list(first.log[0]) == LOSSES
    assert first.log[-1]["val_loss"] < 0.5 * first.log[0]["val_loss"]
    assert first.info["val_loss"] == min(row["val_loss"] for row in first.log)
    assert first.info["steps"] == 6 * (3 * 16 * 16 * 4 // 200)
    about = {key: first.info[key] for key in ("epochs", "epochs_asked", "ended", "voxels")}
    assert about == {"epochs": 6, "epochs_asked": 6, "ended": "epochs", "voxels": 3072}
    other = one_subject.train(make_job(stacks, tmp_path / "c", seed=2))
    assert not torch.equal(other.state["frequencies"], first.state["frequencies"])


@pytest.mark.parametrize("stop_at", [1, 15, 37])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(stop_at, stacks, tmp_path):
    whole = one_subject.train(make_job(stacks, tmp_path / "whole"))
    job = make_job(stacks, tmp_path / "parts")
    assert one_subject.train(job, stop=lambda step: step == stop_at) is None
    resumed = one_subject.train(job)
    assert weights_equal(whole.state, resumed.state)
    assert whole.log == resumed.log


def test_another_time_budget_continues_but_other_data_start_anew(stacks, tmp_path, caplog):
    job = make_job(stacks, tmp_path)
    one_subject.train(job, stop=lambda step: step == 5)
    with caplog.at_level("INFO"):
        one_subject.train(make_job(stacks, tmp_path, minutes=60), stop=lambda step: step == 6)
        assert "continuing after step 5" in caplog.text
        caplog.clear()
        one_subject.train(make_job(stacks[:2], tmp_path), stop=lambda step: step == 1)
        assert "not used" in caplog.text and "continuing" not in caplog.text


def test_the_time_budget_and_the_patience_end_it(stacks, tmp_path):
    spent = one_subject.train(make_job(stacks, tmp_path / "a", epochs=100_000, minutes=0.005))
    assert spent.info["ended"] == "time budget" and 0.2 < spent.info["seconds"] < 5
    assert 0 < spent.info["epochs"] < 1000
    still = make_job(stacks, tmp_path / "b", epochs=200, learning_rate=1e-12, patience=2)
    stopped = one_subject.train(still)
    # With such steps only the running statistics move, and they settle.
    assert stopped.info["ended"] == "early stop" and stopped.info["epochs"] < 200
    assert stopped.info["epochs"] == stopped.info["best_epoch"] + 2


def test_the_learning_rate_is_halved(stacks, tmp_path):
    rates = [
        row["learning_rate"]
        for row in one_subject.train(make_job(stacks, tmp_path, halve_every=2)).log
    ]
    assert rates == [3e-3, 3e-3, 1.5e-3, 1.5e-3]


def test_the_space_of_the_network_is_the_box_of_the_stacks(stacks):
    samples = one_subject.read_samples(stacks)
    assert len(samples.intensities) == 3 * 16 * 16 * 4
    # The stacks surround the same place: the middle of the volume.
    middle = AFFINE[:3] @ [7.5, 7.5, 7.5, 1]
    np.testing.assert_allclose(samples.centre, middle, atol=1e-5)
    inside = (samples.positions - samples.centre) / samples.half
    assert inside.abs().max() == pytest.approx(1)


def test_masked_voxels_are_not_trained_on(stacks, tmp_path):
    mask = np.zeros((16, 16, 4), np.uint8)
    mask[4:8, :, 1] = 1
    save(Volume(mask, AFFINE), tmp_path / "mask.nii.gz")
    samples = one_subject.read_samples(stacks[:1], [tmp_path / "mask.nii.gz"])
    assert samples.positions.shape == (64, 3)
    save(Volume(np.zeros_like(mask), AFFINE), tmp_path / "none.nii.gz")
    with pytest.raises(InputError, match=r"sub-01_axial.*no voxel to train on"):
        one_subject.read_samples(stacks[:1], [tmp_path / "none.nii.gz"])


def test_a_loss_that_is_not_finite_is_an_error(stacks, tmp_path):
    with pytest.raises(TrainingError, match=r"irem: the loss is not finite at step \d+"):
        one_subject.train(make_job(stacks, tmp_path, learning_rate=1e30))


def test_a_model_answers_any_grid_in_the_space_of_its_stacks(truth, stacks, tmp_path):
    # Narrower ones do not even fit so few voxels.
    model = {"encoding": 64, "width": 64}
    job = make_job(stacks, tmp_path, model=model, epochs=40, batch=500, halve_every=13)
    train_and_save(job, tmp_path / "model", {"method": "irem"}, one_subject.train)
    about = json.loads((tmp_path / "model/model.json").read_text())
    assert about["ended"] == "epochs" and not about["collapsed"]
    method = methods.get("irem", {"model": model})
    network = load_model(method, tmp_path / "model/model.safetensors")
    lr = degrade(truth, 4, STACKS)
    sr = reconstruct(method, network, lr, truth.data.shape, 4, truth.affine)
    assert np.sqrt(((sr.data - truth.data) ** 2).mean()) < 0.5 * truth.data.std()
    # Every second voxel of a grid of half the voxel size is where the others are.
    fine = truth.affine @ np.diag([0.5, 0.5, 0.5, 1])
    finer = reconstruct(method, network, lr, (32, 32, 32), 4, fine)
    np.testing.assert_allclose(finer.data[::2, ::2, ::2], sr.data, atol=1e-5)


@pytest.mark.parametrize("encoding", [64, 128, 256, 512])
def test_the_number_of_features_changes_three_layers(encoding):
    network = methods.get("irem").build(encoding=encoding)
    widths = [layer.in_features for layer in network.layers]
    wanted = [256] * 17
    wanted[0], wanted[6], wanted[12] = encoding, 256 + encoding, 256 + encoding
    assert widths == wanted and len(network.layers) + 1 == 18
    assert network.frequencies.shape == (encoding // 2, 3)


def test_the_literal_network_normalises_and_cuts_its_output_too():
    plain, literal = (methods.get("irem", {"model": {"head": head}}) for head in ("linear", "relu"))
    count = [sum(p.numel() for p in m.build().parameters()) for m in (plain, literal)]
    assert count == [1_258_497, 1_258_499]
    network = methods.get("irem", {"model": {**SMALL, "head": "relu"}}).build()
    where = torch.randn(500, 3)
    output = network(where)
    assert output.shape == (500,) and output.min() == 0 and output.max() > 0
    # In training it is the positive part of numbers of mean 0 and variance 1.
    assert 0.2 < (output > 0).float().mean() < 0.8
    with pytest.raises(ConfigError, match=r"irem: model\.head: 'x' is unknown"):
        methods.get("irem", {"model": {"head": "x"}}).build()
