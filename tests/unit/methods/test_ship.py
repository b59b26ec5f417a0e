"""bench/heads.py, ship.py and results.py: what the card and the page say is what was measured."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from matplotlib.axes import Axes

import heads
import recipe
import results as results_page
import ship
import ship_model
from mrisr.common.files import sha256
from mrisr.common.paths import ROOT
from mrisr.common.statistics import mean_interval, wilcoxon
from mrisr.methods import method as methods
from mrisr.methods import shipped
from mrisr.methods.model_files import read_description, save_model


def measurement(cohort, subject, scale, weights, psnr, ssim, vif, grid="corners"):
    name = heads.METHOD if weights else "cubic"
    row = (cohort, subject, scale, grid, name, weights, psnr, ssim, vif, 1)
    return dict(zip(heads.COLUMNS, row, strict=True))


@pytest.fixture
def results(tmp_path):
    file = tmp_path / "heads.csv"
    rows = [
        measurement("openms_T1", "07", "2", "", 30, 0.9, 0.5),
        measurement("openms_T1", "07", "2", "abc", 31, 0.92, 0.55),
        measurement("openms_T1", "19", "2", "", 32, 0.9, 0.5),
        measurement("openms_T1", "19", "2", "abc", 34, 0.94, 0.52),
        measurement("openms_T1", "19", "2", "other", 50, 1, 1),
        measurement("openms_T1", "19", "2", "abc", 60, 1, 1, "centres"),
        measurement("openms_T1", "19", "3", "", 28, 0.8, 0.4),  # nothing to hold against
    ]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, heads.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_gains_are_means_over_heads_of_the_shipped_weights_alone(results):
    table = ship.quality(results, "abc")
    assert len(table) == 3
    assert table[2].endswith("| 2 | 2× | 31.00 | +1.50 | +0.0300 | +0.035 |")


def test_the_table_of_the_readme_is_what_was_measured():
    mark = sha256(shipped.weights_file(heads.METHOD, "here"))[:12]
    gains = heads.gains(ROOT / "docs/results/heads.csv", mark)
    (shown,) = results_page.README_TABLE.findall((ROOT / "README.md").read_text())
    assert shown == results_page.first_screen(gains)
    assert len(shown.splitlines()) == 2 + 6
    gained = [row[1] for row in gains["ds002748", 2.0].values()]
    assert f"| {len(gained)} | +{sum(gained) / len(gained):.2f} [" in shown


@pytest.mark.parametrize("name", shipped.names())
def test_the_facts_of_a_card_are_those_of_the_model(name):
    folder = shipped.weights_file(name, "here").parent
    card = (folder / "README.md").read_text(encoding="utf-8")
    rows = ship.facts(read_description(folder), "", "", "")
    told = [row.split(" | ")[1].split(":")[0].split(";")[0].rstrip(" |") for row in rows[3:]]
    assert all(f"| {text}" in card for text in told)


def test_a_model_of_a_study_is_described_without_paths_of_the_machine():
    made = read_description(shipped.weights_file(shipped.THICK, "here").parent)
    started = {**made["started_from"], "file": "/home/me/model.safetensors"}
    there = {**made, "started_from": started, "training": {**made["training"], "start_from": "/x"}}
    said = ship_model.description({**there, "date": "2026-01-02T03:04:05", "extra": 1}, "CC0")
    assert "/home" not in json.dumps(said) and said["training"]["start_from"] == shipped.SHIPPED
    assert said["date"] == "2026-01-02" and "extra" not in said and said["shipped"]


def test_weights_that_nobody_measured_are_refused(results):
    with pytest.raises(SystemExit, match=r"no measurement of the weights xyz; run bench/heads\.py"):
        ship.quality(results, "xyz")


def test_what_was_measured_already_is_not_measured_again(results):
    done = heads.measured(results)
    assert ("openms_T1", "07", "2", "corners", heads.METHOD, "abc") in done and len(done) == 7
    assert heads.measured(results.with_name("none.csv")) == set()


def test_the_first_head_of_every_cohort_comes_first(tmp_path):
    for name in ("a_1", "a_2", "b_x_1", "b_x_2", "b_x_3"):
        (tmp_path / f"{name}_hr.nii.gz").touch()
    assert heads.heads(tmp_path, None, None)[:3] == [("a", "1"), ("b_x", "1"), ("a", "2")]
    assert heads.heads(tmp_path, ["b_x"], 2) == [("b_x", "1"), ("b_x", "2")]


def test_a_training_becomes_a_model_folder_with_a_card(tmp_path, monkeypatch, results):
    run, out = tmp_path / "run", tmp_path / "shipped"
    network = methods.get(heads.METHOD).build()
    save_model(run, network.state_dict(), [], {})
    (run / "model.safetensors").rename(run / "decay.safetensors")
    settings = {"model": {"gain": 0.03}, "batch": 4, "aniso": 0.1}
    (run / "recipe.json").write_text(json.dumps(settings))
    keys = "part,step,core_seconds,clock,rate,train_loss,val_loss"
    rows = ["stable,1000,3600,x,1.0,0.02,0.015", "decay,1400,5400,x,0.0,0.02,0.0125"]
    (run / "log.csv").write_text("\n".join([keys, *rows]))
    monkeypatch.setattr("sys.argv", ["ship.py", str(run), "--out", str(out)])
    ship.main()
    said, card = read_description(out), (out / "README.md").read_text(encoding="utf-8")
    assert (said["steps"], said["core_hours"], said["annealed"]) == (1400, 1.5, True)
    assert said["scale_per_axis"] and said["model"]["features"] == 32
    assert "| steps | 1,400, 4 patches each; its learning rate annealed to 0 |" in card
    assert "Not measured on whole heads yet." in card
    kept = recipe.read_log(out / recipe.TRAINING)
    assert [",".join(row.values()) for row in kept] == rows
    monkeypatch.setattr("sys.argv", ["ship.py", str(run), "--part", "stable", "--out", str(out)])
    with pytest.raises(FileNotFoundError):
        ship.main()
    assert not ship.description(run, "stable")["annealed"]
    more = [f"before: {row}" for row in rows]
    more += ["stable,1401,5401,x,1.0,0.02,0.0125", "decay,1800,7200,x,0.0,0.02,0.01"]
    (run / "log.csv").write_text("\n".join([keys, *more]))
    (run / "recipe.json").write_text(json.dumps(settings | {"before": settings}))
    again = ship.description(run, "decay")
    assert again["steps"] == 1800
    card = ship.card(again, [])
    assert "--start RUN/decay-STEP.pt" in card and "ship.py RUN2 --part" in card
    # A third part, by two processes, without a stable one: two annealings follow each other.
    more = [*more[:2], *(row.replace("stable", "before: stable") for row in more[2:3])]
    more += ["before: decay,1800,7200,x,0.0,0.02,0.01", "before: decay,1900,7300,x,0.9,0.02,0.01"]
    more += ["before: decay,2000,7400,x,0.0,0.02,0.01", "decay,2200,9000,x,0.0,0.02,0.009"]
    (run / "log.csv").write_text("\n".join([keys, *more]))
    twice = settings | {"before": settings | {"before": settings}, "processes": 2}
    (run / "recipe.json").write_text(json.dumps(twice))
    third = ship.description(run, "decay")
    card = ship.card(third, [])
    assert "2,200, 4 then 8 patches each" in card and "ship.py RUN3 --part" in card
    line = "long FOLDER --variant late --out RUN3 --start RUN2/decay-STEP.pt --stable 0 --decay"
    assert f"{line} MINUTES --processes 2\n" in card
    assert "in one orientation" not in card and "SHIPPED" not in card
    anew = ship.card(third | {"training": twice | {"begun": recipe.WEIGHTS}}, [])
    line = line.replace("RUN2/decay-STEP.pt", "SHIPPED")
    assert f"{line} MINUTES --processes 2\n" in anew and "`SHIPPED` is what `bench/ship.py`" in anew
    with pytest.raises(SystemExit, match="no variant"):
        recipe.variant_of({"batch": 99})
    straight = third | {"training": settings | {"turns": False, "noise": 0.05}}
    assert "in one orientation, RAS" in ship.card(straight, [])
    assert read_description(out) == said


def test_a_variant_begins_as_the_network_that_was_trained():
    """Blocks that it has more of do nothing at first."""
    small = recipe.Run(replace(recipe.BASE, model={"features": 4, "blocks": 1}), None)
    state = small.state() | {"step": 7, "seconds": 3.0}
    large = recipe.Run(replace(small.recipe, model={"features": 4, "blocks": 3}, seed=1), None)
    lr, places = torch.rand(2, 1, 6, 6, 6), torch.rand(2, 9, 3)
    cell = torch.ones(2, 3)
    before = small.network(lr, places, cell)
    assert not torch.equal(large.network(lr, places, cell), before)
    large.begin(state)
    torch.testing.assert_close(large.network(lr, places, cell), before)
    assert (large.step, large.seconds) == (7, 0.0)
    torch.testing.assert_close(large.average, large.network.state_dict())
    same = recipe.Run(replace(small.recipe, seed=2), None)
    small.optimizers[0].state[small.network.last.weight]["step"] = torch.tensor(7.0)
    same.begin(small.state())
    assert same.optimizers[0].state[same.network.last.weight]["step"] == 7


def test_the_page_of_results_has_intervals_only_of_enough_heads(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    (run / "decay.safetensors").write_bytes(b"weights")
    (run / "recipe.json").write_text('{"aniso": 0.1, "before": {"aniso": 0.15}}')
    mark = sha256(run / "decay.safetensors")[:12]
    keys = "part,step,core_seconds,plain 2,plain 3,plain 4"
    rows = ["stable,100,60,0.1,0.2,0.3", "decay,150,90,9,9,9", "stable,200,120,0.2,0.3,0.4"]
    (run / "log.csv").write_text("\n".join([keys, *rows, "decay,300,180,0.3,0.4,0.5"]))
    drawn = []
    plot = Axes.plot

    def seen(axes, *line, **look):
        drawn.append(line[:2])
        return plot(axes, *line, **look)

    monkeypatch.setattr(Axes, "plot", seen)
    quality = tmp_path / "heads.csv"
    gains = {"ds002748": [1.0, 1.2, 0.8, 1.1, 0.9], "ds000011": [0.5, -0.1]}
    with quality.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, heads.COLUMNS)
        writer.writeheader()
        for cohort, each in gains.items():
            for number, gain in enumerate(each):
                at = (cohort, f"sub-{number}", "2")
                writer.writerow(measurement(*at, "", 30, 0.9, 0.5))
                writer.writerow(measurement(*at, mark, 30 + gain, 0.91, 0.52))
    monkeypatch.setattr(
        "sys.argv",
        [
            *("results.py", "--run", str(run), "--quality", str(quality)),
            *("--out", str(tmp_path / "docs")),
        ],
    )
    results_page.main()
    text = (tmp_path / "docs/results.md").read_text(encoding="utf-8")
    low, high = mean_interval(gains["ds002748"])
    row = next(line for line in text.splitlines() if line.startswith("| ds002748"))
    assert f"| 5 | 2× | 30.00 | +1.00 [{low:+.2f}, {high:+.2f}] |" in row
    assert row.endswith(f"| {wilcoxon(gains['ds002748']):.3f} |")
    row = next(line for line in text.splitlines() if line.startswith("| ds000011"))
    assert "| +0.20 (-0.10, +0.50) |" in row and row.endswith("| - |")
    assert "- PSNR is above cubic in 6 of 7 reconstructions; the gains are from -0.10 to" in text
    assert "- With 5 heads the signed-rank test cannot reach 0.05" in text
    assert "300 steps, 3 minutes of one core" in text and "other: `long`, `late`; see" in text
    assert (tmp_path / "docs/results/heads.csv").read_bytes() == quality.read_bytes()
    assert "was not kept" not in text
    # Of two annealings the first was given up.
    assert drawn[:2] == [([1.0, 2.0], [0.1, 0.2]), ([3.0], [0.3])]
    # Begun from weights without a log.
    lost = "before: decay,300,180,,0.3,0.4,0.5\ndecay,400,240,0.1,0.4,0.5,0.6"
    (run / "log.csv").write_text(f"{keys.replace('seconds', 'seconds,train_loss')}\n{lost}")
    results_page.main()
    text = (tmp_path / "docs/results.md").read_text(encoding="utf-8")
    assert "400 steps, 4 minutes" in text and "the first 3 minutes was not kept." in text
