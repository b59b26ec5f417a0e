"""ArSSR (Wu et al. 2023) with the residual dense encoder.

Modules are named so that the authors' checkpoints (plain state dicts) load by key.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mrisr.networks import ArSSR


class DenseLayer(nn.Module):
    """Convolution and ReLU, concatenated to their input."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, growth, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, x, y, z) -> (N, C + growth, x, y, z)."""
        return torch.cat([x, F.relu(self.conv(x))], dim=1)


class ResidualDenseBlock(nn.Module):
    """Dense layers, fused by a 1 x 1 x 1 convolution, added to the input."""

    def __init__(self, features: int, growth: int, layers: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(DenseLayer(features + i * growth, growth) for i in range(layers))
        )
        self.lff = nn.Conv3d(features + layers * growth, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, x, y, z) -> the same shape."""
        return x + self.lff(self.layers(x))


class RDN(nn.Module):
    """Residual dense network without its up-scaling layer (ArSSR 3.3); 5,918,784 parameters."""

    def __init__(self, features: int, growth: int, blocks: int, layers: int, channels: int):
        super().__init__()
        self.sfe1 = nn.Conv3d(1, features, 3, padding=1)
        self.sfe2 = nn.Conv3d(features, features, 3, padding=1)
        self.rdbs = nn.ModuleList(
            ResidualDenseBlock(features, growth, layers) for _ in range(blocks)
        )
        self.gff = nn.Sequential(
            nn.Conv3d(features * blocks, features, 1),
            nn.Conv3d(features, features, 3, padding=1),
        )
        self.output = nn.Conv3d(features, channels, 3, padding=1)
        self.halo = 4 + blocks * layers
        # The blocks' outputs wait for their fusion while one block concatenates.
        self.channels_alive = features * (blocks + 2) + 2 * (features + layers * growth)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> features (N, C, x, y, z)."""
        first = self.sfe1(lr)
        x = self.sfe2(first)
        local = []
        for block in self.rdbs:
            x = block(x)
            local.append(x)
        return self.output(self.gff(torch.cat(local, dim=1)) + first)


def build(
    features: int = 64,
    growth: int = 64,
    blocks: int = 8,
    layers: int = 3,
    channels: int = 128,
    width: int = 256,
    head: str = "relu",
) -> ArSSR:
    """Build ArSSR with the RDN encoder; 6,283,460 parameters as published.

    Args:
        features: Channels of the encoder.
        growth: Channels that a dense layer adds.
        blocks: Residual dense blocks.
        layers: Dense layers a block.
        channels: Channels of the feature map.
        width: Neurons of the decoder's hidden layers.
        head: `relu` (published) or `linear`: what follows the decoder's last layer.
    """
    return ArSSR(RDN(features, growth, blocks, layers, channels), channels, width, head)
