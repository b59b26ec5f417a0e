"""SRCNN3D (Pham et al. 2017): three convolutions on the interpolated LR volume."""

from collections.abc import Sequence

import torch
from torch import nn


class SRCNN3D(nn.Module):
    """Patch extraction, non-linear mapping and reconstruction, each one convolution.

    Args:
        features: Channels after the first and the second convolution.
        kernels: Edge lengths of the three kernels, odd.
    """

    def __init__(self, features: Sequence[int], kernels: Sequence[int]):
        super().__init__()
        channels = [1, *features, 1]
        layers: list[nn.Module] = []
        for i, kernel in enumerate(kernels):
            layers += [nn.Conv3d(channels[i], channels[i + 1], kernel, padding=kernel // 2)]
            layers += [nn.ReLU()] if i < len(kernels) - 1 else []
        self.layers = nn.Sequential(*layers)
        self.halo = sum(kernel // 2 for kernel in kernels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map the interpolated LR volume (N, 1, X, Y, Z) to the HR volume of the same shape."""
        return self.layers(image)


def build(features: Sequence[int] = (64, 32), kernels: Sequence[int] = (9, 1, 5)) -> SRCNN3D:
    """Build the network; 52,801 parameters as published."""
    return SRCNN3D(features, kernels)
