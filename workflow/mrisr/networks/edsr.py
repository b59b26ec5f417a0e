"""EDSR without its tail: the encoder of 2-D networks (Lim et al. 2017).

Modules are named as in the authors' code (head, body), one channel in place of three.
"""

import torch
from torch import nn


class ResBlock(nn.Module):
    """Two convolutions with a ReLU between them, added to their input."""

    def __init__(self, features: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) -> the same shape."""
        return x + self.body(x)


class EDSR(nn.Module):
    """Residual blocks between two convolutions, with a skip around the blocks.

    1,219,264 parameters as published (64 features, 16 blocks).

    Args:
        features: Channels throughout.
        blocks: Residual blocks.
    """

    def __init__(self, features: int, blocks: int):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(1, features, 3, padding=1))
        self.body = nn.Sequential(
            *(ResBlock(features) for _ in range(blocks)),
            nn.Conv2d(features, features, 3, padding=1),
        )
        self.halo = 2 + 2 * blocks
        self.channels_alive = 4 * features

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """LR images (N, 1, h, w) -> features (N, C, h, w)."""
        x = self.head(lr)
        return x + self.body(x)
