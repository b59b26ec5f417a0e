"""Options of the loop: each is exact after a resumption, and does what it says."""

import itertools

import pytest
import torch
from torch import nn

from mrisr.methods.training_length import total_steps
from mrisr.train import loop
from mrisr.train.checkpoints import Checkpoints
from mrisr.train.learner import Learner

TRAINING = {"epochs": 4, "learning_rate": 0.05, "halve_every": 2, "checkpoint_minutes": 10**6}
OPTIONS = {
    "cosine": {"schedule": "cosine", "warmup": 5},
    "one_cycle": {"schedule": "one_cycle"},
    "average": {"average": 0.9},
    "clip": {"clip": 0.01},
    "time": {"schedule": "stable", "schedule_by": "time", "minutes": 0.3},
}


def train(folder, stop=None, observe=lambda *_: None, **options):
    training = {**TRAINING, **options}
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    def loss(step, network=network):
        x = torch.rand(16, 3, generator=torch.Generator().manual_seed(step))
        return (network(x)[:, 0] - x.sum(1)).square().mean()

    @torch.no_grad()
    def validate(network):
        return float(loss(10**6, network)), 1.0

    optimizer = torch.optim.Adam(network.parameters(), training["learning_rate"])
    learn = Learner("toy", network, lambda called, step: loss(step, called), training)
    task = loop.Task(
        "toy", training, network, optimizer, 6, total_steps(training, 6), learn, validate
    )
    checkpoints = Checkpoints(folder, loop.lasting(training))
    state = checkpoints.load() or loop.fresh()
    info = loop.run(task, state, checkpoints, lambda step: step == stop, observe)
    return info, state, network


@pytest.fixture
def clock(monkeypatch):
    """A second passes whenever the loop asks for the time: a step takes one."""
    count = itertools.count()
    monkeypatch.setitem(loop.CLOCKS, "wall", lambda: float(next(count)))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_training_ends_as_an_uninterrupted_one(name, tmp_path, clock):
    _, whole, _ = train(tmp_path / "whole", **OPTIONS[name])
    for stop in (4, 11):
        assert train(tmp_path / "parts", stop, **OPTIONS[name])[0] is None
    _, parts, _ = train(tmp_path / "parts", **OPTIONS[name])
    assert whole["rows"] == parts["rows"] and whole["step"] == parts["step"]
    kept = [state["best"]["weights"] for state in (whole, parts)]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])
    _, plain, _ = train(tmp_path / "plain")
    assert plain["rows"] != whole["rows"]


def test_averaged_weights_are_those_that_are_validated_and_kept(tmp_path):
    _, state, network = train(tmp_path, average=0.9, keep="last")
    raw, kept = network.state_dict(), state["best"]["weights"]
    assert not torch.equal(raw["0.weight"], kept["0.weight"])
    network.load_state_dict(kept)
    x = torch.rand(16, 3, generator=torch.Generator().manual_seed(10**6))
    value = (network.eval()(x)[:, 0] - x.sum(1)).square().mean().item()
    assert value == state["rows"][-1]["val_loss"]


def test_the_time_budget_ends_it_and_the_steps_done_are_told(tmp_path, clock):
    info, state, _ = train(tmp_path, minutes=0.15)
    assert info["ended"] == "time budget" and info["minutes_asked"] == 0.15
    # Ten seconds are over 9 before the eleventh step.
    assert info["steps"] == state["rows"][-1]["step"] == 11
    assert info["epochs"] == round(11 / 6, 2) and info["epochs_asked"] == 4


def test_what_observes_a_training_takes_none_of_its_time(tmp_path, clock):
    told = []

    def observe(step, network, seconds):
        told.append(seconds)
        for _ in range(100):
            loop.CLOCKS["wall"]()

    info, _, _ = train(tmp_path, observe=observe)
    assert told == [float(step) for step in range(1, 25)] and info["seconds"] == 24


def test_steps_end_a_training_within_an_epoch_which_is_validated(tmp_path):
    info, state, _ = train(tmp_path, steps=15)
    assert [row["step"] for row in state["rows"]] == [6, 12, 15]
    assert (info["steps"], info["epochs"], info["epochs_asked"]) == (15, 2.5, 3)
    assert info["ended"] == "epochs"


def test_gradients_are_cut(tmp_path):
    _, _, network = train(tmp_path, clip=1e-3)
    assert sum(p.grad.square().sum() for p in network.parameters()) <= 1.01e-6
