"""The training engine of all supervised methods.

See `mrisr.train.patches` for the batches of volumes, `mrisr.train.slices` for those of slices.
"""

import copy
import hashlib
import logging
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from mrisr.common import devices, seeds
from mrisr.common.errors import TrainingError
from mrisr.methods.method import hr_patch
from mrisr.methods.model_files import FILES, save_model
from mrisr.methods.training_length import steps_per_epoch, total_steps
from mrisr.networks.tiles import convert
from mrisr.train import loop
from mrisr.train.augment import brightness
from mrisr.train.checkpoints import Checkpoints
from mrisr.train.finished import Finished
from mrisr.train.learner import Learner
from mrisr.train.patches import GridBatches, QueryBatches, draw_patches
from mrisr.train.slices import SliceBatches, load_slices

log = logging.getLogger("mrisr")

# Precision of products in convolutions and linear layers; weights and sums are always float32.
PRECISION = {"float32": "ieee", "tf32": "tf32", "bfloat16": "tf32"}


@dataclass(frozen=True)
class TrainingJob:
    """One model to be trained.

    Attributes:
        name: The method's name.
        build: Function that makes the network, with random weights.
        scales: The scale trained on, or the lowest and the highest.
        spec: The method's settings: `model`, `training`, `network`, `coordinates`.
        degradation: The study's degradation.
        seed: The study's seed.
        train: HR volumes of the training subjects (or the subject's LR files, if a model is made
            per subject).
        val: HR volumes of the validation subjects.
        checkpoints: Folder for checkpoints.
        train_denoised: Denoised training slices of a 2-D study, if the loss has a denoising term.
        val_denoised: Denoised validation slices, likewise.
        code: Digest of the code; with other code the training starts anew.
        device: Device to train on.
        masks: Masks of the data in the LR files of one subject, one each; empty if all voxels are
            data.
        start: Weights that the training begins with, on the CPU; random ones if there are none.
        checksums: SHA-256 of all these files. The finished model is kept aside under them.
    """

    name: str
    build: Callable[[], nn.Module]
    scales: Sequence[float]
    spec: dict
    degradation: dict
    seed: int
    train: Sequence[str]
    val: Sequence[str]
    checkpoints: str
    code: str = ""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    train_denoised: Sequence[str] = ()
    val_denoised: Sequence[str] = ()
    masks: Sequence[str] = ()
    start: Mapping[str, torch.Tensor] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        state: Weights of the best model on the validation set (with `keep: last`, of the last
            step), on the CPU.
        log: One row an epoch: epoch, step, train_loss, val_loss, learning_rate.
        info: See `mrisr.train.loop.run`; `collapsed` says that the kept model's output is constant.
            Also died (the output became constant, which ended the training), restarts, passes over
            the patches, precision (of the training) and precision_asked.
    """

    state: dict[str, torch.Tensor]
    log: list[dict]
    info: dict


def train(
    job: TrainingJob,
    stop: loop.Stop = lambda step: False,
    observe: loop.Observer = lambda step, network, seconds: None,
) -> Trained | None:
    """Train a network with L1 loss and Adam, and keep the best model on the validation set.

    The published settings are those of ArSSR 4.1.3 (Adam(0.9, 0.999, 1e-8), 1e-4 halved every 200
    epochs). `training.denoise` adds the mean squared difference to the denoised ground truth, times
    its weight (Van Veen et al. 2022, 3.1). `training.keep: last` keeps the weights of the last
    step. The training continues from a checkpoint if there is one, and ends with the same weights
    as an uninterrupted one. A network never recovers if its output is constant (the published ReLU
    head can die), or no more than that of its skip connection. It then starts anew with another
    seed, at most `training.restarts` times. With `training.start_from` it begins with given weights
    in place of random ones.

    Args:
        job: What to train.
        stop: Asked after every step, with the steps done; True writes a checkpoint and ends.
        observe: Called after every step with the steps done, the network, and the seconds of
            training so far, without those of `observe`. It may evaluate the network and must not
            change it.

    Returns:
        The trained model, or None if `stop` ended the training.

    Raises:
        TrainingError: The loss is not finite.
        InputError: A volume is smaller than a patch.
    """
    asked = job.spec["training"]["precision"]
    job = supported(job)
    training = job.spec["training"]
    patches, held_out = _load(job)
    devices.arithmetic(PRECISION[training["precision"]])
    batches = _batches(job, patches, "train")
    validation = _validation_set(job, held_out)
    per_epoch = steps_per_epoch(training, len(patches))

    checkpoints = Checkpoints(job.checkpoints, _fingerprint(job, patches, held_out))
    state = checkpoints.load()
    if state is not None:
        log.info("%s: continuing after step %d", job.name, state["step"])
    else:
        state = {"attempt": 0, **loop.fresh()}
    while True:
        finished = _attempt(job, state, batches, validation, per_epoch, checkpoints, stop, observe)
        if finished is None:
            return None
        if not finished["died"] or state["attempt"] >= training["restarts"]:
            break
        log.warning(
            "%s: the output became constant after step %d; starting anew with another seed",
            *(job.name, state["step"]),
        )
        again = {"attempt": state["attempt"] + 1, "seconds": state["seconds"]}
        state = {**loop.fresh(), **again}
    info = {
        **finished,
        "passes": round(finished["steps"] * training["batch"] / len(patches), 2),
        "precision": training["precision"],
        "precision_asked": asked,
    }
    return Trained(state["best"]["weights"], state["rows"], info)


class Interruption:
    """Stops a training once SIGTERM or SIGUSR1 came, which Slurm sends before its time limit."""

    def __init__(self) -> None:
        """Start to receive these signals."""
        self.received: list[int] = []
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda number, frame: self.received.append(number))

    def __call__(self, step: int) -> bool:
        """Return whether to stop after this step."""
        return bool(self.received)

    def check(self, name: str) -> None:
        """Raise a TrainingError if a signal ended the training of this name."""
        if self.received:
            raise TrainingError(
                f"{name}: ended by {signal.Signals(self.received[0]).name}; a checkpoint is kept,"
                " run again to continue"
            )


def train_and_save(
    job: TrainingJob,
    folder: str | Path,
    about: dict,
    trainer: Callable[..., Trained | None] = train,
) -> None:
    """Train and write `model.safetensors`, `model.json` and `log.csv` into `folder`.

    SIGTERM and SIGUSR1 (which Slurm sends before its time limit) write a checkpoint and end the
    job; the next run continues from it. A finished training is not done again.

    Args:
        job: What to train.
        folder: `models/<method>/<trained>`.
        about: What `model.json` says in addition to what the training tells.
        trainer: The engine; a method may bring another one.

    Raises:
        TrainingError: Ended by a signal, or the loss is not finite.
    """
    basis = [job.name, list(job.scales), job.spec, job.degradation, job.seed, job.code]
    # The files by use: a subject's path is the same in the training and the validation set.
    files = [job.train, job.val, job.train_denoised, job.val_denoised, job.masks]
    basis += [list(map(str, part)) for part in files]
    finished = Finished(job.checkpoints, [*basis, sorted(job.checksums.items())])
    if job.checksums and finished.restore(folder):
        return
    interruption = Interruption()
    trained = trainer(job, interruption)
    if trained is None:
        interruption.check(job.name)
    save_model(folder, trained.state, trained.log, {**about, **trained.info})
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    if job.checksums:
        finished.keep([Path(folder) / name for name in FILES])


def supported(job: TrainingJob) -> TrainingJob:
    """Return the job with a precision that the device multiplies in by hardware."""
    training = job.spec["training"]
    if training["precision"] != "bfloat16" or devices.has_bfloat16(job.device):
        return job
    where = devices.this(job.device)
    log.warning("%s: %s has no bfloat16; training in float32", job.name, where)
    return replace(job, spec={**job.spec, "training": {**training, "precision": "float32"}})


def _attempt(
    job: TrainingJob,
    state: dict,
    batches: Callable,
    validation: list,
    per_epoch: int,
    checkpoints: Checkpoints,
    stop: loop.Stop,
    observe: loop.Observer,
) -> dict | None:
    """Train from `state` (changed in place) to the end; None if stopped."""
    training, device = job.spec["training"], job.device
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, whatever the device
        torch.manual_seed(seeds.seed(job.seed, job.name, *job.scales, "init", state["attempt"]))
        network = job.build()
    if job.start and not state["attempt"]:  # what collapsed once begins with random weights
        network.load_state_dict(job.start)
    network = convert(network, device)
    skipped = _skipped(network, validation, training)
    learner = Learner(
        job.name, network, lambda called, batch: _loss(called, *batch, training)[0], training
    )
    task = loop.Task(
        name=job.name,
        training=training,
        network=network,
        optimizer=torch.optim.Adam(
            network.parameters(), training["learning_rate"], fused=device.type == "cuda"
        ),
        per_epoch=per_epoch,
        total=total_steps(training, per_epoch),
        learn=lambda step: learner(batches(step)),
        validate=lambda network: _validate(network, validation, training, skipped),
        held_out="validation loss",
        ends_constant=True,
    )
    info = loop.run(task, state, checkpoints, stop, observe)
    if info is None:
        return None
    died = info["ended"] == "constant output"
    return {**info, **learner.said, "died": died, "restarts": state["attempt"]}


def _load(job: TrainingJob) -> tuple[Sequence, Sequence]:
    """Return training and validation patches: cubes as one tensor, or in 2-D whole slices."""
    training, where = job.spec["training"], job.device
    if _flat(job):
        size = round(training["lr_patch"] * max(job.scales))
        train = load_slices(job.train, job.train_denoised, size)
        val = load_slices(job.val, job.val_denoised, size)
        log.info(
            "%s: %d training and %d validation slices, tiles of %d^2, on %s",
            *(job.name, len(train), len(val), training["lr_patch"], where),
        )
        return train, val
    query = job.spec["network"] == "query"
    largest = max(job.scales)
    size = round(training["lr_patch"] * largest) if query else hr_patch(training, largest)
    inside = bool(training.get("foreground"))
    cut = (training["patches_per_subject"], size, training["border"], job.seed, inside)
    train, val = draw_patches(job.train, *cut), draw_patches(job.val, *cut)
    log.info(
        "%s: %d training and %d validation patches of %d^3 from %d and %d subjects, on %s",
        *(job.name, len(train), len(val), size, len(job.train), len(job.val), where),
    )
    return train, val


def _flat(job: TrainingJob) -> bool:
    return job.degradation["kind"] == "slice"


def _batches(
    job: TrainingJob, patches: Sequence, use: str
) -> GridBatches | QueryBatches | SliceBatches:
    parts = (job.seed, job.name, *job.scales, use)
    training, network = job.spec["training"], job.spec["network"]
    if use != "train":  # the model is chosen on patches as they are
        training = {**training, "augment": None}
    coordinates = job.spec.get("coordinates", "edges")
    if _flat(job):
        how = (network, coordinates, job.degradation, job.device)
        return SliceBatches(patches, job.scales, training, *how, *parts)
    if network == "query":
        return QueryBatches(
            patches, job.scales, training, coordinates, job.degradation, job.device, *parts
        )
    return GridBatches(patches, job.scales[0], training, job.degradation, job.device, *parts)


def _validation_set(job: TrainingJob, patches: Sequence) -> list:
    """Draw the validation batches once, so that losses compare between epochs."""
    batches = _batches(job, patches, "val")
    steps = -(-len(patches) // job.spec["training"]["batch"])
    return [batches(step) for step in range(steps)]


def _loss(
    network: nn.Module, inputs: tuple, target: torch.Tensor | tuple, training: dict
) -> tuple[torch.Tensor, torch.Tensor]:
    truth, *denoised = target if isinstance(target, tuple) else (target,)
    with devices.products(truth.device, training["precision"]):
        output = network(*inputs)
    output = output.float()
    weight = _weight(inputs, training)
    loss = (
        l1_loss(output * weight, truth * weight) if weight is not None else l1_loss(output, truth)
    )
    if denoised:
        loss = loss + training["denoise"]["weight"] * mse_loss(output, denoised[0])
    return loss, output


def _weight(inputs: tuple, training: dict) -> torch.Tensor | None:
    """Return the weight of each patch of a batch in the loss, shape (B, 1); None if all are alike.

    With `training.relative`, errors are relative to the brightness of the patch. Otherwise subjects
    whose brightest voxel is far above the rest would hardly count. With `training.even_scales`,
    errors are relative to the scale, because the error of interpolation is about proportional to
    it.
    """
    weight = None
    if training.get("relative"):
        weight = 0.2 / brightness(inputs[0])[:, None]
    if training.get("even_scales") and len(inputs) == 3:
        even = 1.5 * inputs[2].mean(dim=1, keepdim=True)
        weight = even if weight is None else weight * even
    if weight is not None and len(inputs) == 1:
        weight = weight.view(-1, *[1] * (inputs[0].ndim - 1))
    return weight


@torch.no_grad()
def _skipped(network: nn.Module, batches: list, training: dict) -> list[torch.Tensor] | None:
    """Return the output of a network without its learned part; None if that is constant.

    The learned part of a network that adds to an interpolation may die unseen: the output still
    varies, but is only the interpolation. With all parameters 0, the interpolation is left.
    """
    silent = copy.deepcopy(network).eval()
    for parameter in silent.parameters():
        parameter.zero_()
    outputs: list[torch.Tensor] = []
    for inputs, target in batches:
        output = _loss(silent, inputs, target, training)[1]
        # Not finite where weights are normalised: this tells nothing about a skip connection.
        if not output.isfinite().all() or (not outputs and output.std() < loop.COLLAPSED_STD):
            return None
        outputs.append(output)
    return outputs


@torch.no_grad()
def _validate(
    network: nn.Module, batches: list, training: dict, skipped: list[torch.Tensor] | None
) -> tuple[float, float]:
    """Return the mean loss over the validation set, and the spread of what was learned.

    The spread is the standard deviation of all outputs, less `skipped` (see `_skipped`).
    """
    sums = torch.zeros(3, dtype=torch.float64, device=batches[0][0][0].device)
    count = 0
    for index, (inputs, target) in enumerate(batches):
        value, output = _loss(network, inputs, target, training)
        output = output.double()
        if skipped is not None:
            output -= skipped[index]
        sums += torch.stack([value.double(), output.sum(), (output**2).sum()])
        count += output.numel()
    loss, total, squares = sums.tolist()
    variance = max(0.0, squares / count - (total / count) ** 2)
    return loss / len(batches), variance**0.5


def _fingerprint(job: TrainingJob, *patches: Sequence) -> dict:
    kept = loop.lasting(job.spec["training"])
    start = {"start": _digest(list(job.start.values()))} if job.start else {}
    return {
        **start,
        "job": [job.name, list(job.scales), job.degradation, job.seed, job.code],
        "spec": {**job.spec, "training": kept},
        "data": [_digest(part) for part in patches],
        "subjects": [Path(file).name for file in (*job.train, *job.val)],
    }


def _digest(patches: Sequence) -> str:
    content = hashlib.sha256()
    for patch in patches:
        content.update(np.ascontiguousarray(patch).data)
    return content.hexdigest()
