"""DCSRN (Chen et al. 2018): a densely connected network on the interpolated LR volume."""

import torch
import torch.nn.functional as F
from torch import nn


class DenseUnit(nn.Module):
    """Batch normalisation, ELU and convolution, concatenated to their input."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.norm = nn.BatchNorm3d(channels)
        self.conv = nn.Conv3d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, X, Y, Z) -> (N, C + growth, X, Y, Z)."""
        return torch.cat([x, self.conv(F.elu(self.norm(x)))], dim=1)


class DCSRN(nn.Module):
    """A convolution, dense units, and a convolution that reads all of their outputs.

    Args:
        features: Channels after the first convolution.
        growth: Channels that a unit adds.
        units: Dense units.
    """

    def __init__(self, features: int, growth: int, units: int):
        super().__init__()
        self.first = nn.Conv3d(1, features, 3, padding=1)
        self.units = nn.Sequential(
            *(DenseUnit(features + i * growth, growth) for i in range(units))
        )
        last = features + units * growth
        self.last = nn.Conv3d(last, 1, 3, padding=1)
        self.halo = 2 + units
        # A unit's input, normalised, activated, and concatenated with what it adds.
        self.channels_alive = 4 * last

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map the interpolated LR volume (N, 1, X, Y, Z) to the HR volume of the same shape."""
        return self.last(self.units(self.first(image)))


def build(features: int = 48, growth: int = 24, units: int = 4) -> DCSRN:
    """Build the network; 223,633 parameters as published."""
    return DCSRN(features, growth, units)
