import json

import numpy as np
import pytest

from mrisr.evaluate.training_time import middle, with_curve
from mrisr.figures.training_time import caption, draw, read_lines
from mrisr.methods import method as methods
from mrisr.train.engine import TrainingJob, train_and_save
from mrisr.volumes.io import Volume

DEGRADATION = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}
CURVE = {"minutes": [0.001, 0.003, 0.01, 1000], "scales": [2, 3], "edge": 16}
SMALL = {"features": 4, "blocks": 1, "channels": 4, "gates": 4}


@pytest.fixture
def volumes(noise_files):
    return noise_files(3 * [(40, 36, 38)], smooth=1.5)


def make(volumes, folder, **training):
    settings = {
        **{"epochs": 4, "steps_per_epoch": 5, "batch": 2, "queries": 64, "lr_patch": 5},
        **{"patches_per_subject": 3, "checkpoint_minutes": 0, "curve": CURVE},
        **{"clock": "processor", "learning_rate": 3e-3, **training},
    }
    method = methods.get("cubic_residual", {"model": SMALL, "training": settings})
    method = methods.unpack(method.pack_training())  # what the rule passes on
    return method, TrainingJob(
        name=method.name,
        build=method.build,
        scales=[2, 4],
        spec=method.spec,
        degradation=DEGRADATION,
        seed=1,
        train=volumes[:2],
        val=volumes[2:],
        checkpoints=str(folder / "checkpoints"),
    )


def test_the_middle_lies_where_it_lay():
    random = np.random.default_rng(0)
    affine = np.array([[0, 2, 0, 5], [1, 0, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1.0]])
    whole = Volume(random.random((10, 5, 20), dtype=np.float32), affine)
    part = middle(whole, 8)
    assert part.data.shape == (8, 5, 8)
    assert part.data[0, 0, 0] == whole.data[1, 0, 6]
    assert np.array_equal(part.affine @ [2, 3, 4, 1], affine @ [3, 3, 10, 1])


def test_quality_on_the_way_is_in_model_json_and_drawn(volumes, tmp_path):
    method, job = make(volumes, tmp_path)
    folder = tmp_path / "model"
    train_and_save(job, folder, dict(method.spec), with_curve(method))
    about = json.loads((folder / "model.json").read_text())
    curve = about["curve"]
    assert [row["step"] for row in curve] == sorted({row["step"] for row in curve})
    assert curve[-1]["step"] == about["steps"] == 20
    assert len(curve) >= 2
    minutes = [row["minutes"] for row in curve]
    assert minutes == sorted(minutes)
    assert all(set(row["psnr_over_cubic"]) == {"2", "3"} for row in curve)
    # A residual over cubic interpolation stays near it.
    assert all(abs(gain) < 3 for row in curve for gain in row["psnr_over_cubic"].values())

    models = [{"method": "cubic_residual", "label": "Ours", "look": 0, "folder": str(folder)}]
    absent = {"method": "other", "label": "Other", "look": 1, "folder": str(tmp_path / "no")}
    lines, missing, core = read_lines([*models, absent])
    assert (list(lines), missing, core) == ([2.0, 3.0], ["Other"], True)
    assert lines[2.0][0].gain.tolist() == [row["psnr_over_cubic"]["2"] for row in curve]
    text = caption(lines, missing, core)
    assert f"2×: Ours {curve[-1]['psnr_over_cubic']['2']:+.2f} dB" in text
    assert "Missing, not there yet: Other." in text
    outputs = [tmp_path / f"training_time.{kind}" for kind in ("png", "pdf", "json")]
    draw({"models": models}, outputs)
    assert all(output.stat().st_size > 100 for output in outputs)


def test_a_stopped_training_ends_with_the_same_weights_and_rows(volumes, tmp_path):
    method, job = make(volumes, tmp_path / "whole")
    whole = with_curve(method)(job, lambda step: False)
    _, job = make(volumes, tmp_path / "parts")
    assert with_curve(method)(job, lambda step: step == 7) is None
    parts = with_curve(method)(job, lambda step: False)
    assert all((whole.state[key] == parts.state[key]).all() for key in whole.state)
    assert whole.info["curve"][-1]["psnr_over_cubic"] == parts.info["curve"][-1]["psnr_over_cubic"]
    steps = [row["step"] for row in parts.info["curve"]]
    assert steps == sorted(set(steps))
    assert min(steps) <= 7


def test_more_minutes_continue_the_curve_too(volumes, tmp_path):
    curve = {**CURVE, "minutes": [1e-6, 1000]}
    _, job = make(volumes, tmp_path, curve=curve)
    method, more = make(volumes, tmp_path, curve=curve, minutes=1000)
    assert with_curve(method)(job, lambda step: step == 7) is None
    continued = with_curve(method)(more, lambda step: False)
    assert [row["step"] for row in continued.info["curve"]] == [1, 20]
