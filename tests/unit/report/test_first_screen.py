"""What the first screen says: its sentences, the overview, what was left out, and the cost."""

import math

import numpy as np
import pandas as pd
import pytest

from mrisr.common.files import write_json
from mrisr.evaluate.outliers import subject_values
from mrisr.methods.model_files import with_models
from mrisr.report.cost import by_stage, in_short
from mrisr.report.headline import headlines
from mrisr.report.heatmap import ROWS, heatmaps, position, step
from mrisr.report.left_out import left_out
from mrisr.tables.quality import quality_table
from mrisr.tables.significance import significance_table

LABELS = {
    "nearest": "Nearest",
    "cubic": "Cubic",
    "net": "Net",
    "wide": "Wide net",
    "truth": "Truth",
}


@pytest.fixture
def study(tmp_path):
    """Return facts, means, contrasts and values of a made-up study of some methods."""

    def make(values, *, scales=(2,), metric="psnr", baseline="cubic", **changes):
        cells = []
        for scale in scales:
            for name, given in values.items():
                path = tmp_path / f"{name}-{scale}.csv"
                lines = [f"sub-{i},{metric},volume,{v!r}" for i, v in enumerate(map(float, given))]
                path.write_text("\n".join(["subject,metric,region,value", *lines]) + "\n")
                cells.append(
                    {
                        **{"dataset": "d", "dataset_label": "Demo", "scale": scale},
                        **{"method": name, "method_label": LABELS[name], "learned": False},
                        **{"control": name in ("nearest", "truth"), "skipped": None},
                        **{"ground_truth": name == "truth", "path": str(path), "model": None},
                        **{"published_steps": None, **changes.get(name, {})},
                    }
                )
        config = {"baseline": baseline, "primary_metric": metric, "margins": {}}
        contrasts = significance_table(cells, seed=1, baseline=baseline, primary=metric).frame
        facts = {"cells": cells, "config": config}
        return (
            facts,
            quality_table(cells, baseline=baseline).frame,
            contrasts,
            subject_values(cells),
        )

    return make


def noise(n, seed=0, spread=0.1):
    return spread * np.random.default_rng(seed).standard_normal(n)


def test_first_sentence_has_the_tables_difference_interval_and_n(study):
    base = 30 + noise(12, spread=2)
    given = study({"cubic": base, "net": base + 1.3 + noise(12, 1), "wide": base - 1})
    (said,) = headlines(*given)
    _, _, contrasts, _ = given
    row = contrasts[contrasts["method"] == "net"].iloc[0]
    interval = f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    start = f"At 2×, Net, the best of 3 methods, is above Cubic by {row['difference']:.2f} dB"
    assert said["text"].startswith(f"{start} {interval} in PSNR (n = 12, 95 % interval, adjusted p")
    assert said["text"].endswith("Of 2 methods against Cubic: 1 better, 1 worse.")
    assert (said["dataset"], said["scale"]) == ("d", "2")


def test_below_five_subjects_there_are_points_and_no_interval(study):
    (said,) = headlines(*study({"cubic": [30, 31], "net": [30.5, 31.25]}))
    assert said["text"] == (
        "At 2×, Net is above Cubic by 0.38 dB in PSNR (n = 2, too few for an interval or a test;"
        " by subject +0.50, +0.25 dB)."
    )


def test_a_baseline_that_is_best_is_said_to_be(study):
    base = 30 + noise(8, spread=2)
    (said,) = headlines(*study({"cubic": base, "net": base - 1 + noise(8, 1)}))
    assert said["text"].startswith(
        "At 2×, no method is better than Cubic: Net is below Cubic by 0.98 dB"
    )
    low, high = map(float, said["text"].partition("[")[2].partition("]")[0].split(", "))
    assert 0 < low < 1 < high  # of the amount, as the word below says


def test_what_no_test_decides_and_what_is_equivalent_is_said(study):
    base = 30 + noise(12, spread=2)
    (open_,) = headlines(*study({"cubic": base, "net": base + 0.05 + noise(12, 1, 1.0)}))
    assert "not decided" in open_["text"]
    (alike,) = headlines(*study({"cubic": base, "net": base + 0.01 + noise(12, 1, 0.01)}))
    assert "equivalent within 0.1 dB" in alike["text"]


def test_lower_is_better_and_without_a_baseline_the_second_is_the_reference(study):
    values = {"net": 0.2 + noise(6, spread=0.01), "wide": 0.3 + noise(6, 1, 0.01)}
    (said,) = headlines(*study(values, metric="lpips", baseline=None))
    assert said["text"].startswith("At 2×, Net is below Wide net by 0.")
    assert "in LPIPS, where lower is better (n = 6" in said["text"]


