"""Undertrained is a matter of how a model was trained, never of what it scores."""

import pytest

from mrisr.common.errors import InputError
from mrisr.methods.budget import loss_fell, too_short
from mrisr.methods.model_files import known


def log(folder, losses):
    rows = [f"{i},{i * 10},1,{loss},0.1" for i, loss in enumerate(losses, 1)]
    text = "\n".join(["epoch,step,train_loss,val_loss,learning_rate", *rows])
    (folder / "log.csv").write_text(text + "\n")


@pytest.mark.parametrize(
    ("losses", "fell"),
    [
        ([1.0] * 9, None),  # too few to tell
        ([*range(20, 10, -1)], 1 - 11 / 12),
        ([5, 4, 3, 2, 1, 1, 1, 1, 1, 1.5], 0),  # the best was before
        ([2.0] * 18 + [1.99, 1.98], 0.01),
    ],
)
def test_how_far_the_loss_fell_at_the_end(tmp_path, losses, fell):
    log(tmp_path, losses)
    assert loss_fell(tmp_path) == (None if fell is None else pytest.approx(fell))
    (tmp_path / "model.json").write_text('{"steps": 3}')
    assert known(str(tmp_path))["loss_fell"] == loss_fell(tmp_path)


def test_a_damaged_log_is_named(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,val_loss\n1,x\n")
    with pytest.raises(InputError, match=r"log.csv: damaged .*train the model again"):
        loss_fell(tmp_path)
    assert loss_fell(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("description", "goal", "short"),
    [
        ({"steps": 99}, 1000, True),
        ({"steps": 100}, 1000, False),
        ({"steps": 500, "loss_fell": 0.02}, 1000, True),
        ({"steps": 500, "loss_fell": 0.01}, 1000, False),
        ({"steps": 1000, "loss_fell": 0.5}, 1000, False),  # as published
        ({"steps": 5, "loss_fell": 0.02}, None, True),
        ({"steps": 5, "loss_fell": None}, None, False),
        ({"steps": None}, 1000, False),  # imported: nobody knows
        ({"steps": [2000, 50, None]}, 1000, True),  # one of the subjects' models
        ({"steps": [2000, 1000]}, 1000, False),
    ],
)
def test_too_short(description, goal, short):
    assert too_short(description, goal) is short
