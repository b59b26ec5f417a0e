"""bench/recipe.py and what it uses: the search, and several processes that train together."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import recipe
import search_results
import together
from mrisr.methods.model_files import save_model
from mrisr.volumes.io import Volume, save

TINY = replace(recipe.BASE, model={"features": 4, "blocks": 1}, batch=1, queries=50)


def gradients(folder):
    """Write this process's gradients before and after they are shared."""
    torch.manual_seed(together.rank())
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    network(torch.rand(5, 3)).sum().backward()
    own = [p.grad.clone() for p in network.parameters()]
    sums = together.share(network, 1.0, float(together.rank()))
    shared = [p.grad for p in network.parameters()]
    torch.save((own, shared, sums), folder / f"{together.rank()}.pt")


def work(folder, *arguments):
    """Share gradients, then train together: processes take seconds to start."""
    gradients(folder)
    recipe.TRAIN[:] = [1]
    recipe.long(folder, *arguments)


@pytest.fixture
def heads(tmp_path, monkeypatch):
    """Ground truths of one subject to train on and of those to validate on, smooth."""
    monkeypatch.setattr(recipe, "TRAIN", [1])
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((1, 1, 9, 9, 9), dtype=np.float32))
    data = nn.functional.interpolate(coarse, size=(70, 69, 68), mode="trilinear")[0, 0].numpy()
    save(Volume(data, np.eye(4)), tmp_path / "a.nii.gz")
    for number in (1, *recipe.VAL):
        (tmp_path / f"ds002748_sub-{number:02d}_hr.nii.gz").symlink_to(tmp_path / "a.nii.gz")
    return tmp_path


def test_two_processes_train_one_network_on_from_another(heads):
    """With the mean of their gradients; at once into the part that anneals."""
    start, out = heads / "start", heads / "out"
    recipe.long(heads, TINY, start, "0.002", "0.002")
    (checkpoint,) = start.glob("decay-*.pt")
    before = torch.load(checkpoint)
    together.run(2, work, heads, TINY, out, "0", "0.01", checkpoint)

    (own, shared, sums), (theirs, also, others) = (torch.load(heads / f"{n}.pt") for n in range(2))
    assert sums == others == [2.0, 1.0] and not torch.equal(own[0], theirs[0])
    for a, b, mean, same in zip(own, theirs, shared, also, strict=True):
        assert torch.equal(mean, same)
        torch.testing.assert_close(mean, (a + b) / 2)

    (end,) = out.glob("decay-*.pt")
    after, stable = torch.load(end), torch.load(out / "stable.pt")
    assert after["step"] > before["step"] and after["seconds"] - before["seconds"] > 0.6
    assert torch.equal(stable["network"]["last.weight"], before["network"]["last.weight"])
    assert not torch.equal(after["average"]["last.weight"], before["average"]["last.weight"])
    with (out / "log.csv").open(newline="") as opened:
        parts = [row["part"] for row in csv.DictReader(opened)]
    assert parts == ["before: stable", "before: decay", "decay"]
    settings = json.loads((out / "recipe.json").read_text())
    assert settings["processes"] == 2 and settings["before"]["processes"] == 1


def test_a_training_goes_on_from_weights_without_an_optimizer(heads, monkeypatch):
    """As from a checkpoint, but that the learning rate rises first."""
    network = recipe.built(TINY)
    said = {"steps": 400, "seconds": 60.0, "training": {"batch": 1}}
    save_model(heads / "shipped", network.state_dict(), [], said)
    rates, advance = [], recipe.Run.advance
    monkeypatch.setattr(
        recipe.Run, "advance", lambda run, rate: rates.append(rate) or advance(run, rate)
    )
    recipe.long(heads, TINY, heads / "out", "0", "0.003", heads / "shipped")
    assert rates[0] == pytest.approx(0.01, abs=1e-3) and rates[1] > rates[0]
    before, *_, last = recipe.read_log(heads / "out/log.csv")
    assert (before["part"], before["step"], before["core_seconds"]) == (
        "before: decay",
        "400",
        "60",
    )
    assert last["part"] == "decay" and int(last["step"]) == 400 + len(rates)
    settings = json.loads((heads / "out/recipe.json").read_text())
    assert settings["begun"] == recipe.WEIGHTS and settings["before"] == said["training"]
    stable = torch.load(heads / "out/stable.pt")
    assert torch.equal(stable["average"]["last.weight"], network.state_dict()["last.weight"])

    (heads / "shipped" / recipe.TRAINING).write_text((heads / "out/log.csv").read_text())
    *_, rows = recipe.starting_point(heads / "shipped")
    assert [row["part"] for row in rows] == ["before: decay", "decay"]
    (checkpoint,) = (heads / "out").glob("decay-*.pt")
    assert recipe.starting_point(checkpoint)[0]["fresh"] == 400


