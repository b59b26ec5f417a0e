"""Which recipe trains the residual network best in equal time, and the long training with it.

Each variant is trained for the same processor time, of one thread, so that other work on the
machine does not count. It is evaluated on the validation subjects: PSNR over cubic at several
scales, and the same with their intensities changed as no training does it: as another contrast (the
brightest tissue is the darkest), and as a noisier scanner of another gain. Test subjects are not
seen.

    python bench/recipe.py search FOLDER --minutes 3 --variants base muon
    python bench/recipe.py search FOLDER --minutes 3 --variants late --start RUN/decay-900.pt
    python bench/recipe.py long FOLDER --variant base --out RUN --stable 600 --decay 120
    python bench/recipe.py long FOLDER --out RUN --start workflow/weights/cubic_residual --stable 60

`FOLDER` holds ground truths, `ds002748_sub-01_hr.nii.gz` and so on.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import nn

import together
from mrisr.common import devices, seeds
from mrisr.common.files import atomic, write_json
from mrisr.degrade.resample import (
    lr_positions,
    lr_size,
    resampling_matrix,
    slice_profile_matrix,
    upsample,
)
from mrisr.methods import method as methods
from mrisr.volumes.io import load

TRAIN = [1, 6, 7, 8, 9, 13, 15, 16, 17, 22, 25, 26, 27, 28, 29, 30]
VAL = [2, 4]
SEED = 2022
# HR samples around a window that the spline's recursive filter still feels (0.268^10 < 2e-6).
REACH = 10
# Edges of the crops that variants are compared in, from random weights and from trained ones, which
# differ by less; and the share of the learning rate that the latter begin with.
EDGES, ANNEALED = (64, 120), 0.4
# The log of a long training beside the weights that come with mrisr.
TRAINING = "training.csv"
# What a training began from, in its settings.
WEIGHTS, CHECKPOINT = "weights", "checkpoint"
# In a log, of the parts of the training that this one began from.
BEFORE = "before: "
# A learning rate below this share of the highest one has been annealed.
OVER = 0.01
# Seconds between evaluations and between checkpoints of a long training.
EVALUATED, SAVED = 300, 180


@dataclass(frozen=True)
class Recipe:
    """How a variant is trained.

    Attributes:
        model: Hyper-parameters over the method's own.
        batch: LR patches a step, of each process.
        patch: Their edge in LR voxels.
        queries: HR voxels of a patch.
        margin: LR voxels at its faces where none are drawn.
        scales: Lowest and highest.
        aniso: Share of patches with a scale of its own along each axis.
        thick: Share of patches with thick slices along one axis, some with gaps.
        flips: Whether patches are mirrored.
        turns: Whether axes are permuted.
        gain: Whether the loss is relative to the brightness of the subject.
        even: Whether all scales weigh alike in the loss.
        contrast: Share of patches whose intensities are changed by a random curve.
        noise: Share of patches with noise added.
        loss: `l1`, `charbonnier` or `mse`.
        optimizer: `adam` or `muon`.
        rate: Learning rate (of Adam).
        muon: Learning rate of Muon's matrices.
        schedule: `cosine`, `constant`, or `stable` (constant, then a last part that decays).
        warm: Share of the time in which the learning rate rises.
        decay: Share of the time of the last part, of `stable`.
        average: Decay of the weights' average.
        clip: Norm that gradients are cut to.
        foreground: Whether patches lie in the head.
        planar: Whether blocks convolve in planes.
        gate: Whether the decoder knows where between LR voxels a query lies.
        subjects: How many are trained on; 0 for all.
        seed: Of weights and batches.
        start: Factor of the weights of each block's second convolution at the start, and all of
            them drawn after He et al.; 0 for torch's own way.
        precision: Of convolutions and linear layers in training: `float32` or `bfloat16`, which a
            processor with AMX trains in half of the time.
    """

    model: dict = field(default_factory=dict)
    batch: int = 8
    patch: int = 12
    queries: int = 2000
    margin: float = 0.0
    scales: tuple[float, float] = (2, 4)
    aniso: float = 0.0
    thick: float = 0.0
    flips: bool = True
    turns: bool = False
    gain: bool = True
    even: bool = False
    contrast: float = 0.0
    noise: float = 0.0
    loss: str = "l1"
    optimizer: str = "adam"
    rate: float = 2e-3
    muon: float = 0.01
    schedule: str = "stable"
    warm: float = 0.03
    decay: float = 0.3
    average: float = 0.99
    clip: float = 0.0
    foreground: bool = True
    planar: bool = False
    gate: bool = True
    subjects: int = 0
    seed: int = SEED
    start: float = 0.0
    precision: str = "float32"


BASE = Recipe()
VARIANTS: dict[str, Recipe] = {
    "base": BASE,
    "muon": replace(BASE, optimizer="muon"),
    "muon_03": replace(BASE, optimizer="muon", muon=0.03),
    "rate_1": replace(BASE, rate=1e-3),
    "rate_4": replace(BASE, rate=4e-3),
    "no_flips": replace(BASE, flips=False),
    "turns": replace(BASE, turns=True),
    "absolute": replace(BASE, gain=False),
    "patch_16": replace(BASE, patch=16, batch=4, queries=4000),
    "patch_8": replace(BASE, patch=8, batch=24, queries=700),
    "patch_10": replace(BASE, patch=10, batch=14, queries=1200),
    "patch_20": replace(BASE, patch=20, batch=2, queries=8000),
    "queries_4000": replace(BASE, queries=4000),
    "queries_1000": replace(BASE, queries=1000),
    "margin": replace(BASE, margin=2),
    "mse": replace(BASE, loss="mse"),
    "charbonnier": replace(BASE, loss="charbonnier"),
    "anywhere": replace(BASE, foreground=False),
    "contrast": replace(BASE, contrast=0.3),
    "noise": replace(BASE, noise=0.3),
    "aniso": replace(BASE, aniso=0.25),
    "thick": replace(BASE, thick=0.2),
    "cosine": replace(BASE, schedule="cosine"),
    "wide": replace(BASE, model={"features": 48, "blocks": 3}),
    "deep": replace(BASE, model={"features": 24, "blocks": 10}),
    "small": replace(BASE, model={"features": 24, "blocks": 6}),
    "large": replace(BASE, model={"features": 40, "blocks": 8}),
    "batch_4": replace(BASE, batch=4),
    "planar": replace(BASE, model={"features": 56, "blocks": 4}, planar=True),
    "gain": replace(BASE, model={"gain": 0.2}),
    "start": replace(BASE, start=0.3),
    "start_gain": replace(BASE, start=0.3, model={"gain": 0.2}),
    "channels_32": replace(BASE, model={"channels": 32}),
    "long": replace(
        BASE,
        model={"gain": 0.03},
        batch=4,
        rate=1.5e-3,
        turns=True,
        even=True,
        contrast=0.2,
        noise=0.2,
        aniso=0.15,
        scales=(1.8, 4.2),
        average=0.999,
    ),
    "batch_16": replace(BASE, batch=16),
    "no_gate": replace(BASE, gate=False),
    "no_high_pass": replace(BASE, model={"amplify": 0.0}),
    "no_average": replace(BASE, average=0.0),
    "constant": replace(BASE, schedule="constant"),
    "subjects_4": replace(BASE, subjects=4),
    "seed_1": replace(BASE, seed=1),
    "seed_2": replace(BASE, seed=2),
}
LONG = VARIANTS["long"]
LATE = replace(LONG, contrast=0.1, noise=0.05, aniso=0.1)
OWN = replace(LATE, turns=False, even=False)
PLAIN = replace(LONG, contrast=0, noise=0, aniso=0)
VARIANTS |= {
    # Of a trained network: what may go on better than it began.
    "late": LATE,
    "late_axes": replace(LATE, turns=False),
    "late_uneven": replace(LATE, even=False),
    "late_own": OWN,
    "late_own_bfloat16": replace(OWN, precision="bfloat16"),
    "late_patch_16": replace(OWN, patch=16, batch=2, queries=4000),
    "late_plain": PLAIN,
    "late_plain_muon": replace(PLAIN, optimizer="muon"),
    "late_queries": replace(LONG, queries=8000),
    "late_mse": replace(LONG, loss="mse"),
}


class NoGate(nn.Module):
    """The same factor everywhere.

    Args:
        channels: Factors.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels))

    def forward(self, phase: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        """Places (...), which do not matter -> (..., C)."""
        return self.factor.expand(*phase.shape, -1)


class PlanarBlock(nn.Module):
    """Convolutions in the three planes, ReLU between them, added to their input.

    Args:
        features: Channels.
    """

    def __init__(self, features: int):
        super().__init__()
        shapes = [(3, 3, 1), (1, 3, 3), (3, 1, 3)]
        self.layers = nn.ModuleList(
            nn.Conv3d(features, features, k, padding=[n // 2 for n in k], bias=False)
            for k in shapes
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, x, y, z) -> the same shape."""
        y = self.layers[1](F.relu(self.layers[0](x)))
        return x + self.layers[2](F.relu(y))


def built(recipe: Recipe) -> nn.Module:
    """Return the network of a recipe, its weights drawn."""
    network = methods.get("cubic_residual").build(**recipe.model)
    if recipe.planar:
        encoder = network.encoder
        features = encoder.start.out_channels
        encoder.blocks = nn.Sequential(*(PlanarBlock(features) for _ in encoder.blocks))
    if not recipe.gate:
        channels = network.encoder.end.out_channels
        network.gates = nn.ModuleList(NoGate(channels) for _ in range(3))
    if recipe.start:
        for block in network.encoder.blocks:
            nn.init.kaiming_normal_(block.first.weight)
            nn.init.kaiming_normal_(block.second.weight)
            block.second.weight.data *= recipe.start
        for convolution in (network.encoder.start, network.encoder.end):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
    return network.to(memory_format=torch.channels_last_3d)


class Subjects:
    """Ground truths in memory, and patches of them with LR as the study simulates it.

    Args:
        files: Of the subjects.
    """

    def __init__(self, files: list[Path]):
        self.volumes = [load(file).data for file in files]
        # Brightness without the rare brightest voxels.
        self.gains = [float(v[v > 0.02].mean()) for v in self.volumes]
        self.inside = []
        for volume in self.volumes:
            threshold = 0.3 * volume[volume > 0.02].mean()
            self.inside.append(np.argwhere(volume > threshold).astype(np.int16))

    def patch(self, random: np.random.Generator, recipe: Recipe) -> tuple[np.ndarray, ...]:
        """Draw a patch.

        Returns:
            LR (l, l, l), coordinates (K, 3) in [-1,1], cell (3,), intensities (K,), and the
            brightness of the subject.
        """
        number = int(random.integers(recipe.subjects or len(self.volumes)))
        volume, gain = self.volumes[number], self.gains[number]
        inside = self.inside[number]
        if recipe.foreground:
            centre = inside[random.integers(len(inside))].astype(int)
        else:
            centre = np.array([random.integers(n) for n in volume.shape])
        order = random.permutation(3) if recipe.turns else np.arange(3)
        volume, centre = volume.transpose(order), centre[order]
        flip = random.random(3) < 0.5 if recipe.flips else np.zeros(3, bool)
        volume = volume[tuple(slice(None, None, -1 if f else 1) for f in flip)]
        centre = np.where(flip, np.array(volume.shape) - 1 - centre, centre)

        scales, kinds = draw_scales(random, recipe)
        spans, matrices, places, cell = [], [], [], []
        for axis in range(3):
            n = volume.shape[axis]
            m = lr_size(n, scales[axis])
            kind = kinds[axis]
            at = positions(n, m, kind)
            jitter = random.integers(-(recipe.patch // 4), recipe.patch // 4 + 1)
            start = round(at[centre[axis]]) - recipe.patch // 2 + int(jitter)
            start = min(max(start, 0), m - recipe.patch)
            first, matrix = window(n, m, kind, start, recipe.patch)
            low = start + recipe.margin if start else -1
            high = start + recipe.patch - 1
            high = high - recipe.margin if start + recipe.patch < m else m
            wanted = np.flatnonzero((at >= low) & (at <= high))
            spans.append(slice(first, first + matrix.shape[1]))
            matrices.append(matrix)
            places.append((wanted, at[wanted] - start))
            cell.append(2 * m / n)
        crop = np.ascontiguousarray(volume[tuple(spans)])
        crop = change(crop, gain, random, recipe)
        lr = crop
        for matrix in matrices:
            lr = np.tensordot(matrix, lr, axes=(1, 0)).transpose(1, 2, 0)
        chosen, coordinates = [], []
        for axis, (wanted, at) in enumerate(places):
            draw = random.integers(len(wanted), size=recipe.queries)
            chosen.append(wanted[draw] - spans[axis].start)
            coordinates.append((2 * at[draw] + 1) / recipe.patch - 1)
        target = crop[tuple(chosen)]
        coordinates = np.stack(coordinates, axis=-1).astype(np.float32)
        return np.ascontiguousarray(lr), coordinates, np.float32(cell), target, np.float32(gain)

    def batch(self, step: int, recipe: Recipe, *parts: object) -> list[torch.Tensor]:
        """Return what `patch` does, for the patches of a step."""
        random = seeds.generator(*parts, step)
        drawn = [self.patch(random, recipe) for _ in range(recipe.batch)]
        lr, *rest = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        return [lr[:, None], *rest]


def draw_scales(random: np.random.Generator, recipe: Recipe) -> tuple[list[float], list[str]]:
    """Return the scale and the kind of degradation along each axis."""
    low, high = recipe.scales
    which = random.random()
    if which < recipe.aniso:  # one axis or two are left as they are, or all differ
        scales = [round(float(random.uniform(low, high)), 1) for _ in range(3)]
        for axis in random.permutation(3)[: random.integers(3)]:
            scales[axis] = 1.0
        return scales, ["corners"] * 3
    if which < recipe.aniso + recipe.thick:
        scales, kinds = [1.0] * 3, ["corners"] * 3
        axis = int(random.integers(3))
        scales[axis], kinds[axis] = round(float(random.uniform(2, 6)), 1), "profile"
        return scales, kinds
    scale = round(float(random.uniform(low, high)), 1)
    return [scale] * 3, ["corners"] * 3


def positions(n: int, m: int, kind: str) -> np.ndarray:
    """Return where the HR samples of an axis lie among its LR samples, shape (n,)."""
    return lr_positions(n, m, "corners" if kind == "corners" else "centres")


@lru_cache(maxsize=20_000)
def windows(n: int, m: int, kind: str, size: int) -> list[tuple[int, np.ndarray]]:
    """Return, for every first LR sample, the first HR sample needed and the matrix."""
    if kind == "corners":
        matrix = resampling_matrix(n, m)
        centres = np.arange(m) * ((n - 1) / max(m - 1, 1))
        reach = REACH
    else:
        matrix = slice_profile_matrix(n, m)
        centres = (np.arange(m) + 0.5) * n / m - 0.5
        reach = math.ceil(1.5 * n / m)
    found = []
    for start in range(m - size + 1):
        first = max(0, math.floor(centres[start]) - reach)
        last = min(n, math.ceil(centres[start + size - 1]) + reach + 1)
        part = matrix[start : start + size, first:last]
        found.append((first, np.ascontiguousarray(part, dtype=np.float32)))
    return found


def window(n: int, m: int, kind: str, start: int, size: int) -> tuple[int, np.ndarray]:
    """Return the first HR sample that some LR samples are made of, and their matrix."""
    return windows(n, m, kind, size)[start]


def change(
    crop: np.ndarray, gain: float, random: np.random.Generator, recipe: Recipe
) -> np.ndarray:
    """Return intensities as another contrast or a noisier scanner would have them."""
    if random.random() < recipe.contrast:
        top = 2.5 * gain
        v = np.clip(crop / top, 0, None)
        # A monotonous curve, or one that turns around inside the head: air stays 0.
        power = np.exp(random.uniform(-0.7, 0.7))
        curve = np.where(v > 0, np.maximum(v, 1e-6) ** power, 0)
        if random.random() < 0.5:
            peak = random.uniform(0.3, 0.9)
            curve = np.where(curve < peak, curve / peak, np.maximum(0, 2 - curve / peak))
            curve *= peak
        crop = (top * curve).astype(np.float32)
    if random.random() < recipe.noise:
        sigma = float(np.exp(random.uniform(np.log(0.005), np.log(0.06)))) * gain
        noise = random.standard_normal(crop.shape, dtype=np.float32)
        crop = np.abs(crop + np.float32(sigma) * noise)
    return crop


class Muon(torch.optim.Optimizer):
    """Momentum whose step for a matrix has equal singular values (Jordan 2024).

    A convolution's weights are a matrix (outputs, inputs x taps).
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Take a step."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                held = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(held, group["momentum"]).flatten(1)
                update = orthogonal(update) * max(1, update.shape[0] / update.shape[1]) ** 0.5
                p.add_(update.view(p.shape), alpha=-group["lr"])


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Return the nearest matrix with singular values of about 1 (Newton-Schulz)."""
    x = matrix / (matrix.norm() + 1e-7)
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if turned else x


def optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a network's parameters."""
    if recipe.optimizer == "adam":
        return [torch.optim.Adam(network.parameters(), recipe.rate)]
    inner = [m.weight for m in network.encoder.modules() if isinstance(m, nn.Conv3d)]
    inner.append(network.mix.weight)
    chosen = {id(p) for p in inner}
    rest = [p for p in network.parameters() if id(p) not in chosen]
    return [Muon(inner, recipe.muon), torch.optim.Adam(rest, recipe.rate)]


def share(recipe: Recipe, t: float) -> float:
    """Return the learning rate after the share `t` of the time, relative to its highest."""
    warm = min(1.0, t / recipe.warm) if recipe.warm else 1.0
    if recipe.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(t, 1)))
    if recipe.schedule == "stable":
        left = (1 - t) / recipe.decay
        return warm * min(1.0, max(0.0, left))
    return warm


def loss_of(
    output: torch.Tensor,
    target: torch.Tensor,
    cell: torch.Tensor,
    gain: torch.Tensor,
    recipe: Recipe,
) -> torch.Tensor:
    """Return the loss, of intensities relative to the brightness of the subject or not."""
    apart = output - target
    if recipe.gain:
        apart = apart * (0.2 / gain[:, None])
    if recipe.even:  # the error of cubic interpolation is about proportional to the scale
        apart = apart * (1.5 * cell.mean(dim=1, keepdim=True))
    if recipe.loss == "mse":
        return 20 * apart.square().mean()
    if recipe.loss == "charbonnier":
        return (apart.square() + 1e-4).sqrt().mean() - 1e-2
    return apart.abs().mean()


class Run:
    """A training.

    Args:
        recipe: How.
        subjects: Of the training.
    """

    def __init__(self, recipe: Recipe, subjects: Subjects):
        self.recipe, self.subjects = recipe, subjects
        torch.manual_seed(recipe.seed)
        self.network = built(recipe)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimizers = optimizers(self.network, recipe)
        self.highest = [group["lr"] for its in self.optimizers for group in its.param_groups]
        self.step, self.seconds, self.began = 0, 0.0, 0.0
        # Step at which the optimisers were new.
        self.fresh = 0
        # Seconds of the last step that are not in `seconds` yet: after the gradients were shared.
        self.after = 0.0

    def advance(self, rate: float) -> float:
        """Take a step at a relative learning rate; return the loss.

        Of several processes each takes the next batch, and all the same step.
        """
        begun = time.process_time()
        groups = [group for its in self.optimizers for group in its.param_groups]
        for group, highest in zip(groups, self.highest, strict=True):
            group["lr"] = highest * rate
        number = self.step * together.count() + together.rank()
        lr, coordinates, cell, target, gain = self.subjects.batch(
            number, self.recipe, self.recipe.seed, "train"
        )
        with devices.products(lr.device, self.recipe.precision):
            output = self.network(lr, coordinates, cell)
        loss = loss_of(output.float(), target, cell, gain, self.recipe)
        for its in self.optimizers:
            its.zero_grad(set_to_none=True)
        loss.backward()
        now = time.process_time()
        total, seconds = together.share(
            self.network, float(loss.detach()), self.after + now - begun
        )
        begun = now
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        for its in self.optimizers:
            its.step()
        self.step += 1
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        self.seconds += seconds
        self.after = time.process_time() - begun
        return total / together.count()

    def state(self) -> dict:
        """Return what a resumed run needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [its.state_dict() for its in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "began": self.began,
            "fresh": self.fresh,
        }

    def begin(self, state: dict) -> None:
        """Begin with the averaged weights of a state.

        Blocks that it lacks do nothing at first. An optimiser goes on where it fits the state's.
        """
        kept = state["average"]
        for name, value in self.network.state_dict().items():
            if name in kept:
                value.copy_(kept[name])
            elif name.endswith("second.weight"):
                value.zero_()
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.step, self.seconds = state["step"], 0.0
        if kept.keys() == self.average.keys() and len(state["optimizers"]) == len(self.optimizers):
            for its, old in zip(self.optimizers, state["optimizers"], strict=True):
                its.load_state_dict(old)

    def resume(self, state: dict) -> None:
        """Go on from a state; where it has weights alone, with new optimisers."""
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        if state["optimizers"]:
            for its, kept in zip(self.optimizers, state["optimizers"], strict=True):
                its.load_state_dict(kept)
        self.step, self.seconds, self.began = state["step"], state["seconds"], state["began"]
        self.fresh = state.get("fresh", 0)


class Evaluation:
    """PSNR over cubic in crops of the validation subjects, as they are and changed.

    Args:
        volumes: Ground truths.
        edge: Of the crops in HR voxels.
        scales: Evaluated.
        kinds: Of changes: `plain`, `contrast`, `noisy`.
    """

    def __init__(self, volumes, edge=64, scales=(2, 3, 4), kinds=("plain", "contrast", "noisy")):
        self.cases = []
        for number, volume in enumerate(volumes):
            for kind in kinds:
                hr = changed(volume, kind, number)
                for scale in scales:
                    lr = hr
                    for axis in range(3):
                        n = hr.shape[axis]
                        matrix = resampling_matrix(n, lr_size(n, scale)).astype(np.float32)
                        lr = np.moveaxis(np.tensordot(matrix, lr, axes=(1, axis)), 0, axis)
                    cubic = upsample(lr, hr.shape)
                    self.cases.append((number, kind, scale, *cut(hr, lr, cubic, edge)))

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[tuple[str, float], float]:
        """Return the mean gain in dB by kind and scale."""
        gains: dict[tuple[str, float], list[float]] = {}
        for _, kind, scale, hr, lr, cubic, axes, cell in self.cases:
            features = network.encode(torch.from_numpy(lr)[None, None])[0]
            sr = network.on_grid(features, axes, cell).numpy()
            ours, theirs = ((its - hr) ** 2 for its in (sr, cubic))
            gains.setdefault((kind, scale), []).append(10 * np.log10(theirs.mean() / ours.mean()))
        return {key: float(np.mean(values)) for key, values in gains.items()}


def changed(volume: np.ndarray, kind: str, number: int) -> np.ndarray:
    """Return a volume as another contrast or as of a noisier scanner."""
    if kind == "plain":
        return volume
    gain = float(volume[volume > 0.02].mean())
    if kind == "contrast":  # cerebrospinal fluid is the brightest
        v = volume / (2 * gain)
        return np.where(volume > 0.1 * gain, 0.15 * np.exp(-1.5 * v), 0).astype(np.float32)
    random = seeds.generator("noisy", number)
    noise = random.standard_normal(volume.shape, dtype=np.float32)
    return np.abs(2 * volume + np.float32(0.05 * 2 * gain) * noise)


def cut(hr, lr, cubic, edge):
    """Return the middle of the volumes, LR with a margin of four voxels."""
    part, low, axes, cell = [], [], [], []
    for n, m in zip(hr.shape, lr.shape, strict=True):
        first = (n - edge) // 2
        at = lr_positions(n, m)
        start = max(0, math.floor(at[first]) - 6)
        end = min(m, math.ceil(at[first + edge - 1]) + 7)
        part.append(slice(first, first + edge))
        low.append(slice(start, end))
        where = (2 * (at[first : first + edge] - start) + 1) / (end - start) - 1
        axes.append(torch.tensor(where, dtype=torch.float32))
        cell.append(2 * m / n)
    hr, cubic = hr[tuple(part)], cubic[tuple(part)]
    return hr, np.ascontiguousarray(lr[tuple(low)]), cubic, axes, cell


def averaged(run: Run) -> nn.Module:
    """Return the network with the averaged weights."""
    network = built(run.recipe)
    network.load_state_dict(run.average)
    return network.eval()


def search(
    folder: Path, names: list[str], minutes: float, out: Path, start: Path | None = None
) -> None:
    """Train the variants one after the other and write a row each.

    Args:
        folder: Ground truths.
        names: Of the variants.
        minutes: Of a processor, for each variant.
        out: Table that rows are added to.
        start: What all begin from, see `starting_point`, at a rate that falls to 0 at once;
            default random weights.
    """
    train = Subjects([folder / f"ds002748_sub-{n:02d}_hr.nii.gz" for n in TRAIN])
    held_out = [load(folder / f"ds002748_sub-{n:02d}_hr.nii.gz").data for n in VAL]
    evaluate = Evaluation(held_out, edge=EDGES[start is not None])
    for name in names:
        run = Run(VARIANTS[name], train)
        before = 0
        if start is not None:
            run.begin(starting_point(start)[0])
            before = run.step
        while run.seconds < 60 * minutes:
            t = run.seconds / (60 * minutes)
            if start is None:
                run.advance(share(run.recipe, t))
            else:  # it rises first, for the optimiser may be a new one
                run.advance(ANNEALED * min(1.0, (run.step - before + 1) / 50) * (1 - t))
        gains = evaluate(averaged(run))
        row = {"variant": name, "start": before, "minutes": minutes, "steps": run.step - before}
        row |= {f"{kind} {scale}": round(v, 3) for (kind, scale), v in gains.items()}
        append(out, row)
        print(*row.values(), sep="\t", flush=True)


def variant_of(settings: Mapping[str, object]) -> str:
    """Return the name of the variant with the settings of a `recipe.json`."""
    for name, variant in VARIANTS.items():
        fields = json.loads(json.dumps(asdict(variant)))
        if all(settings[key] == value for key, value in fields.items() if key in settings):
            return name
    raise SystemExit(f"no variant of bench/recipe.py has these settings: {dict(settings)}")


def chain(settings: dict) -> list[dict]:
    """Return the settings of a training, after those of the trainings that it began from."""
    found = [settings]
    while "before" in found[0]:
        found.insert(0, found[0]["before"])
    return found


def starting_point(start: Path) -> tuple[dict, dict, list[dict]]:
    """Return what a training begins from: a state, its settings, and the rows of the log up to it.

    Args:
        start: Checkpoint of a long training, beside its log; or the folder of shipped weights,
            which hold no optimisers: new ones are used, and the learning rate rises first.
    """
    if start.is_dir():
        said = json.loads((start / "model.json").read_text(encoding="utf-8"))
        weights = load_file(start / "model.safetensors")
        state = {"network": weights, "average": {k: v.clone() for k, v in weights.items()}}
        state |= {"optimizers": [], "began": 0.0, "fresh": said["steps"]}
        state |= {"step": said["steps"], "seconds": said["seconds"]}
        return state, said["training"], read_log(start / TRAINING)
    state = torch.load(start, weights_only=True)
    settings = json.loads((start.parent / "recipe.json").read_text(encoding="utf-8"))
    parts = lineage(read_log(start.parent / "log.csv"))
    return state, settings, [row for part in parts for row in part]


def read_log(file: Path) -> list[dict]:
    """Return the rows of a training's log, none without a file."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


class Clock:
    """How far a part of a training has come: by processor time, or by the hour of the day.

    Args:
        until: Such as `09:10`, or processor minutes such as `30`.
        begun: Processor seconds of the training when the part began.
    """

    def __init__(self, until: str, begun: float):
        self.begun, self.start = begun, time.time()
        self.end = self.budget = None
        if ":" in until:
            now = datetime.now()
            hour, minute = map(int, until.split(":"))
            self.end = now.replace(hour=hour, minute=minute, second=0).timestamp()
        else:
            self.budget = 60 * float(until)

    def __call__(self, seconds: float) -> float:
        """Return the share that is over, of a training that took so many processor seconds."""
        if self.budget is not None:
            return (seconds - self.begun) / self.budget if self.budget else 1.0
        return (time.time() - self.start) / max(self.end - self.start, 1.0)


def long(
    folder: Path,
    recipe: Recipe,
    out: Path,
    stable: str,
    decay: str | None,
    start: Path | None = None,
) -> None:
    """Train on, from the last checkpoint if there is one, and anneal at the end.

    The learning rate is constant in the stable part, which can be taken up again at any time, and
    falls to 0 in a last part that begins from the stable part's end and does not change it.

    Args:
        folder: Ground truths.
        recipe: How.
        out: Checkpoints, weights and log.
        stable: When the stable part ends, see `Clock`.
        decay: When the last part ends; None for none.
        start: What to begin from, see `starting_point`; this training's log goes on from there.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = asdict(recipe) | {"processes": together.count()}
    if start is not None:
        state, settings["before"], rows = starting_point(start)
        settings["begun"] = WEIGHTS if start.is_dir() else CHECKPOINT
    first = together.rank() == 0
    if first:
        write_json(out / "recipe.json", settings)
    run = Run(recipe, Subjects([folder / f"ds002748_sub-{n:02d}_hr.nii.gz" for n in TRAIN]))
    held_out = Subjects([folder / f"ds002748_sub-{n:02d}_hr.nii.gz" for n in VAL])
    fixed = replace(BASE, batch=16)
    validation = [held_out.batch(step, fixed, "validation") for step in range(4)]
    evaluate = Evaluation(held_out.volumes, kinds=("plain",))
    if first and start is not None and not (out / "log.csv").exists():
        run.resume(state)
        if not rows:  # weights whose log was not kept: they are annealed
            rows = [row_of(run, "decay", 0.0, [], validation, evaluate)]
        for row in rows:
            append(out / "log.csv", row | {"part": BEFORE + row["part"].removeprefix(BEFORE)})
        keep(out / "stable.pt", run.state())
    together.wait()
    annealing = out / "decay.pt"
    for part, until in (("stable", stable), ("decay", decay)):
        if until is None:
            break
        file = out / f"{part}.pt"
        if part == "stable" and annealing.exists():
            continue
        if file.exists():
            run.resume(torch.load(file, weights_only=True))
        clock = Clock(until, run.seconds if part == "stable" or not file.exists() else run.began)
        if part == "decay" and not file.exists():
            run.began = run.seconds
        follow(run, part, clock, out, validation, evaluate)
        together.wait()
    if first and annealing.exists():
        annealing.replace(out / f"decay-{run.step}.pt")


def lineage(log: Sequence[Mapping[str, str]]) -> list[list[Mapping[str, str]]]:
    """Return the rows of a log that led to its last weights, by part.

    The stable part goes on without the annealings that were tried on the way: the last one counts.

    Args:
        log: Rows of `log.csv`; `part` begins with `BEFORE` in those of the training that this one
            began from.
    """
    rates = [float(row.get("rate", 1)) for row in log]
    ended = [False, *(rate < OVER and later > rate for rate, later in pairwise(rates))]
    annealings = accumulate(ended)  # that had ended before each row
    placed = zip(log, annealings, strict=True)
    groups = groupby(placed, key=lambda at: (at[0]["part"], at[1]))
    parts = [[row for row, _ in rows] for _, rows in groups]
    stable = [row for rows in parts for row in rows if row["part"] == "stable"]
    before = [rows for rows in parts if rows[0]["part"].startswith(BEFORE)]
    annealed = parts[-1:] if parts[-1][0]["part"] == "decay" else []
    return [*before, *([stable] if stable else []), *annealed]


def follow(run: Run, part: str, clock: Clock, out: Path, validation: list, evaluate) -> None:
    """Train one part, and write checkpoints, weights and the log as it goes."""
    losses, saved, told = [], time.time(), time.time()
    first = together.rank() == 0
    while True:
        t = clock(run.seconds)
        over = t >= 1
        if over and not losses:  # nothing to train: a part of no minutes, or one that had ended
            if first:
                keep(out / f"{part}.pt", run.state())
            return
        if not over:
            warm = min(1.0, (run.step - run.fresh + 1) / 100)
            rate = warm * (1.0 if part == "stable" else max(0.0, 1 - t))
            losses.append(run.advance(rate))
        if first and (over or time.time() - told > EVALUATED):
            told = time.time()
            row = row_of(run, part, rate, losses, validation, evaluate)
            append(out / "log.csv", row)
            print(*row.values(), flush=True)
            save_weights(out / f"{part}.safetensors", run.average)
            losses = []
        if first and (over or time.time() - saved > SAVED):
            saved = time.time()
            keep(out / f"{part}.pt", run.state())
        if over:
            return


def row_of(run: Run, part: str, rate: float, losses: list, validation: list, evaluate) -> dict:
    """Return the row of the log on the averaged weights; no training loss where nothing was."""
    network = averaged(run)
    row = {
        "part": part,
        "step": run.step,
        "core_seconds": round(run.seconds),
        "clock": datetime.now().strftime("%H:%M:%S"),
        "rate": round(rate, 4),
        "train_loss": round(float(np.mean(losses)), 6) if losses else "",
        "val_loss": round(validate(network, validation, run.recipe), 6),
    }
    return row | {f"{k} {s}": round(v, 3) for (k, s), v in evaluate(network).items()}


@torch.no_grad()
def validate(network: nn.Module, batches: list, recipe: Recipe) -> float:
    """Return the mean loss of the validation patches."""
    values = []
    for lr, coordinates, cell, target, gain in batches:
        values.append(float(loss_of(network(lr, coordinates, cell), target, cell, gain, recipe)))
    return float(np.mean(values))


def append(file: Path, row: dict) -> None:
    """Add a row to a CSV file."""
    new = not file.exists()
    with file.open("a", newline="") as opened:
        writer = csv.DictWriter(opened, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def keep(file: Path, state: dict) -> None:
    """Write a checkpoint, whole or not at all."""
    with atomic(file) as temporary:
        torch.save(state, temporary)


def save_weights(file: Path, state: dict) -> None:
    """Write weights, whole or not at all."""
    with atomic(file) as temporary:
        temporary.write_bytes(save({name: value.contiguous() for name, value in state.items()}))


def main() -> None:
    """Search, or train long."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    each = commands.add_parser("search", help="variants, one after the other")
    each.add_argument("folder", type=Path)
    each.add_argument("--minutes", type=float, default=3, help="of a processor, a variant")
    each.add_argument("--variants", nargs="+", default=list(VARIANTS))
    each.add_argument("--out", type=Path, default=Path("recipe.csv"))
    each.add_argument("--start", type=Path, help="what all begin from, see `starting_point`")
    one = commands.add_parser("long", help="one variant, resumable")
    one.add_argument("folder", type=Path)
    one.add_argument("--variant", default="long")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--stable", required=True, help="until HH:MM, or minutes of a processor")
    one.add_argument("--decay", help="likewise; default none")
    one.add_argument("--start", type=Path, help="what to begin from, see `starting_point`")
    one.add_argument("--processes", type=int, default=1, help="that train it together")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "search":
        search(
            arguments.folder,
            arguments.variants,
            arguments.minutes,
            arguments.out,
            arguments.start,
        )
    else:
        recipe = VARIANTS[arguments.variant]
        ends = arguments.stable, arguments.decay
        if arguments.processes > 1 and any(":" in (end or "") for end in ends):
            parser.error("--processes: give minutes of a processor, all processes together")
        work = arguments.folder, recipe, arguments.out, *ends, arguments.start
        together.run(arguments.processes, long, *work)


if __name__ == "__main__":
    main()
