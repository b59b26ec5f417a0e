"""Training of networks that are one subject's image: position in, intensity out (IREM 2.2).

All positions and intensities of a subject's stacks lie on the device; a batch is a gather by
index. The order of an epoch depends on the seed and the epoch's number alone, so that a resumed
run sees the same batches.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss

from mrisr.common import devices, seeds
from mrisr.common.errors import InputError
from mrisr.common.files import sha256
from mrisr.networks.positions import CPU_CHUNK
from mrisr.train import loop
from mrisr.train.checkpoints import Checkpoints
from mrisr.train.engine import PRECISION, Trained, TrainingJob, supported
from mrisr.train.learner import Learner
from mrisr.volumes.io import load
from mrisr.volumes.stacks import positions

log = logging.getLogger("mrisr")

# Number of voxels in a fixed sample. Its loss uses the running statistics of the batch
# normalisation, as reconstruction does. The sample is drawn once, so that losses compare between
# epochs.
SAMPLE = 2**15


@dataclass(frozen=True)
class Samples:
    """Voxels that a network is trained on.

    Attributes:
        positions: Voxel centres in mm, float32, shape (N, 3).
        intensities: Intensities at these positions, float32, shape (N,).
    """

    positions: torch.Tensor
    intensities: torch.Tensor

    @property
    def centre(self) -> torch.Tensor:
        """The middle of the box of all positions, shape (3,)."""
        return (self.positions.amin(dim=0) + self.positions.amax(dim=0)) / 2

    @property
    def half(self) -> float:
        """Half the longest edge of that box in mm: one unit for all axes."""
        return float((self.positions - self.centre).abs().max())


def read_samples(
    stacks: Sequence[str | Path], masks: Sequence[str | Path] = (), device: object = "cpu"
) -> Samples:
    """Read the voxels of a subject's stacks.

    Args:
        stacks: LR files in the common space.
        masks: Masks on the grids of the stacks, nonzero where voxels are data; default everywhere.
        device: Device that holds the samples.

    Raises:
        InputError: Fewer than two voxels are data.
    """
    where, intensities = [], []
    for index, file in enumerate(stacks):
        volume = load(file)
        used = load(masks[index]).data != 0 if masks else np.ones(volume.data.shape, bool)
        where.append(positions(volume.data.shape, volume.affine)[torch.from_numpy(used)])
        intensities.append(torch.from_numpy(volume.data[used]))
    samples = Samples(torch.cat(where).to(device), torch.cat(intensities).to(device))
    if len(samples.intensities) < 2:
        raise InputError(f"{stacks[0]}: no voxel to train on; look at the stacks and their masks")
    return samples


def train(job: TrainingJob, stop: loop.Stop = lambda step: False) -> Trained | None:
    """Train an implicit network on one subject's stacks with MSE and Adam.

    The paper has Adam(0.9, 0.999, 1e-8), 1e-4 halved every 500 epochs, 2500 voxels a batch. A
    network has the buffers `centre` (3,) and `extent` (), which are set from the stacks. It maps
    positions in mm (N, 3) to intensities (N,). The training continues from a checkpoint if there is
    one, and ends with the same weights as an uninterrupted one.

    The weights with the least loss on a fixed sample of voxels are kept. This loss uses the running
    statistics, and is `val_loss`. Its voxels were trained on, as all voxels are.

    Args:
        job: `train` are the LR files of one subject, `masks` those of where they are data.
            `spec["training"]`: `epochs`, `batch`, `learning_rate`, `halve_every`, `precision`,
            `checkpoint_minutes`; `minutes`, after which the training ends wherever it is, and
            `patience`, epochs without a better loss after which it ends (null for neither).
        stop: Asked after every step, with the steps done; True writes a checkpoint and ends.

    Returns:
        The trained model, or None if `stop` ended the training. Its info says how many `epochs`
        of `epochs_asked` were done, and what `ended` it.

    Raises:
        TrainingError: The loss is not finite.
        InputError: A stack is unusable.
    """
    asked = job.spec["training"]["precision"]
    job = supported(job)
    training = job.spec["training"]
    devices.arithmetic(PRECISION[training["precision"]])
    samples = read_samples(job.train, job.masks, job.device)
    run = _Run(job, samples)
    log.info(
        "%s: %d voxels of %d stacks, %d steps an epoch, on %s",
        *(job.name, len(samples.intensities), len(job.train), run.per_epoch, job.device),
    )
    checkpoints = Checkpoints(job.checkpoints, _fingerprint(job))
    state = checkpoints.load()
    if state is not None:
        log.info("%s: continuing after step %d", job.name, state["step"])
    else:
        state = loop.fresh()
    trained = run.to_the_end(state, checkpoints, stop)
    if trained is not None:
        trained.info.update(precision=training["precision"], precision_asked=asked)
    return trained


class _Run:
    """One training: the network, its optimiser and its data."""

    def __init__(self, job: TrainingJob, samples: Samples):
        self.job, self.samples, self.training = job, samples, job.spec["training"]
        self.parts = (job.seed, job.name, *job.scales, Path(job.train[0]).name)
        with torch.random.fork_rng(devices=[]):  # drawn on the CPU, whatever the device
            torch.manual_seed(seeds.seed(*self.parts, "init"))
            network = job.build()
        network.centre.copy_(samples.centre)
        network.extent.fill_(samples.half)
        self.network = network.to(job.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), self.training["learning_rate"], fused=True
        )
        count = len(samples.intensities)
        self.batch = min(self.training["batch"], count)
        # The rest of a pass is left to the next one: batch normalisation wants whole batches.
        self.per_epoch = count // self.batch
        drawn = seeds.generator(*self.parts, "sample").permutation(count)[:SAMPLE]
        self.sample = torch.from_numpy(drawn).to(job.device)
        self.order: tuple[int, torch.Tensor] = (-1, self.sample)

    def to_the_end(self, state: dict, checkpoints: Checkpoints, stop: loop.Stop) -> Trained | None:
        learner = Learner(self.job.name, self.network, self._loss, self.training)
        task = loop.Task(
            name=self.job.name,
            training=self.training,
            network=self.network,
            optimizer=self.optimizer,
            per_epoch=self.per_epoch,
            total=self.training["epochs"] * self.per_epoch,
            learn=lambda step: learner(self._batch(step)),
            validate=self._validate,
            held_out="as asked",
            digits=".3g",
            pause=10,
        )
        info = loop.run(task, state, checkpoints, stop)
        if info is None:
            return None
        info |= {**learner.said, "voxels": len(self.samples.intensities), "restarts": 0}
        return Trained(state["best"]["weights"], state["rows"], info)

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the positions (B, 3) and intensities (B,) of a step."""
        epoch, at = divmod(step, self.per_epoch)
        if self.order[0] != epoch:
            random = torch.Generator().manual_seed(seeds.seed(*self.parts, "order", epoch))
            order = torch.randperm(len(self.samples.intensities), generator=random)
            self.order = (epoch, order.to(self.job.device))
        chosen = self.order[1][at * self.batch : (at + 1) * self.batch]
        return self.samples.positions[chosen], self.samples.intensities[chosen]

    def _loss(self, network: nn.Module, batch: tuple) -> torch.Tensor:
        where, intensities = batch
        return mse_loss(self._asked(network, where), intensities)

    def _asked(self, network: nn.Module, where: torch.Tensor) -> torch.Tensor:
        with devices.products(self.job.device, self.training["precision"]):
            return network(where).float()

    @torch.no_grad()
    def _validate(self, network: nn.Module) -> tuple[float, float]:
        """Return the loss of the sample, and the spread of the outputs."""
        parts = self.sample.split(CPU_CHUNK)
        output = torch.cat([self._asked(network, self.samples.positions[part]) for part in parts])
        value = mse_loss(output, self.samples.intensities[self.sample])
        return float(value), float(output.std())


def _fingerprint(job: TrainingJob) -> dict:
    kept = loop.lasting(job.spec["training"])
    return {
        "job": [job.name, list(job.scales), job.degradation, job.seed, job.code],
        "spec": {**job.spec, "training": kept},
        "data": {Path(file).name: sha256(file) for file in (*job.train, *job.masks)},
    }