def test_a_log_may_have_several_rows_at_the_end_of_an_annealing():
    rates = {"before: decay": [0.5, 0.0], "decay": [0.9, 0.3, 0.0001, 0.0]}
    log = [{"part": part, "rate": str(rate)} for part, each in rates.items() for rate in each]
    assert [len(rows) for rows in recipe.lineage(log)] == [2, 4]
    again = [{"part": part, "rate": "1"} for part in ("stable", "stable")]
    tried = [*again, *log[2:], again[0], log[2], log[5]]  # the first annealing does not count
    assert recipe.lineage(tried) == [[*again, again[0]], [log[2], log[5]]]


def test_one_process_keeps_its_gradients(tmp_path):
    together.run(1, gradients, tmp_path)
    own, shared, sums = torch.load(tmp_path / "0.pt")
    assert sums == [1.0, 0.0] and all(map(torch.equal, own, shared))


def test_every_variant_builds_and_says_what_it_changes():
    for name, variant in recipe.VARIANTS.items():
        network = recipe.built(variant)
        assert network(torch.rand(1, 1, 5, 5, 5), torch.rand(1, 3, 3), torch.ones(1, 3)).shape == (
            1,
            3,
        )
        said = search_results.settings(name, recipe.BASE)
        assert (said == "-") == (variant == recipe.BASE), name


def test_the_decoder_without_gates_does_not_know_where_it_is():
    lr = torch.rand(1, 1, 6, 6, 6)
    flat = torch.ones_like(lr)  # nothing but the place differs between queries
    places = torch.rand(1, 20, 3) * 0.5
    for gate in (True, False):
        network = recipe.built(replace(recipe.BASE, gate=gate))
        nn.init.ones_(network.last.weight)
        network.encoder.end.weight.data.fill_(0.0)
        network.encoder.end.weight.data[:, :, 1, 1, 1] = 1.0
        network.encoder.blocks = nn.Sequential()
        network.encoder.amplify = 0.0
        inner = network(flat, places, torch.ones(1, 3))
        assert (inner.std() > 1e-4) == gate
    assert torch.isfinite(network(lr, places, torch.ones(1, 3))).all()


def test_the_page_says_how_much_the_seed_changes(tmp_path):
    columns = [f"{k} {s}" for k in search_results.KINDS for s in search_results.SCALES]
    rows = [("base", 2.5, 0.4), ("seed_1", 2.5, 0.5), ("no_gate", 2.5, 0.1), ("seed_2", 10, 0.9)]
    with (tmp_path / "search.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, ["variant", "start", "minutes", "steps", *columns])
        writer.writeheader()
        for name, minutes, gain in rows:
            row = {"variant": name, "start": 0, "minutes": minutes, "steps": 9}
            writer.writerow(row | dict.fromkeys(columns, gain))
    text = "\n".join(search_results.section(tmp_path))
    assert "`base` with 2 seeds: means of the plain crops from +0.40 to +0.50 dB" in text
    assert "difference than 0.10 dB means nothing" in text
    found = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert found == ["seed_1", "base", "no_gate", "seed_2"] and "\n10 minutes.\n" in text
    assert "| `no_gate` | no gate: " in text and "| 9 in 2.5 min |" in text
    assert search_results.section(tmp_path / "none") == []
