import errno
import json
import os
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from mrisr.common import devices, seals
from mrisr.common.errors import TrainingError
from mrisr.methods import method as methods
from mrisr.methods.model_files import FILES, LOSSES, load_model, save_model
from mrisr.train.engine import TrainingJob, train, train_and_save

TRAINING = {
    "srcnn3d": {"epochs": 3, "steps_per_epoch": 4, "batch": 2, "patch": 12, "border": 2},
    "arssr_rdn": {"epochs": 3, "steps_per_epoch": 4, "batch": 2, "queries": 64, "lr_patch": 4},
}
MODEL = {
    "srcnn3d": {"features": [4, 4], "kernels": [3, 1, 3]},
    "arssr_rdn": {"features": 4, "growth": 4, "blocks": 2, "layers": 2, "channels": 8, "width": 16},
}
DEGRADATION = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}


@pytest.fixture
def volumes(noise_files):
    return noise_files(3 * [(24, 24, 24)])


def make_job(name, volumes, folder, build=None, seed=1, **training):
    settings = {**TRAINING[name], "patches_per_subject": 3, "learning_rate": 1e-3, **training}
    overrides = {"model": MODEL[name], "training": {"checkpoint_minutes": 0, **settings}}
    if name == "arssr_rdn":
        overrides["model"] = {**MODEL[name], "head": "linear"}
    method = methods.get(name, overrides)
    return TrainingJob(
        name=name,
        build=build or method.build,
        scales=[2] if name == "srcnn3d" else [2, 4],
        spec=method.spec,
        degradation=DEGRADATION,
        seed=seed,
        train=volumes[:2],
        val=volumes[2:],
        checkpoints=str(folder / "checkpoints"),
    )


