"""Learning rates over the course of a training."""

import math

from mrisr.methods.training_length import total_steps

# one_cycle: the rate rises for this share of the training, from LOWEST times the highest rate. It
# ends at END times the highest.
RISE, LOWEST, END = 0.3, 1 / 25, 1 / 250_000
# stable: the rate falls for this share at the end.
FALL = 0.3


def learning_rate(training: dict, step: int, per_epoch: int, seconds: float) -> float:
    """Return the learning rate of a step.

    Args:
        training: The method's training settings: `learning_rate`, the highest; `schedule`;
            `halve_every`, epochs between halvings (schedule `step`); `warmup`, steps of a linear
            rise; `schedule_by`, steps (of the whole training) or time (of `minutes`).
        step: Steps done before.
        per_epoch: Steps of an epoch.
        seconds: Training time so far.
    """
    highest, kind = training["learning_rate"], training.get("schedule", "step")
    warmup = training.get("warmup") or 0
    if step < warmup:
        highest = highest * (step + 1) / warmup
    if kind == "step":
        return highest * 0.5 ** (step // per_epoch // training["halve_every"])
    if training.get("schedule_by") == "time":
        done = seconds / (60 * training["minutes"])
    else:
        done = step / total_steps(training, per_epoch)
    return highest * _share(kind, min(done, 1.0))


def _share(kind: str, done: float) -> float:
    """Return the learning rate as a share of the highest, when a share `done` is over."""
    if kind == "cosine":
        return _cosine(1, 0, done)
    if kind == "stable":
        return min(1.0, (1 - done) / FALL)
    if done < RISE:
        return _cosine(LOWEST, 1, done / RISE)
    return _cosine(1, END, (done - RISE) / (1 - RISE))


def _cosine(start: float, end: float, done: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