def test_a_study_of_which_nothing_can_be_said(study):
    facts, quality, contrasts, scores = study({"cubic": [30, 31]})
    (alone,) = headlines(facts, quality, contrasts, scores)
    assert alone["text"] == (
        "At 2×, only Cubic has a value (PSNR 30.50 dB): there is nothing to compare it with."
    )
    empty = pd.DataFrame()
    assert headlines(facts, empty, empty, scores) == []
    assert heatmaps(facts, empty) == {"shown": [], "folded": []}
    given = study({"nearest": [35, 36], "cubic": [30, 31], "net": [32, 33]})
    assert headlines(*given)[0]["text"] == (
        "At 2×, PSNR puts the controls out of order, so it ranks no method."
    )
    (infinite,) = headlines(*study({"cubic": [30, 31], "net": [math.inf, 33]}))
    assert "cannot be compared" in infinite["text"]


def test_each_scale_has_a_sentence(study):
    said = headlines(*study({"cubic": [30, 31], "net": [31, 32]}, scales=(2, 2.5)))
    assert [line["text"].partition(",")[0] for line in said] == ["At 2×", "At 2.5×"]


@pytest.mark.parametrize(
    ("mean", "low", "high", "unit", "wanted"),
    [
        (0.75, 0.5, 1.0, "", 0.5),
        (0.2, 0.4, 0.0, "", 0.5),  # lower is better
        (0.4, 0.5, 1.0, "", -0.2),
        (30.0, 20.0, math.inf, "dB", 0.9),
        (math.inf, 20.0, math.inf, "dB", 1.0),
        (3.0, 2.0, math.inf, "", math.nan),
        (1.0, 1.0, 1.0, "", math.nan),
        (math.nan, 0.0, 1.0, "", math.nan),
    ],
)
def test_position_between_the_controls(mean, low, high, unit, wanted):
    assert position(mean, low, high, unit) == pytest.approx(wanted, nan_ok=True)


def test_colours_reach_from_end_to_end():
    assert [step(share) for share in (-0.2, 0.0, 0.5, 1.0, 1.3)] == [0, 0, 5, 10, 10]
    assert step(math.nan) is None


def test_overview_places_methods_between_the_controls(study):
    values = {"nearest": [20, 20], "cubic": [30, 30], "net": [40, 40], "truth": [math.inf] * 2}
    facts, quality, *_ = study(values)
    (table,) = heatmaps(facts, quality)["shown"]
    rows = {row["method"]: row["cells"][0] for row in table["scales"][0]["rows"]}
    assert list(rows) == ["cubic", "net"]  # controls are the ends
    assert (rows["cubic"]["text"], rows["cubic"]["share"], rows["cubic"]["step"]) == (
        *("30.00", "0.90", 9),
    )
    assert rows["net"]["hint"] == "0.99 of the way from Nearest (20.00) to Truth (∞)"
    assert "share of the squared error of Nearest that is gone" in table["caption"]


def test_overview_without_controls_says_what_stands_in(study):
    facts, quality, *_ = study({"cubic": [0.5, 0.5], "net": [0.7, 0.7]}, metric="ssim")
    (table,) = heatmaps(facts, quality)["shown"]
    assert "between Cubic (0, light) and Net (1, dark)" in table["caption"]
    assert "squared error" not in table["caption"]


def test_a_metric_out_of_order_has_no_colour(study):
    facts, quality, *_ = study({"nearest": [35, 36], "cubic": [30, 31], "net": [32, 33]})
    cells = heatmaps(facts, quality)["shown"][0]["scales"][0]["rows"][0]["cells"]
    assert cells[0]["step"] is None and "out of order" in cells[0]["hint"]
    lines = left_out(facts, quality, [{"dataset": "d", "label": "Demo", "apart": 0}])
    assert any("Not ranked on Demo" in line["text"] and "PSNR" in line["text"] for line in lines)