def weights_equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", ["srcnn3d", "arssr_rdn"])
def test_training_is_reproducible_and_lowers_the_loss(name, volumes, tmp_path):
    first = train(make_job(name, volumes, tmp_path / "a", epochs=8))
    again = train(make_job(name, volumes, tmp_path / "b", epochs=8))
    assert weights_equal(first.state, again.state)
    assert first.log == again.log
    assert first.log[-1]["val_loss"] < first.log[0]["val_loss"]
    assert first.info["val_loss"] == min(row["val_loss"] for row in first.log)
    other = train(make_job(name, volumes, tmp_path / "c", epochs=8, seed=2))
    assert not weights_equal(first.state, other.state)


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    volumes, tmp_path, monkeypatch, caplog
):
    whole = train(make_job("srcnn3d", volumes, tmp_path / "whole"))

    def fsync(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    trained = train(make_job("srcnn3d", volumes, tmp_path / "full"))
    assert weights_equal(whole.state, trained.state)
    assert "no checkpoint" in caplog.text and "no space left on the device" in caplog.text
    # One that was asked for, because the job is ended, must not be said to be kept.
    with pytest.raises(OSError):
        train(make_job("srcnn3d", volumes, tmp_path / "ended"), stop=lambda step: step == 2)


@pytest.mark.parametrize("name", ["srcnn3d", "arssr_rdn"])
@pytest.mark.parametrize("stop_at", [3, 4, 9])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(name, stop_at, volumes, tmp_path):
    whole = train(make_job(name, volumes, tmp_path / "whole"))
    job = make_job(name, volumes, tmp_path / "parts")
    assert train(job, stop=lambda step: step == stop_at) is None
    resumed = train(job)
    assert weights_equal(whole.state, resumed.state)
    assert whole.log == resumed.log


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_used_only_where_it_is_native(native, volumes, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: native)
    job = make_job("srcnn3d", volumes, tmp_path / "asked", precision="bfloat16")
    assert train(job, stop=lambda step: step == 5) is None
    caplog.clear()
    with caplog.at_level("INFO"):
        trained = train(job)
    assert "continuing after step 5" in caplog.text
    used = "bfloat16" if native else "float32"
    assert (trained.info["precision"], trained.info["precision_asked"]) == (used, "bfloat16")
    assert caplog.text.count("this CPU has no bfloat16; training in float32") == (not native)
    plain = train(make_job("srcnn3d", volumes, tmp_path / "plain", precision="float32"))
    assert weights_equal(trained.state, plain.state) is not native
    assert plain.info["precision"] == plain.info["precision_asked"] == "float32"


def test_a_damaged_checkpoint_falls_back_to_the_one_before(volumes, tmp_path, caplog):
    whole = train(make_job("srcnn3d", volumes, tmp_path / "whole"))
    job = make_job("srcnn3d", volumes, tmp_path / "parts")
    train(job, stop=lambda step: step == 7)
    last = tmp_path / "parts" / "checkpoints" / "checkpoint.pt"
    last.write_bytes(last.read_bytes()[:1000])
    caplog.clear()
    with caplog.at_level("INFO"):
        resumed = train(job)
    assert "damaged" in caplog.text
    assert "continuing after step 6" in caplog.text
    assert weights_equal(whole.state, resumed.state)


def test_a_checkpoint_of_other_settings_is_not_used(volumes, tmp_path, caplog):
    train(make_job("srcnn3d", volumes, tmp_path), stop=lambda step: step == 7)
    changed = make_job("srcnn3d", volumes, tmp_path, learning_rate=2e-3)
    caplog.clear()
    with caplog.at_level("INFO"):
        train(changed, stop=lambda step: step == 1)
    assert "not used" in caplog.text
    assert "continuing" not in caplog.text


class Dead(nn.Module):
    """A head whose ReLU never fires, as the published one can be."""

    def __init__(self, alive=False):
        super().__init__()
        self.layer = nn.Conv3d(1, 1, 1)
        nn.init.constant_(self.layer.bias, 1.0 if alive else -10.0)

    def forward(self, image):
        return torch.relu(self.layer(image))


def test_a_collapsed_model_is_restarted_and_reported(volumes, tmp_path, caplog):
    job = make_job("srcnn3d", volumes, tmp_path / "a", build=Dead, restarts=2)
    trained = train(job)
    assert trained.info["collapsed"]
    assert trained.info["restarts"] == 2
    assert "output became constant" in caplog.text

    starts = []

    def revived():
        starts.append(1)
        return Dead(alive=len(starts) > 1)

    trained = train(make_job("srcnn3d", volumes, tmp_path / "b", build=revived, restarts=2))
    assert not trained.info["collapsed"]
    assert trained.info["restarts"] == 1


class Residual(nn.Module):
    """Adds to the interpolated LR volume what a part answers that may be dead."""

    def __init__(self, alive):
        super().__init__()
        self.part = Dead(alive)

    def forward(self, image):
        return image + 0.03 * self.part(image)


@pytest.mark.parametrize("alive", [True, False])
def test_a_learned_part_that_died_behind_a_skip_is_noticed(alive, volumes, tmp_path):
    job = make_job("srcnn3d", volumes, tmp_path, build=lambda: Residual(alive), restarts=1)
    info = train(job).info
    assert info["collapsed"] is info["died"] is not alive
    assert info["restarts"] == (not alive)


def test_a_training_begins_with_the_weights_that_it_is_given(volumes, tmp_path):
    first = train(make_job("srcnn3d", volumes, tmp_path / "a", epochs=4))
    job = make_job("srcnn3d", volumes, tmp_path / "b", epochs=1, learning_rate=1e-6)
    tuned = train(replace(job, start=first.state))
    for key, value in first.state.items():
        torch.testing.assert_close(tuned.state[key], value, atol=1e-5, rtol=0)
    fresh = train(replace(job, checkpoints=str(tmp_path / "c")))
    assert tuned.log[0]["val_loss"] < 0.9 * fresh.log[0]["val_loss"]


def test_a_checkpoint_of_another_start_is_not_used(volumes, tmp_path):
    job = make_job("srcnn3d", volumes, tmp_path, epochs=2)
    assert train(job, stop=lambda step: step == 1) is None
    given = {key: torch.zeros_like(value) for key, value in job.build().state_dict().items()}
    steps = []
    train(replace(job, start=given), observe=lambda step, network, seconds: steps.append(step))
    assert steps[0] == 1


def test_a_loss_that_is_not_finite_is_an_error(volumes, tmp_path):
    job = make_job("srcnn3d", volumes, tmp_path, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"srcnn3d: the loss is not finite at step \d+"):
        train(job)


def test_model_files_round_trip(volumes, tmp_path):
    job = make_job("arssr_rdn", volumes, tmp_path)
    train_and_save(job, tmp_path / "model", {"method": "arssr_rdn"})
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    assert about["steps"] == 12
    header, *epochs = (tmp_path / "model" / "log.csv").read_text().splitlines()
    assert header.split(",") == LOSSES and len(epochs) == 3
    assert not (tmp_path / "checkpoints").exists()
    files = [tmp_path / "model" / name for name in ("model.safetensors", "model.json")]
    assert len({file.stat().st_mode for file in files}) == 1
    method = methods.get("arssr_rdn", {"model": {**MODEL["arssr_rdn"], "head": "linear"}})
    network = load_model(method, tmp_path / "model" / "model.safetensors")
    assert weights_equal(dict(network.state_dict()), train(job).state)


@pytest.mark.parametrize("change", ["none", "data", "settings", "split", "damaged"])
def test_a_finished_training_is_not_done_again_where_its_model_is_lost(
    volumes, tmp_path, caplog, change
):
    caplog.set_level("INFO", "mrisr")
    job = replace(make_job("arssr_rdn", volumes, tmp_path), checksums={"sub-00": "a"})
    folder, calls = tmp_path / "model", []

    def trainer(*given):
        calls.append(given)
        return train(*given)

    train_and_save(job, folder, {"method": "arssr_rdn"}, trainer)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for file in folder.iterdir():  # as Snakemake does before a job
        file.unlink()
    if change == "data":
        job = replace(job, checksums={"sub-00": "b"})
    elif change == "settings":
        job = replace(job, seed=2)
    elif change == "split":  # the same files, with another one to validate on
        job = replace(job, train=[*job.val, *job.train[1:]], val=job.train[:1])
    elif change == "damaged":
        kept = tmp_path / "checkpoints" / "finished" / "model.safetensors"
        kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    began = time.time()
    train_and_save(job, folder, {"method": "arssr_rdn"}, trainer)
    assert len(calls) == (1 if change == "none" else 2)
    for name in (*FILES, *(f".{name}.sha256" for name in FILES)):
        file = folder / name
        assert file.stat().st_mtime > began - 1
        if change == "none":
            assert file.read_bytes() == before[name]
    assert ("its model is taken from" in caplog.text) == (change == "none")
    load_model(methods.get("arssr_rdn", {"model": job.spec["model"]}), folder / FILES[0])


def test_weights_of_another_network_are_refused(tmp_path):
    small = methods.get("srcnn3d", {"model": MODEL["srcnn3d"]})
    save_model(tmp_path, small.build().state_dict(), [], {})
    with pytest.raises(Exception, match=r"does not fit method 'srcnn3d'"):
        load_model(methods.get("srcnn3d"), tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(Exception, match=r"changed since it was made"):
        load_model(small, tmp_path / "model.safetensors")
    seals.unseal(tmp_path / "model.safetensors")
    with pytest.raises(Exception, match=r"cannot be read"):
        load_model(small, tmp_path / "model.safetensors")
