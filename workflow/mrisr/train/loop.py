"""One loop for every training: learning rate, clock, log, checkpoints and best weights."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mrisr.common.errors import TrainingError
from mrisr.common.storage import storage_problem
from mrisr.train.checkpoints import Checkpoints
from mrisr.train.schedules import learning_rate

log = logging.getLogger("mrisr")

# Outputs that vary less than this (intensities are in [0,1]) mean that the network is constant.
COLLAPSED_STD = 1e-5

Stop = Callable[[int], bool]
Observer = Callable[[int, nn.Module, float], None]
# Choices of `training.clock`: the processor's clock counts all threads of this process alone.
CLOCKS: dict[str, Callable[[], float]] = {
    "processor": lambda: time.process_time(),
    "wall": lambda: time.monotonic(),
}


@dataclass(frozen=True)
class Task:
    """What differs between trainings.

    Attributes:
        name: The method's name.
        training: Training settings of the method.
        network: The network with random weights, on its device.
        optimizer: Optimiser of the network's parameters.
        per_epoch: Steps of an epoch.
        total: Steps of the whole training.
        learn: Returns the loss of the training batch of a step and leaves its gradients in the
            network.
        validate: Returns the validation loss of a network and the spread of its outputs.
        held_out: Name of the validation loss.
        digits: Format of losses in messages.
        pause: Least seconds between the messages of epochs.
        ends_constant: Whether a constant output ends the training.
    """

    name: str
    training: dict
    network: nn.Module
    optimizer: torch.optim.Optimizer
    per_epoch: int
    total: int
    learn: Callable[[int], torch.Tensor]
    validate: Callable[[nn.Module], tuple[float, float]]
    held_out: str = "validation"
    digits: str = ".5f"
    pause: float = 0.0
    ends_constant: bool = False


def fresh() -> dict:
    """Return the state of a training that has not begun."""
    return {"step": 0, "seconds": 0.0, "rows": [], "loss": 0.0, "best": None}


def lasting(training: dict) -> dict:
    """Return the settings that must stay the same for a training to continue."""
    free = {"checkpoint_minutes", "minutes"}
    if training.get("schedule_by") == "time":
        free.remove("minutes")
    return {key: setting for key, setting in training.items() if key not in free}


def run(
    task: Task,
    state: dict,
    checkpoints: Checkpoints,
    stop: Stop,
    observe: Observer = lambda step, network, seconds: None,
) -> dict | None:
    """Train from `state` to the end.

    Args:
        task: What is trained.
        state: See `fresh`, or a checkpoint; changed in place. At the end `best` has the weights.
        checkpoints: Where checkpoints go.
        stop: Asked after every step, with the steps done; True writes a checkpoint and ends.
        observe: Called after every step with the steps done, the network (with averaged weights if
            the training keeps those) and the seconds of training, without those of `observe`.

    Returns:
        What `model.json` says of the training: steps, epochs, epochs_asked, minutes_asked, ended
        (by the epochs, the time budget, an early stop or a constant output), best_epoch,
        val_loss, collapsed, seconds, parameters. None if `stop` ended it.

    Raises:
        TrainingError: The loss is not finite.
        OSError: The checkpoint that `stop` asks for cannot be written.
    """
    training, network, name = task.training, task.network, task.name
    if "network" in state:
        network.load_state_dict(state["network"])
        task.optimizer.load_state_dict(state["optimizer"])
    average = copy.deepcopy(network) if training.get("average") else None
    if average is not None and "average" in state:
        average.load_state_dict(state["average"])
    judged = network if average is None else average
    pairs = [] if average is None else _pairs(average, network)
    device = next(network.parameters()).device
    running = torch.tensor(state["loss"], dtype=torch.float64, device=device)
    minutes, patience = training.get("minutes"), training.get("patience")
    clock = CLOCKS[training.get("clock", "wall")]
    begun, spoke, saved = clock(), time.monotonic(), time.monotonic()

    def save() -> None:
        state["loss"] = float(running)
        state["network"] = network.state_dict()
        state["optimizer"] = task.optimizer.state_dict()
        if average is not None:
            state["average"] = average.state_dict()
        checkpoints.save(state)

    total = task.total
    ended = "epochs"
    while state["step"] < total:
        epoch, at = divmod(state["step"], task.per_epoch)
        rate = learning_rate(training, state["step"], task.per_epoch, state["seconds"])
        for group in task.optimizer.param_groups:
            group["lr"] = rate
        running += _step(task, state["step"])
        state["step"] += 1
        if average is not None:
            _follow(pairs, training["average"], state["step"])

        spent = minutes is not None and state["seconds"] > 60 * minutes
        if at + 1 == task.per_epoch or spent or state["step"] == total:
            row, spread = _row(task, judged, state, float(running) / (at + 1), rate)
            running.zero_()
            last = spent or state["step"] == total
            if time.monotonic() - spoke > task.pause or task.pause == 0 or last:
                spoke = time.monotonic()
                _tell(task, row, state["seconds"])
            late = epoch + 1 - state["best"]["epoch"]
            if task.ends_constant and spread < COLLAPSED_STD:
                ended = "constant output"
            elif spent:
                ended = "time budget"
            elif patience is not None and late >= patience:
                ended = "early stop"
            if ended != "epochs":
                log.info("%s: ended by the %s after step %d", name, ended, state["step"])
                break
        state["seconds"] += clock() - begun
        observe(state["step"], judged, state["seconds"])
        begun, now = clock(), time.monotonic()
        if now - spoke > 30:
            spoke = now
            log.info("%s: step %d of %d", name, state["step"], total)
        if stop(state["step"]):
            save()
            return None
        if now - saved > 60 * training["checkpoint_minutes"]:
            saved = now
            try:
                save()
            except OSError as error:  # days of training are worth more than a checkpoint
                log.warning(
                    "%s: no checkpoint: %s; going on", name, storage_problem(error) or error
                )
    best = state["best"]
    return {
        "steps": state["step"],
        "epochs": round(state["step"] / task.per_epoch, 2),
        "epochs_asked": -(-total // task.per_epoch),
        "minutes_asked": minutes,
        "ended": ended,
        "best_epoch": best["epoch"],
        "val_loss": best["val_loss"],
        "collapsed": best["spread"] < COLLAPSED_STD,
        "seconds": round(state["seconds"], 1),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _step(task: Task, step: int) -> torch.Tensor:
    """Take a step; return its loss, on the device."""
    if not task.network.training:
        task.network.train()
    loss = task.learn(step)
    if clip := task.training.get("clip"):
        nn.utils.clip_grad_norm_(task.network.parameters(), clip)
    task.optimizer.step()
    return loss


def _pairs(average: nn.Module, network: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return each averaged weight with the network's own, both as they lie in memory."""
    latest = network.state_dict()
    return [(value, latest[name]) for name, value in average.state_dict().items()]


