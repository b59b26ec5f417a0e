"""Network parts that several methods share.

Modules are named so that the checkpoints of ArSSR's authors (plain state dicts) load by key.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn


class ResCNN(nn.Module):
    """Residual CNN (Du et al. 2020): blocks of convolutions with a skip around each.

    The input is added to the output, over all its channels.

    Args:
        features: Channels between the convolutions.
        blocks: Residual blocks.
        layers: Convolutions a block.
        channels: Output channels: 1 for an image, more for a feature map.
    """

    def __init__(self, features: int, blocks: int, layers: int, channels: int):
        super().__init__()
        self.conv_start = _convolutions(1, features, 1)
        self.names = [f"block{i + 1}" for i in range(blocks)]
        for name in self.names:
            self.add_module(name, _convolutions(features, features, layers))
        self.conv_end = nn.Sequential(nn.Conv3d(features, channels, 3, padding=1))
        self.halo = 2 + blocks * layers
        self.channels_alive = 3 * features + channels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 1, x, y, z) -> (N, C, x, y, z)."""
        x = self.conv_start(image)
        for name in self.names:
            x = x + self.get_submodule(name)(x)
        return image + self.conv_end(x)


def _convolutions(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [nn.Conv3d(inputs if i == 0 else outputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


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
    """Residual dense network without its up-scaling layer (Zhang et al. 2018; ArSSR 3.3).

    Args:
        features: Channels between the blocks.
        growth: Channels that a dense layer adds.
        blocks: Residual dense blocks.
        layers: Dense layers a block.
        channels: Channels of the feature map.
    """

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
        # The outputs of all blocks wait for their fusion while one block concatenates.
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


class Decoder(nn.Module):
    """Eight fully connected layers with a skip over the first four (ArSSR 3.4, Fig. 3)."""

    def __init__(self, channels: int, width: int, head: str):
        super().__init__()
        self.stage_one = nn.Sequential(*_layers([channels, width, width, width, channels]))
        last = _layers([channels, width, width, width, 1])
        self.stage_two = nn.Sequential(*(last if head == "relu" else last[:-1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., C) -> (..., 1)."""
        return self.stage_two(x + self.stage_one(x))


def _layers(widths: list[int]) -> list[nn.Module]:
    pairs = itertools.pairwise(widths)
    return [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())]


class ArSSR(nn.Module):
    """Encoder, trilinear sampling of its features, and decoder (ArSSR eq. 2 and 4)."""

    def __init__(self, encoder: nn.Module, channels: int, width: int, head: str):
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(channels + 3, width, head)
        self.halo: int = encoder.halo  # type: ignore[assignment]
        self.channels_alive: int = encoder.channels_alive  # type: ignore[assignment]

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> features (N, C, x, y, z)."""
        return self.encoder(lr)

    def decode(self, features: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
        """Features (K, C) sampled at coordinates (K, 3) in [-1,1] -> intensities (K,)."""
        return self.decoder(torch.cat([features, coordinates], dim=-1)).squeeze(-1)

    def forward(
        self, lr: torch.Tensor, coordinates: torch.Tensor, cell: torch.Tensor | None = None
    ) -> torch.Tensor:
        """LR patches (N, 1, x, y, z) at coordinates (N, K, 3) in [-1,1] -> (N, K).

        Coordinates are in the order of the axes; -1 and 1 are the outer edges of the LR voxels.
        The size of the queried voxels does not matter to this network.
        """
        grid = coordinates.flip(-1)[:, :, None, None]
        # Padded with zeros, as published, so features fade beyond the outer voxel centres.
        sampled = F.grid_sample(self.encode(lr), grid, mode="bilinear", align_corners=False)
        features = sampled[:, :, :, 0, 0].transpose(1, 2)
        return self.decode(features, coordinates.to(features.dtype))
