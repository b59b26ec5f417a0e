"""Decoders of query networks, arranged for the voxels of a regular grid.

The published decoder is two(x + one(x)), where x is a feature vector and its voxel's coordinates.
Its first layer is linear up to its bias and ReLU, and so is interpolation. So the layer's product
with the features is computed on the LR grid, which has k^3 times fewer voxels, and interpolated
with them. All other products go into buffers that are used again and stay in the cache.
"""

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn
from torch.nn.functional import pad

from mrisr.networks.arssr import ArSSR, Decoder

# Columns of products are padded to a multiple of this: an odd number of them is slow.
COLUMNS = 16


class GridDecoder(Protocol):
    """Decoder that `arrange` returns.

    Attributes:
        extra: Number of columns that are interpolated in addition to the features.
    """

    extra: int

    def project(self, table: torch.Tensor) -> None:
        """Fill the last `extra` columns of (K, C + extra), a linear function of the first C."""

    def __call__(self, sampled: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
        """Decode interpolated rows of the table.

        Args:
            sampled: Shape (K, C + extra); overwritten.
            coordinates: Coordinates of the rows, shape (K, 3), in [-1,1].

        Returns:
            Intensities, shape (K,), valid until the next call.
        """


def arrange(network: nn.Module) -> GridDecoder:
    """Return the fastest decoder for a query network, or the network's own `decode`."""
    if isinstance(network, ArSSR) and type(network).decode is ArSSR.decode:
        return SkipDecoder(network.decoder)
    return PlainDecoder(network)


class PlainDecoder:
    """A network's own `decode`."""

    extra = 0

    def __init__(self, network: nn.Module):
        self._decode: Callable[..., torch.Tensor] = network.decode  # type: ignore[assignment]

    def project(self, table: torch.Tensor) -> None:
        """Leave the features as they are."""

    def __call__(self, sampled: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
        """Decode (K, C) at (K, 3) -> (K,)."""
        return self._decode(sampled, coordinates)


class SkipDecoder:
    """Equal to `mrisr.networks.arssr.Decoder` up to rounding; without gradients."""

    def __init__(self, decoder: Decoder):
        (weight, self._bias, self._relu), *one = _layers(decoder.stage_one)
        self._inputs: int = decoder.stage_one[0].in_features  # type: ignore[assignment]
        self._features = self._inputs - 3
        self._of_features = weight[: self._features].contiguous()
        self._of_coordinates = weight[self._features :].contiguous()
        self.extra = weight.shape[1]
        self._layers = one + _layers(decoder.stage_two)
        self._skip = len(one) - 1
        self._buffers: list[torch.Tensor] = []

    def project(self, table: torch.Tensor) -> None:
        """Fill the last columns with the first layer's product with the features."""
        torch.mm(table[:, : self._features], self._of_features, out=table[:, self._features :])

    def __call__(self, sampled: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
        """Decode (K, C + extra) at (K, 3) -> (K,)."""
        count, features = len(sampled), sampled[:, : self._features]
        x = sampled[:, self._features :]
        x = x.addmm_(coordinates, self._of_coordinates).add_(self._bias)
        if self._relu:
            x.relu_()
        for i, (weight, bias, relu) in enumerate(self._layers):
            inputs, outputs = weight.shape
            buffer = self._buffer(i % 2, count * outputs, x).view(count, outputs)
            x = torch.addmm(bias, x[:, :inputs], weight, out=buffer)
            if relu:
                x.relu_()
            if i == self._skip:
                x[:, : self._features] += features
                x[:, self._features : self._inputs] += coordinates
        return x[:, 0]

    def _buffer(self, index: int, size: int, like: torch.Tensor) -> torch.Tensor:
        """Return one of two buffers: a layer reads one and writes the other."""
        if not self._buffers or len(self._buffers[0]) < size:
            widest = max(weight.shape[1] for weight, _, _ in self._layers)
            self._buffers = [like.new_empty(len(like) * widest) for _ in range(2)]
        return self._buffers[index][:size]


def _layers(stage: nn.Sequential) -> list[tuple[torch.Tensor, torch.Tensor, bool]]:
    """Return weight (inputs, outputs), bias and whether a ReLU follows, of each linear layer.

    Outputs are padded with zeros to a multiple of `COLUMNS`, unless there is one.
    """
    layers = []
    for layer, after in itertools.zip_longest(stage, list(stage)[1:]):
        if isinstance(layer, nn.Linear):
            extra = -layer.out_features % COLUMNS if layer.out_features > 1 else 0
            weight = pad(layer.weight.detach().t(), (0, extra)).contiguous()
            bias = pad(layer.bias.detach(), (0, extra))
            layers.append((weight, bias, isinstance(after, nn.ReLU)))
    return layers
