"""Figures of 2-D studies: early stopping, and one input queried at several scales."""

import json

import numpy as np
import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.figures import early_stopping, queries
from mrisr.methods import method as methods
from mrisr.methods.model_files import save_model
from mrisr.volumes.io import Volume, save

STEPS = [1, 10, 100, 1000]


@pytest.fixture
def observed(tmp_path):
    rows = [
        (step, metric, 30 + np.log10(step) if metric == "psnr" else 0.5, 0.1, 7, int(step == 100))
        for step in STEPS
        for metric in ("vif", "psnr")
    ]
    columns = ["step", "metric", "mean", "std", "n", "kept"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "curve.csv", index=False)
    image = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    images = {f"step_{step}": image for step in STEPS}
    np.savez(tmp_path / "images.npz", truth=image, voxel_size=[1, 1.2], **images)
    return {
        **{"method": "coord", "label": "Coord", "dataset": "tiny", "scale": 2},
        "curve": str(tmp_path / "curve.csv"),
        "images": str(tmp_path / "images.npz"),
    }


def outputs(folder):
    folder.mkdir(exist_ok=True)
    return [folder / f"figure.{suffix}" for suffix in ("png", "pdf", "json")]


def test_early_stopping_says_where_training_stops_and_where_metrics_are_highest(observed, tmp_path):
    early_stopping.draw(observed, outputs(tmp_path / "a"))
    early_stopping.draw(observed, outputs(tmp_path / "b"))
    for a, b in zip(outputs(tmp_path / "a"), outputs(tmp_path / "b"), strict=True):
        assert a.read_bytes() == b.read_bytes()
    record = json.loads((tmp_path / "a" / "figure.json").read_text())
    assert record["methods"] == ["coord"] and record["scales"] == [2]
    for words in ("7 validation slices at 2×", "PSNR is highest at step 1,000 (33", "step 100,"):
        assert words in record["caption"]
    assert "after 10, 100, 1,000 steps" in record["caption"]


def test_a_curve_of_every_step_shows_the_images_that_there_are(observed, tmp_path):
    table = pd.read_csv(observed["curve"])
    dense = pd.concat([table[table["step"] == 1].assign(step=step) for step in range(2, 90)])
    pd.concat([table, dense]).sort_values("step").to_csv(observed["curve"], index=False)
    early_stopping.draw(observed, outputs(tmp_path / "a"))
    caption = json.loads((tmp_path / "a" / "figure.json").read_text())["caption"]
    assert "after 10, 100, 1,000 steps" in caption


def test_a_curve_that_does_not_reach_the_kept_step_is_drawn_without_it(observed, tmp_path):
    table = pd.read_csv(observed["curve"])
    table["kept"] = 0
    table.to_csv(observed["curve"], index=False)
    early_stopping.draw(observed, outputs(tmp_path / "a"))
    caption = json.loads((tmp_path / "a" / "figure.json").read_text())["caption"]
    assert "vertical line" not in caption


def test_a_damaged_curve_is_refused(observed, tmp_path):
    (tmp_path / "curve.csv").write_text("step,psnr\n")
    with pytest.raises(InputError, match=r"curve.csv.*delete them and run again"):
        early_stopping.draw(observed, outputs(tmp_path / "a"))


def test_queries_show_every_method_and_twice_the_scale_of_the_same_input(tmp_path):
    random = np.random.default_rng(0)
    affine = np.diag([3.0, 1, 1.2, 1])
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in ("truth", "mask", "lr", "sr")}
    data = random.random((1, 48, 60), dtype=np.float32)
    save(Volume(data, affine), files["truth"])
    save(Volume(np.ones(data.shape, np.uint8), affine), files["mask"])
    save(Volume(data[:, ::2, ::2].copy(), np.diag([3.0, 2, 2.4, 1])), files["lr"])
    save(Volume(data, affine), files["sr"])
    method = methods.get("coord", {"model": {"features": 4, "blocks": 1, "width": 8}})
    save_model(tmp_path / "model", method.build().state_dict(), [], {})
    cell = {"method": "coord", "method_label": "Coord", "image": files["sr"]}
    missing = {"method": "conv", "method_label": "Conv", "image": str(tmp_path / "none.nii.gz")}
    packed = method.pack("label", "input", "network", "coordinates", "model")
    params = {
        **{"dataset": "tiny", "label": "Tiny", "subject": "sub-01_slice-1", "scale": 2},
        **{"grid": "centres", "cells": [cell, missing]},
        **{key: files[key] for key in ("truth", "mask", "lr")},
        "beyond": [{"method": packed, "model": str(tmp_path / "model" / "model.safetensors")}],
    }
    queries.draw(params, outputs(tmp_path / "a"))
    queries.draw(params, outputs(tmp_path / "b"))
    for a, b in zip(outputs(tmp_path / "a"), outputs(tmp_path / "b"), strict=True):
        assert a.read_bytes() == b.read_bytes()
    record = json.loads((tmp_path / "a" / "figure.json").read_text())
    assert record["scales"] == [2, 4] and record["methods"] == ["coord", "conv"]
    assert "sub-01_slice-1: a sagittal slice" in record["caption"] and "4×" in record["caption"]
