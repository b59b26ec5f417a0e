"""SMORE in a simple form: a 2-D network that one scan's own slices teach what lies between them.

In-plane slices are the HR examples. They are blurred and thinned along one in-plane axis as the
scanner did through the plane, which gives the LR. The network is then applied to the slices of the
two views through the plane, and the results are averaged.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mrisr.common.progress import progress
from mrisr.degrade.resample import resampling_matrix, upsample
from mrisr.reconstruct.apply import Query
from mrisr.train import in_plane
from mrisr.train.engine import Trained, TrainingJob
from mrisr.volumes.io import Volume

# Pixels of LR slices that are computed at once.
CHUNK = 2**15


class Block(nn.Module):
    """Two convolutions with a ReLU between them, added to their input."""

    def __init__(self, features: int):
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.second = nn.Conv2d(features, features, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, m, w) -> the same shape."""
        return x + self.second(F.relu(self.first(x)))


class Smore(nn.Module):
    """Residual blocks on the LR grid, whose last layer makes samples between the slices.

    No layer has a bias and all are linear or ReLU: twice the intensities give twice the residual.

    Args:
        features: Channels of the blocks.
        blocks: Residual blocks.
        samples: Samples that are made in each slice, before they are brought to the SR grid.
        amplify: Factor of the high frequencies, LR minus its mean over 3 x 3 pixels.
        gain: Factor of the residual.
    """

    def __init__(self, features: int, blocks: int, samples: int, amplify: float, gain: float):
        super().__init__()
        self.amplify, self.gain, self.samples = amplify, gain, samples
        self.start = nn.Conv2d(2, features, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(features) for _ in range(blocks)))
        self.end = nn.Conv2d(features, samples, 3, padding=1, bias=False)
        nn.init.normal_(self.end.weight, std=0.01)

    def residual(self, lr: torch.Tensor, n: int) -> torch.Tensor:
        """LR slices (N, m, w), whose rows are thick -> what is added to cubic, (N, n, w)."""
        count, m, width = lr.shape
        image = lr[:, None]
        box = torch.ones(1, 1, 3, 3, dtype=lr.dtype, device=lr.device)
        mean = F.conv2d(image, box, padding=1) / F.conv2d(
            torch.ones_like(image[:1]), box, padding=1
        )
        first = self.start(torch.cat([2 * image, self.amplify * (image - mean)], dim=1))
        fine = self.gain * self.end(first + self.blocks(first))
        fine = fine.transpose(1, 2).reshape(count, m * self.samples, width)
        return _matrix(m * self.samples, n, lr) @ fine

    def forward(self, lr: torch.Tensor, n: int) -> torch.Tensor:
        """LR slices (N, m, w), whose rows are thick, with `n` rows (N, n, w)."""
        return _matrix(lr.shape[1], n, lr) @ lr + self.residual(lr, n)


def _matrix(n: int, m: int, like: torch.Tensor) -> torch.Tensor:
    """Return cubic B-spline resampling from `n` to `m` samples that keeps the field of view."""
    return _resampling(n, m, like.dtype, like.device)


@lru_cache(maxsize=16)
def _resampling(n: int, m: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the matrix of `_matrix`, copied to a GPU once: a copy a step would wait for it."""
    with torch.inference_mode(False):  # for trainings too, whoever asks first
        return torch.tensor(resampling_matrix(n, m, "centres"), dtype=dtype, device=device)


def build(
    features: int = 32,
    blocks: int = 4,
    samples: int = 8,
    amplify: float = 20.0,
    gain: float = 0.05,
) -> Smore:
    """Build the network; see `Smore`."""
    return Smore(features, blocks, samples, amplify, gain)


def train(job: TrainingJob, stop: Callable[[int], bool]) -> Trained | None:
    """Train on the in-plane slices of the scan."""
    return in_plane.train(job, stop)


@torch.inference_mode()
def reconstruct(lr: Volume, query: Query, model: Smore) -> np.ndarray:
    """Refine the slice axis in both views through the plane, and average."""
    axis = in_plane.slice_axis(lr)
    n = query.shape[axis]
    data = torch.from_numpy(np.ascontiguousarray(np.moveaxis(lr.data, axis, 0))).to(query.device)
    m = len(data)
    made = (_matrix(m, n, data) @ data.flatten(1)).view(n, *data.shape[1:])
    for view in (1, 2):
        images = data.movedim(view, 0)  # (slices of the view, m, width)
        step = max(1, CHUNK // (m * images.shape[2]))
        for start in progress(range(0, len(images), step), "refine", -(-len(images) // step)):
            part = model.residual(images[start : start + step].contiguous(), n)
            made.narrow(view, start, len(part)).add_(part.movedim(0, view), alpha=0.5)
    found = np.moveaxis(made.cpu().numpy(), 0, axis)
    return upsample(np.ascontiguousarray(found), query.shape, "centres")
