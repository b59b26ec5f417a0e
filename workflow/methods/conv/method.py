"""Conv of the Coord paper: EDSR with its pixel-shuffle tail (Lim et al. 2017), for one scale."""

import torch
from torch import nn

from mrisr.networks.edsr import EDSR


class Conv(nn.Module):
    """Maps LR images to HR images of `factor` times their size.

    Args:
        features: Channels throughout.
        blocks: Residual blocks.
        factor: Scale, an integer.
    """

    def __init__(self, features: int, blocks: int, factor: int):
        super().__init__()
        self.encoder = EDSR(features, blocks)
        self.tail = nn.Sequential(
            nn.Conv2d(features, features * factor**2, 3, padding=1),
            nn.PixelShuffle(factor),
            nn.Conv2d(features, 1, 3, padding=1),
        )
        self.factor = factor
        self.halo = self.encoder.halo + 2
        self.channels_alive = 3 * features * factor**2

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """LR images (N, 1, h, w) -> HR images (N, 1, factor h, factor w)."""
        return self.tail(self.encoder(lr))


def build(features: int = 64, blocks: int = 16, factor: int = 2) -> Conv:
    """Build the network; 1,367,553 parameters as published.

    Args:
        features: Channels throughout.
        blocks: Residual blocks.
        factor: Scale that it is for, an integer.
    """
    return Conv(features, blocks, factor)
