"""ArSSR (Wu et al. 2023) with the SRResNet encoder.

Modules are named so that the authors' checkpoints (plain state dicts) load by key.
"""

import torch
from torch import nn

from mrisr.networks.arssr import ArSSR


class Residual(nn.Module):
    """Two convolutions with a ReLU between them, added to their input."""

    def __init__(self, features: int):
        super().__init__()
        first = nn.Sequential(nn.Conv3d(features, features, 3, padding=1), nn.ReLU())
        self.m = nn.Sequential(first, _convolution(features, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, x, y, z) -> the same shape."""
        return x + self.m(x)


class SRResNet(nn.Module):
    """Residual network without its up-scaling layers (Ledig et al. 2017); 4,317,376 parameters.

    Args:
        features: Channels between the convolutions.
        blocks: Residual blocks.
        channels: Channels of the feature map.
    """

    def __init__(self, features: int, blocks: int, channels: int):
        super().__init__()
        self.features = nn.Sequential(
            _convolution(1, features),
            *(Residual(features) for _ in range(blocks)),
            _convolution(features, features),
            _convolution(features, channels),
        )
        self.halo = 3 + 2 * blocks
        self.channels_alive = 3 * features + channels

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> features (N, C, x, y, z)."""
        return self.features(lr)


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 3, padding=1))


def build(
    features: int = 64,
    blocks: int = 18,
    channels: int = 128,
    width: int = 256,
    head: str = "relu",
) -> ArSSR:
    """Build ArSSR with the SRResNet encoder; 4,682,052 parameters as published.

    Args:
        features: Channels of the encoder.
        blocks: Residual blocks.
        channels: Channels of the feature map.
        width: Neurons of the decoder's hidden layers.
        head: `relu` (published) or `linear`: what follows the decoder's last layer.
    """
    return ArSSR(SRResNet(features, blocks, channels), channels, width, head)
