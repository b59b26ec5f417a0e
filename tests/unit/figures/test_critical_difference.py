"""The critical-difference diagram."""

import json

import numpy as np
import pytest

from figure_study import caught, texts
from mrisr.common.statistics import critical_difference, friedman
from mrisr.figures import critical_difference as figure

N = 12
#: Difference of PSNR from cubic, and how far single subjects stray.
METHODS = {"cubic": (0.0, 0.0), "near": (0.01, 0.3), "good": (1.0, 0.1), "best": (2.0, 0.1)}


@pytest.fixture
def params(tmp_path):
    """Params of a study of four methods and a control at two scales; at 3 only two are measured."""
    base = np.linspace(28, 33, N)
    cells = []
    for scale in (2, 3):
        for number, (name, (lead, spread)) in enumerate({**METHODS, "nearest": (-3, 0)}.items()):
            path = tmp_path / f"{name}{scale}.csv"
            scores = base + lead + np.random.default_rng(number).normal(0, spread, N)
            rows = [f"sub-{i:02},psnr,mask,{score}" for i, score in enumerate(scores)]
            if scale == 2 or name in ("cubic", "good"):
                path.write_text("\n".join(["subject,metric,region,value", *rows]) + "\n")
            control = name == "nearest"
            cells.append(
                {
                    **{"dataset": "demo", "dataset_label": "Demo", "scale": scale, "method": name},
                    **{"method_label": name.title(), "control": control, "learned": False},
                    **{"skipped": None, "model": None, "ground_truth": False},
                    **{"path": str(path), "look": "lower" if control else number},
                }
            )
    return {
        **{"dataset": "demo", "label": "Demo", "cells": cells, "held": [], "baseline": "cubic"},
        **{"metrics": ["psnr"], "primary": "psnr"},
    }


def test_methods_stand_at_their_mean_ranks_and_bars_join_what_is_not_told_apart(
    params, monkeypatch
):
    drawn, record = caught("critical_difference", params, monkeypatch)
    said = texts(drawn)
    assert "Best (1.00)" in said and "Good (2.00)" in said
    assert not any("Nearest" in word for word in said)
    bars = [line for line in drawn.axes[0].get_lines() if line.get_gid() == "clique"]
    distance = critical_difference(4, N)
    behind = [word for word in said if word.startswith(("Near", "Cubic"))]
    low, high = sorted(float(word.split("(")[1][:-1]) for word in behind)
    assert 2 < low <= high < 4 and high - low < distance
    spans = [tuple(bar.get_xdata()) for bar in bars]
    assert any(start < low and high < end for start, end in spans)
    assert not any(start < 1 and end > high for start, end in spans)
    assert f"critical difference {distance:.2f}" in said
    assert "PSNR in mask ↑ (dB)" in record.caption and f"n = {N}" in record.caption
    assert "No ranks at 3×" in record.caption and "too few" in said


def test_the_same_tests_as_in_the_table(params):
    rows = figure.measured_rows(params)
    found = figure.ranking([row for (k, _), row in rows.items() if k == 2], ("psnr", "mask"))
    scores = np.stack([row.values["psnr", "mask"] for row in found.rows], axis=1)
    assert found.p == pytest.approx(friedman(scores)[1]) and found.n == N
    assert list(found.ranks) == sorted(found.ranks) and found.ranks.sum() == pytest.approx(10)


def test_cliques_are_the_largest_groups():
    def cliques(*ranks, distance=1.0):
        return figure.Ranking([], np.array(ranks), distance, 0.0, 5).cliques()

    assert cliques(1, 1.5, 2.2, 4) == [(0, 1), (1, 2)]
    assert cliques(1, 1.2, 1.4, 4) == [(0, 2)]
    assert cliques(1, 2, 3, 4) == []


def test_a_metric_that_puts_controls_out_of_order_ranks_nobody(params, monkeypatch):
    best = next(cell["path"] for cell in params["cells"] if cell["method"] == "best")
    for cell in params["cells"]:
        if cell["method"] == "nearest":
            cell["path"] = best
    drawn, record = caught("critical_difference", params, monkeypatch)
    assert "controls out of order" in texts(drawn) and "ranks nobody" in record.caption


def test_same_input_same_bytes(params, tmp_path):
    made = [[tmp_path / f"{name}.{kind}" for kind in ("png", "pdf", "json")] for name in "ab"]
    for outputs in made:
        figure.draw(params, outputs)
    for one, other in zip(*(outputs[:2] for outputs in made), strict=True):
        assert one.read_bytes() == other.read_bytes() and one.stat().st_size > 5000
    assert json.loads(made[0][2].read_text())["section"] == "Measures"
