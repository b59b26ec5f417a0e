"""IREM (Wu et al. 2021): a network that is the image of one subject, made from its stacks."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mrisr.common.errors import ConfigError
from mrisr.networks import positions
from mrisr.reconstruct.apply import Query
from mrisr.train import one_subject
from mrisr.train.engine import Trained, TrainingJob
from mrisr.volumes.io import Volume

LAYERS, SKIPS = 18, (7, 13)


class IREM(nn.Module):
    """Fourier features and 18 fully connected layers (IREM 2.2, Fig. 2).

    Args:
        encoding: 2L, the number of Fourier features, even.
        width: Neurons of the hidden layers.
        head: `linear`, or `relu`: batch normalisation and ReLU after the last layer too.
    """

    def __init__(self, encoding: int, width: int, head: str):
        super().__init__()
        # Saved with the weights: the mapping is drawn once, and the space is the subject's.
        self.register_buffer("frequencies", torch.randn(encoding // 2, 3))
        self.register_buffer("centre", torch.zeros(3))
        self.register_buffer("extent", torch.ones(()))
        inputs = [
            encoding if layer == 1 else width + encoding if layer in SKIPS else width
            for layer in range(1, LAYERS)
        ]
        self.layers = nn.ModuleList(nn.Linear(n, width) for n in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in inputs)
        self.last: nn.Module = nn.Linear(width, 1)
        if head == "relu":
            self.last = nn.Sequential(self.last, nn.BatchNorm1d(1), nn.ReLU())

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions in mm (N, 3) -> intensities (N,)."""
        # In float32 whatever the precision of the products: 2 pi B p are many turns.
        with torch.autocast(positions.device.type, enabled=False):
            turns = 2 * math.pi * ((positions - self.centre) / self.extent) @ self.frequencies.T
            features = torch.cat([turns.cos(), turns.sin()], dim=-1)
        x = features
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True), start=1):
            if number in SKIPS:
                x = torch.cat([x, features.to(x.dtype)], dim=-1)
            x = F.relu(norm(layer(x)))
        return self.last(x).squeeze(-1)


def build(encoding: int = 256, width: int = 256, head: str = "linear") -> IREM:
    """Build the network; 1,258,497 parameters, and 2 more with the head as published.

    Args:
        encoding: 2L, the number of Fourier features, even.
        width: Neurons of the hidden layers.
        head: `linear`, or `relu`, the paper's words taken literally: all 18 layers are followed by
            batch normalisation and ReLU.

    Raises:
        ConfigError: Another head.
    """
    if head not in ("linear", "relu"):
        raise ConfigError(f"irem: model.head: '{head}' is unknown; known: linear, relu")
    return IREM(encoding, width, head)


def train(job: TrainingJob, stop: Callable[[int], bool]) -> Trained | None:
    """Train on all voxels of a subject's stacks."""
    return one_subject.train(job, stop)


def reconstruct(lr: Mapping[str, Volume], query: Query, model: IREM) -> np.ndarray:
    """Ask for the intensity of every voxel of the SR grid."""
    return positions.query(model, query.shape, query.affine, query.device)
