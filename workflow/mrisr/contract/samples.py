"""Test material for methods: small volumes, their LR input, and a place for files."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from mrisr.degrade.resample import degrade
from mrisr.methods import method as methods
from mrisr.methods.method import Method
from mrisr.volumes.io import Volume

DEGRADATION = {"kernel": "spline", "grid": "corners", "antialias": None}
SHAPES = {
    **{"volume": (24, 26, 28), "through_plane": (24, 26, 28)},
    **{"stacks": (24, 24, 24), "slice": (1, 26, 28)},
}
#: Voxels of a ground truth of the demo study.
DEMO_VOXELS = 1.1e6


@dataclass(frozen=True)
class Sample:
    """A method in its demo size, with volumes to try it on.

    Attributes:
        method: The method.
        network: Network of the method with random weights, none of them 0, or None.
        truth: Ground truth, in [0,1].
        lr: LR volume, or stacks by name, at `scale`.
        scale: Up-sampling scale k.
    """

    method: Method
    network: nn.Module | None
    truth: Volume
    lr: Volume | dict[str, Volume]
    scale: float


def sample(name: str, plugins: Sequence[str | Path], scale: float | None = None) -> Sample:
    """Return a method with a volume to reconstruct at a scale, by default 2 if it can."""
    method = methods.get(name, preset="demo", search=plugins)
    scale = scale or min(claimed(method), key=lambda candidate: abs(candidate - 2), default=2)
    kind = "volume" if method.input == "ground_truth" else method.input
    volume = truth(SHAPES[kind])
    low = degrade(volume, scale, {"kind": kind, **DEGRADATION})
    lr = volume if method.input == "ground_truth" else low.get("", low)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = method.build().eval() if method.learned else None
        for weights in network.parameters() if network is not None else ():
            if not weights.any():  # weights of 0 would hide faults
                nn.init.normal_(weights, std=0.1)
    return Sample(method, network, volume, lr, scale)


@lru_cache(maxsize=4)
def truth(shape: tuple[int, ...]) -> Volume:
    """Return a smooth random volume, least value above 0 and greatest 1."""
    data = ndimage.gaussian_filter(np.random.default_rng(0).random(shape), 0.7)
    return Volume((data / data.max()).astype(np.float32), np.diag([0.9, 1, 1.1, 1]))


def claimed(method: Method) -> list[float]:
    """Return the scales to try a method at: those of a list that it does not refuse."""
    scales = [1.5, 2, 3, 4]
    if method.models == "all_scales":
        scales = sorted({*scales, *method.spec["scale_range"]} - {1})
    return [k for k in scales if k > 1 and method.refuses(k) is None]


@contextmanager
def without_gpu() -> Iterator[None]:
    """Hide all GPUs from torch."""
    found, torch.cuda.is_available = torch.cuda.is_available, lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = found


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call, over all threads."""
    start = time.process_time()
    function()
    return time.process_time() - start