@torch.no_grad()
def _follow(pairs: list[tuple[torch.Tensor, torch.Tensor]], decay: float, step: int) -> None:
    """Move averaged weights towards those of a step; faster in the first, worse steps."""
    decay = min(decay, (1 + step) / (10 + step))
    for value, latest in pairs:
        if value.is_floating_point():
            value.lerp_(latest, 1 - decay)
        else:
            value.copy_(latest)


def _row(
    task: Task, network: nn.Module, state: dict, loss: float, rate: float
) -> tuple[dict, float]:
    """Validate, append a row to the log, note the weights if they are to be kept.

    Returns:
        The row, and the spread of the outputs.
    """
    network.eval()
    value, spread = task.validate(network)
    epoch = -(-state["step"] // task.per_epoch)
    row = {
        "epoch": epoch,
        "step": state["step"],
        "train_loss": loss,
        "val_loss": value,
        "learning_rate": rate,
    }
    if not np.isfinite([loss, value]).all():
        raise TrainingError(
            f"{task.name}: the loss is not finite at step {state['step']} (training {loss},"
            f" {task.held_out} {value}); set a smaller training.learning_rate or"
            " training.precision: float32"
        )
    state["rows"].append(row)
    last = task.training.get("keep") == "last"
    if last or state["best"] is None or value < state["best"]["val_loss"]:
        weights = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
        best = {"val_loss": value, "spread": spread, "epoch": epoch}
        state["best"] = {**best, "weights": weights}
    return row, spread


def _tell(task: Task, row: dict, seconds: float) -> None:
    log.info(
        "%s: epoch %d of %d, step %d, training loss %s, %s %s, %.0f s",
        *(task.name, row["epoch"], -(-task.total // task.per_epoch), row["step"]),
        *(format(row["train_loss"], task.digits), task.held_out),
        *(format(row["val_loss"], task.digits), seconds),
    )