def test_scales_beyond_the_first_rows_are_folded(study):
    scales = range(2, 3 + ROWS // 2)
    facts, quality, *_ = study({"cubic": [30, 31], "net": [31, 32]}, scales=scales)
    found = heatmaps(facts, quality)
    assert sum(len(part["rows"]) for part in found["shown"][0]["scales"]) == ROWS
    assert [part["scale"] for part in found["folded"][0]["scales"]] == [str(scales[-1])]


def test_left_out_says_the_worst_first_and_nothing_without_cause(study, tmp_path):
    base = 30 + noise(6, spread=2)
    facts, quality, *_ = study({"cubic": base, "net": base + 1})
    cohort = {"dataset": "d", "label": "Demo", "apart": 0}
    assert left_out(facts, quality, [cohort]) == []
    changes = {
        "net": {"learned": True, "model": {"steps": 5}, "published_steps": 1000},
        "wide": {"skipped": "scale 2 not supported"},
    }
    facts, quality, *_ = study({"cubic": base, "net": base + 1, "wide": base}, **changes)
    facts["cells"][0]["path"] = str(tmp_path / "no.csv")
    facts["config"]["preset"] = "demo"
    state = {"failures": [{"log": "a.log", "reason": "no"}], "done": 1, "of": 2}
    lines = left_out(
        facts, quality, [cohort | {"apart": 2}], state=state, remarks=["Fewer slices."]
    )
    assert [line["level"] for line in lines] == [
        *("failed", "missing", "missing", "doubtful", "doubtful", "note", "note", "note")
    ]
    said = " ".join(line["text"] for line in lines)
    for part in (
        *(
            "1 of 2 cells",
            "1 job failed",
            "Not measured: Cubic at 2×",
            "† Undertrained",
            "Net at 2×",
        ),
        *("Demo preset", "2 values of Demo", "n/a): Wide net at 2×: scale 2 not supported"),
        "Slice viewer: Fewer slices.",
    ):
        assert part in said, part


def test_few_subjects_are_said(study):
    facts, quality, *_ = study({"cubic": [30, 31], "net": [31, 32]})
    (line,) = left_out(facts, quality, [{"dataset": "d", "label": "Demo", "apart": 0}])
    assert line["text"].startswith("Only 2 test subjects of Demo: no intervals")
    assert line["link"] == "#subjects-d"


def test_cost_in_short_and_by_stage(tmp_path):
    write_json(tmp_path / "model.json", {"seconds": 7200.0, "device": "cpu"})
    stages = {
        "sr": {"jobs": 2, "seconds": 400.0, "cpu_seconds": 300.0, "peak_megabytes": 900.0},
        "hr": {"jobs": 1, "seconds": 100.0, "cpu_seconds": 60.0, "peak_megabytes": 50.0},
    }
    said = dict(in_short({"durations": stages}, [{"folder": str(tmp_path)}]))
    assert said == {
        **{"Jobs": "3", "Time": "8 min, summed over jobs", "CPU time": "6 min"},
        **{"Longest stage": "sr, 7 min", "Largest job": "900 MB"},
        "Training": "2.0 h for 1 model, on cpu",
    }
    assert [row["stage"] for row in by_stage(stages)] == ["hr", "sr", "all"]
    assert in_short({"durations": {}}, []) == [] and by_stage({}) == []


BUDGET = {"minutes_asked": 60, "ended": "time budget", "training": {"clock": "processor"}}


def with_trainings(given, tmp_path, models):
    """Return a made-up study whose methods were trained: what `model.json` says, by method."""
    facts, _, contrasts, scores = given
    cells = []
    for cell in facts["cells"]:
        model = models.get(cell["method"])
        if model is not None:
            folder = tmp_path / "models" / f"{cell['method']}-{cell['scale']}"
            write_json(folder / "model.json", model)
            cell = {**cell, "learned": True, "model": str(folder), "published_steps": 1000}
        cells.append(cell)
    means = quality_table(with_models(cells), baseline=facts["config"]["baseline"]).frame
    return {**facts, "cells": cells}, means, contrasts, scores


def test_a_time_budget_is_said_with_its_minutes_and_hides_nobody(study, tmp_path):
    base = 30 + noise(12, spread=2)
    values = {"cubic": base, "net": base + 1.3 + noise(12, 1), "wide": base - 1 + noise(12, 2)}
    short = {**BUDGET, "steps": 50}
    models = {"net": short, "wide": {**short, "minutes_asked": 5}}
    facts, means, contrasts, scores = with_trainings(study(values, scales=(2, 3)), tmp_path, models)
    first, _ = headlines(facts, means, contrasts, scores)
    assert first["text"].startswith("At 2×, Net†, the best of 3 methods, is above Cubic by 1.")
    assert "(n = 12, 95 % interval, adjusted p" in first["text"]
    said = " A time budget ended the training of Net† after 60 minutes of processor time."
    assert said in first["text"]
    assert first["text"].endswith("† undertrained: it says little about the method.")
    lines = [line["text"] for line in left_out(facts, means, [])]
    assert (
        "† Undertrained, says little about the method: Net at 2×, 3×; Wide net at 2×, 3×." in lines
    )
    for name, minutes in (("Net", 60), ("Wide net", 5)):
        told = f"each training after {minutes} minutes of processor time: {name} at 2×, 3×."
        assert f"Ended by a time budget, {told}" in lines


def test_trainings_that_ended_by_themselves_have_no_budget(study, tmp_path):
    base = 30 + noise(12, spread=2)
    given = study({"cubic": base, "net": base + 1.3 + noise(12, 1)})
    for model in (
        {**BUDGET, "steps": 1000, "ended": "epochs"},
        {**BUDGET, "steps": 1000, "imported": True, "file": "net.pt"},
    ):
        facts, means, contrasts, scores = with_trainings(given, tmp_path, {"net": model})
        (first,) = headlines(facts, means, contrasts, scores)
        assert "time budget" not in first["text"]
        assert not any("time budget" in line["text"] for line in left_out(facts, means, []))


def test_several_trainings_are_said_in_the_first_sentence(study):
    base = 30 + noise(12, spread=2)
    facts, means, contrasts, scores = study({"cubic": base, "net": base + 1.3 + noise(12, 1)})
    means = means.assign(seeds=means["method"].map({"cubic": 1, "net": 3}))
    (first,) = headlines(facts, means, contrasts, scores)
    assert "Values of Net are means over 3 trainings with different seeds." in first["text"]
