"""The coordinate decoder of 2-D query networks: intensities from features, at any position.

Van Veen et al. 2022, 3.1; where the paper is silent, Chen et al. 2021 (its reference for features
of a convolutional encoder). Each of the four features around a query is decoded with its 3 x 3
neighbourhood, the position of the query relative to it, and the size of the queried pixel. Each of
the four predictions is weighted by the area of the rectangle to the diagonally opposite feature.

The first layer is linear in the neighbourhood, so its product with all neighbourhoods is one 3 x 3
convolution of the feature map. A query then gathers four vectors of the result, in place of four
products with 576 numbers each.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from mrisr.networks.edsr import EDSR

TINY = 1e-9  # keeps the weights finite where a query lies on the outermost feature
# Rows of the hidden layers that are computed at once, so that a core's share stays in its cache.
CPU_CHUNK, GPU_CHUNK = 2**11, 2**20


def taps(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the two features around each coordinate of an axis.

    Args:
        coordinates: Shape (...), in [-1,1], the outer edges of the LR pixels.
        m: Number of LR pixels of the axis.

    Returns:
        Indices of the features, position of the coordinate relative to them in half LR pixels, and
        their weights (of sum 1; each is the other's distance), each of shape (..., 2). Beyond the
        outermost pixel centres both features are the outermost pixel.
    """
    place = ((coordinates + 1) * m - 1) / 2
    low = place.floor()
    index = torch.stack([low, low + 1], dim=-1).clamp_(0, m - 1)
    relative = 2 * (place[..., None] - index)
    distance = relative.abs() + TINY
    weights = distance.flip(-1) / distance.sum(dim=-1, keepdim=True)
    return index.long(), relative, weights


class CoordinateDecoder(nn.Module):
    """Fully connected layers with ReLU between them, and the ensemble of four predictions.

    Args:
        features: Channels of the feature map.
        width: Neurons of the hidden layers.
        layers: Fully connected layers.
        relative: Whether the first layer sees the query's position relative to the feature.
        cell: Whether the first layer sees the size of the queried pixel.
        unfold: Whether it sees the 3 x 3 features around each feature, or that feature alone.
    """

    def __init__(
        self,
        features: int,
        width: int,
        layers: int,
        relative: bool,
        cell: bool,
        unfold: bool = True,
    ):
        super().__init__()
        self.features, self.relative, self.cell = features, relative, cell
        self.side = 3 if unfold else 1
        self.seen = self.side**2 * features
        sizes = [self.seen + 2 * relative + 2 * cell, *[width] * (layers - 1), 1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(
        self, features: torch.Tensor, coordinates: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """Decode features (N, C, h, w) at coordinates (N, K, 2) -> (N, K).

        Args:
            features: Features of the encoder.
            coordinates: Row and column, in [-1,1].
            cell: Size of the queried pixels in half LR pixels, shape (N, 2).
        """
        batch, _, height, width = features.shape
        first, second = (taps(coordinates[..., i], n) for i, n in enumerate((height, width)))
        weights = first[2][..., :, None] * second[2][..., None, :]
        index = first[0][..., :, None] * width + second[0][..., None, :]
        index = index + height * width * torch.arange(batch, device=index.device).view(-1, 1, 1, 1)
        table = self._of_features(features)
        if self.cell:
            table = table + (cell.to(table.dtype) @ self._of_cell().t())[:, None]
        table = table.flatten(0, 1)
        if not self.relative:  # the same prediction for every query near a feature
            predictions = self._rest(table)[index.flatten()]
        else:
            rows = first[1][..., :, None].expand_as(weights)
            columns = second[1][..., None, :].expand_as(weights)
            place = torch.stack([rows, columns], dim=-1)
            x = place.flatten(0, 3) @ self._of_relative().t()
            predictions = self._rest(table.index_select(0, index.flatten()) + x)
        return (predictions.view_as(weights) * weights).sum(dim=(-2, -1))

    @torch.inference_mode()
    def on_grid(self, features: torch.Tensor, axes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode a feature map at the pixels of a grid.

        Args:
            features: Shape (C, h, w).
            axes: Coordinates of the grid's rows and columns, in [-1,1].

        Returns:
            Intensities, shape (rows, columns).
        """
        shape = features.shape[1:]
        rows, columns = (taps(a, n) for a, n in zip(axes, shape, strict=True))
        table = self._of_features(features[None])[0]
        if self.cell:
            cell = table.new_tensor([2 * m / len(a) for a, m in zip(axes, shape, strict=True)])
            table = table + self._of_cell() @ cell
        if not self.relative:
            predictions = self._rest(table).view(shape)
            spread = torch.zeros(len(axes[0]), shape[0], device=table.device)
            spread.scatter_add_(1, rows[0], rows[2])
            other = torch.zeros(len(axes[1]), shape[1], device=table.device)
            other.scatter_add_(1, columns[0], columns[2])
            return spread @ predictions @ other.t()
        weight = self._of_relative()
        from_row = rows[1][..., None] * weight[:, 0]
        from_column = columns[1][..., None] * weight[:, 1]
        chunk = GPU_CHUNK if features.is_cuda else CPU_CHUNK * torch.get_num_threads()
        step = max(1, chunk // (4 * len(axes[1])))
        parts = []
        for start in range(0, len(axes[0]), step):
            part = slice(start, start + step)
            index = rows[0][part][:, None, :, None] * shape[1] + columns[0][None, :, None, :]
            x = table.index_select(0, index.flatten()).view(*index.shape, -1)
            x += from_row[part][:, None, :, None]
            x += from_column[None, :, None, :]
            weights = rows[2][part][:, None, :, None] * columns[2][None, :, None, :]
            predictions = self._rest(x.flatten(0, 3)).view_as(weights)
            parts.append((predictions * weights).sum(dim=(-2, -1)))
        return torch.cat(parts)

    def _first(self) -> nn.Linear:
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return first

    def _of_features(self, features: torch.Tensor) -> torch.Tensor:
        """Return the first layer's product with neighbourhoods, and its bias, (N, h w, width)."""
        first = self._first()
        sizes = (self.features, self.side, self.side)
        weight = first.weight[:, : self.seen].unflatten(1, sizes)
        made = F.conv2d(features, weight, first.bias, padding=self.side // 2)
        return made.flatten(2).transpose(1, 2)

    def _of_relative(self) -> torch.Tensor:
        return self._first().weight[:, self.seen :][:, :2]

    def _of_cell(self) -> torch.Tensor:
        return self._first().weight[:, -2:]

    def _rest(self, x: torch.Tensor) -> torch.Tensor:
        """Return intensities (K,) from the first layer's output before its ReLU, (K, width)."""
        for layer in list(self.layers)[1:]:
            x = layer(F.relu(x, inplace=not torch.is_grad_enabled()))
        return x.squeeze(-1)


class CoordinateNetwork(nn.Module):
    """An encoder of LR images and the decoder of its features; see `mrisr.methods.method`."""

    def __init__(self, encoder: EDSR, decoder: CoordinateDecoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.halo, self.channels_alive = encoder.halo, encoder.channels_alive

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        """LR images (N, 1, h, w) -> features (N, C, h, w)."""
        return self.encoder(lr)

    def on_grid(self, features: torch.Tensor, axes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features (C, h, w) at the rows and columns of a grid -> (rows, columns)."""
        return self.decoder.on_grid(features, axes)

    def forward(
        self, lr: torch.Tensor, coordinates: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """LR images (N, 1, h, w) at coordinates (N, K, 2), pixels of size (N, 2) -> (N, K)."""
        return self.decoder(self.encode(lr), coordinates, cell)
