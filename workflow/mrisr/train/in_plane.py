"""Training of 2-D networks on one scan's own in-plane slices (SMORE, ECLARE).

An in-plane slice has the resolution that the slice axis lacks. Patches of slices are the HR. They
are reduced along one in-plane axis by the scan's own slice profile and gap: that is the LR. All
slices lie in memory. The draws of a step depend on the seed and the step's number alone, so that a
resumed run sees the same batches.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import l1_loss

from mrisr.common import devices, seeds
from mrisr.common.errors import InputError
from mrisr.common.files import sha256
from mrisr.degrade.acquisition import PROFILE, of_scale
from mrisr.degrade.through_plane import profile_matrix
from mrisr.train import loop
from mrisr.train.augment import AIR
from mrisr.train.checkpoints import Checkpoints
from mrisr.train.engine import PRECISION, Trained, TrainingJob, supported
from mrisr.train.learner import Learner
from mrisr.volumes.io import Volume, load

log = logging.getLogger("mrisr")

# Patches of the fixed sample whose loss chooses the weights; batches of it have their own numbers.
SAMPLE, SAMPLE_STEPS = "sample", 8
# Fewer thick rows in a patch are no image.
LEAST_ROWS = 3


def slice_axis(volume: Volume) -> int:
    """Return the axis that runs through thick slices: that of the longest voxel edge."""
    return int(np.argmax(volume.voxel_size))


class InPlanePairs:
    """Patches of in-plane slices, and what the scanner would make of them along one axis.

    Args:
        scan: The LR scan in [0,1], with one axis of thick slices.
        share: Thickness of a slice over the distance between slices.
        profile: Slice profile, see `mrisr.degrade.through_plane.profile_matrix`.
        training: The method's training settings: `batch`; `lr_patch`, thick rows of a patch, fewer
            where the scan is too small; `patch`, its pixels along the other axis, likewise.
        device: Where batches are made.
        seed_parts: Values that seed the draws.

    Raises:
        InputError: The slices have too few pixels for a patch.
    """

    def __init__(
        self,
        scan: Volume,
        share: float,
        profile: str,
        training: dict,
        device: torch.device,
        *seed_parts: object,
    ):
        axis = slice_axis(scan)
        slices = np.ascontiguousarray(np.moveaxis(scan.data, axis, 0), dtype=np.float32)
        edges = np.delete(scan.voxel_size, axis)
        self.slices = torch.from_numpy(slices).to(device)
        self.batch, self.parts = training["batch"], seed_parts
        # By the in-plane axis that is reduced: shape of an HR patch, and the matrix.
        self.shapes: list[tuple[int, int]] = []
        self.matrices: list[torch.Tensor] = []
        for reduced, edge in enumerate(edges):
            ratio = scan.voxel_size[axis] / edge
            pixels, others = slices.shape[1 + reduced], slices.shape[2 - reduced]
            rows = min(training["lr_patch"], int(pixels / ratio))
            if rows < LEAST_ROWS:
                raise InputError(
                    f"slices of {slices.shape[1]} x {slices.shape[2]} pixels, {ratio:.3g} times as"
                    " fine as their distance: too few to learn from; crop less"
                )
            n = min(pixels, round(rows * ratio))
            matrix = profile_matrix(n, rows, share * n / rows, profile)
            self.matrices.append(torch.tensor(matrix, dtype=torch.float32, device=device))
            self.shapes.append((n, min(training["patch"], others)))
        foreground = slices > 0.3 * slices[slices > AIR].mean() if (slices > AIR).any() else []
        found = np.argwhere(foreground)
        self.centres = found if len(found) else np.array([slices.shape]) // 2

    def __call__(self, step: object) -> tuple[torch.Tensor, torch.Tensor]:
        """Return LR (B, m, w) and HR (B, n, w) patches of a step."""
        random = seeds.generator(*self.parts, "step", step)
        reduced = int(random.integers(2))
        n, width = self.shapes[reduced]
        size = (n, width) if reduced == 0 else (width, n)
        chosen = self.centres[random.integers(len(self.centres), size=self.batch)]
        patches = []
        for number, *centre in chosen:
            # Anywhere around the place, so that the foreground is not always in the middle.
            start = [
                int(np.clip(c - random.integers(edge), 0, whole - edge))
                for c, edge, whole in zip(centre, size, self.slices.shape[1:], strict=True)
            ]
            part = self.slices[
                int(number), start[0] : start[0] + size[0], start[1] : start[1] + size[1]
            ]
            part = part if reduced == 0 else part.T
            mirrored = [axis for axis in (0, 1) if random.integers(2)]
            patches.append(part.flip(mirrored) if mirrored else part)
        hr = torch.stack(patches)
        return self.matrices[reduced] @ hr, hr


def train(job: TrainingJob, stop: loop.Stop = lambda step: False) -> Trained | None:
    """Train a network on the slices of one scan with L1 loss and Adam.

    A network maps LR patches (N, m, w) and a number of rows n to (N, n, w). The weights with the
    least loss on a fixed sample of patches are kept. They are of the same scan, as there is no
    other; this loss is `val_loss`. The training continues from a checkpoint if there is one, and
    ends with the same weights as an uninterrupted one.

    Args:
        job: `train` is the LR file of one subject, `degradation` and `scales` say how its slices
            were acquired. `spec["training"]`: see `InPlanePairs`, and `epochs`, `steps_per_epoch`,
            `learning_rate`, `precision`, `minutes` and so on.
        stop: Asked after every step, with the steps done; True writes a checkpoint and ends.

    Returns:
        The trained model, or None if `stop` ended the training.

    Raises:
        TrainingError: The loss is not finite.
        InputError: The scan is too small.
    """
    asked = job.spec["training"]["precision"]
    job = supported(job)
    training = job.spec["training"]
    devices.arithmetic(PRECISION[training["precision"]])
    run = _Run(job)
    checkpoints = Checkpoints(job.checkpoints, _fingerprint(job))
    state = checkpoints.load()
    if state is not None:
        log.info("%s: continuing after step %d", job.name, state["step"])
    else:
        state = loop.fresh()
    info = loop.run(run.task, state, checkpoints, stop)
    if info is None:
        return None
    info |= {
        **run.learner.said,
        "restarts": 0,
        "precision": training["precision"],
        "precision_asked": asked,
    }
    return Trained(state["best"]["weights"], state["rows"], info)


class _Run:
    """One training: the network, its optimiser and its data."""

    def __init__(self, job: TrainingJob):
        training = job.spec["training"]
        file, scale = job.train[0], job.scales[0]
        parts = (job.seed, job.name, scale, Path(file).name)
        acquisition = of_scale(job.degradation, scale)
        share = acquisition.thickness / acquisition.spacing
        profile = job.degradation.get("profile", PROFILE)
        try:
            self.pairs = InPlanePairs(load(file), share, profile, training, job.device, *parts)
        except InputError as error:
            raise InputError(f"{file}: {job.name}: {error}") from None
        with torch.random.fork_rng(devices=[]):  # drawn on the CPU, whatever the device
            torch.manual_seed(seeds.seed(*parts, "init"))
            network = job.build().to(job.device)
        self.precision = training["precision"]
        self.device = job.device
        self.sample = [self.pairs(f"{SAMPLE} {number}") for number in range(SAMPLE_STEPS)]
        # No CUDA graph: patches along the two axes differ in shape where pixels are not square.
        self.learner = Learner(job.name, network, self._loss, {**training, "graphs": None})
        self.task = loop.Task(
            name=job.name,
            training=training,
            network=network,
            optimizer=torch.optim.Adam(
                network.parameters(), training["learning_rate"], fused=job.device.type == "cuda"
            ),
            per_epoch=training["steps_per_epoch"],
            total=training["epochs"] * training["steps_per_epoch"],
            learn=lambda step: self.learner(self.pairs(step)),
            validate=self._validate,
            held_out="of a sample",
            pause=10,
        )
        log.info(
            "%s: %d slices of %d x %d, thickness %.2f of their distance, on %s",
            *(job.name, *self.pairs.slices.shape, share, job.device),
        )

    def _asked(self, network: nn.Module, lr: torch.Tensor, n: int) -> torch.Tensor:
        with devices.products(self.device, self.precision):
            return network(lr, n).float()

    def _loss(self, network: nn.Module, pair: tuple) -> torch.Tensor:
        lr, hr = pair
        return l1_loss(self._asked(network, lr, hr.shape[1]), hr)

    @torch.no_grad()
    def _validate(self, network: nn.Module) -> tuple[float, float]:
        """Return the loss of the sample, and the spread of the outputs."""
        found = [self._asked(network, lr, hr.shape[1]) for lr, hr in self.sample]
        losses = [l1_loss(made, hr) for made, (_, hr) in zip(found, self.sample, strict=True)]
        spread = torch.cat([made.flatten() for made in found]).std()
        return float(torch.stack(losses).mean()), float(spread)


def _fingerprint(job: TrainingJob) -> dict:
    kept = loop.lasting(job.spec["training"])
    return {
        "job": [job.name, list(job.scales), job.degradation, job.seed, job.code],
        "spec": {**job.spec, "training": kept},
        "data": {Path(file).name: sha256(file) for file in job.train},
    }
