"""LTE (Lee and Jin, CVPR 2022), lifted to three dimensions.

Of the features around an LR voxel, convolutions estimate the amplitudes and frequencies of local
waves, and of the size of the queried voxel a linear layer estimates their phases. The waves at the
place of a query are decoded to an intensity by fully connected layers, once from each of the eight
LR voxels around it; the eight are weighted by the volume of the box to the opposite one, and
trilinear interpolation of the LR is added.

The weights of the boxes are those of trilinear interpolation: the LR's intensity is added to the
prediction from its voxel.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mrisr.common.progress import progress
from mrisr.networks.arssr import RDN
from mrisr.networks.coordinates import taps

# Predictions that are decoded at once: a core's share of their activations stays in its cache.
CPU_CHUNK, GPU_CHUNK = 2**11, 2**19


class Waves(torch.autograd.Function):
    """The amplitudes of LR voxels times the cosines and sines of their waves at queries.

    A chunk of rows at a time, and again for the gradients in place of being kept: else this, which
    is little work, would take most of a training's memory, and of its time to write it.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        table: torch.Tensor,
        phase: torch.Tensor,
        index: torch.Tensor,
        away: torch.Tensor,
    ) -> torch.Tensor:
        """Return waves (N R, 2 waves), in the precision of products.

        Args:
            ctx: For the gradients.
            table: Frequencies along three axes and amplitudes of LR voxels, shape (V, 5 waves).
            phase: Times pi, shape (N, waves).
            index: LR voxel of each row, shape (N, R).
            away: From the LR voxel to the query, times pi, shape (N, R, 3).
        """
        ctx.save_for_backward(table, phase, index, away)
        device, waves = table.device.type, phase.shape[1]
        low = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if low else table.dtype
        made = torch.empty(*index.shape, 2 * waves, dtype=dtype, device=table.device)
        for part in _chunks(index):
            _, amplitude, cos, sin = _waves(table, phase, index, away, part)
            torch.mul(amplitude[:, :waves], cos, out=cos)
            torch.mul(amplitude[:, waves:], sin, out=sin)
            made[part][:, :waves], made[part][:, waves:] = cos, sin
        return made.flatten(0, 1)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of `table` and `phase`."""
        table, phase, index, away = ctx.saved_tensors
        waves = phase.shape[1]
        gradient = gradient.view(*index.shape, -1)
        of_table, of_phase = torch.zeros_like(table), torch.zeros_like(phase)
        for part in _chunks(index):
            of_rows, amplitude, cos, sin = _waves(table, phase, index, away, part)
            given = gradient[part].to(table.dtype)
            by_cos, by_sin = given[:, :waves], given[:, waves:]
            torch.mul(by_cos, cos, out=of_rows[:, 3 * waves : 4 * waves])
            torch.mul(by_sin, sin, out=of_rows[:, 4 * waves :])
            of_angle = sin.mul_(by_cos).mul_(amplitude[:, :waves]).neg_()
            of_angle.addcmul_(cos.mul_(by_sin), amplitude[:, waves:])
            for axis in range(3):
                of_axis = of_rows[:, axis * waves : (axis + 1) * waves]
                torch.mul(away[part][:, axis, None], of_angle, out=of_axis)
            of_table.index_add_(0, index[part], of_rows)
            of_phase[part[0]] += of_angle.sum(dim=0)
        return of_table, of_phase, None, None


def _chunks(index: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Yield items of a batch and some of their rows."""
    size = GPU_CHUNK if index.is_cuda else CPU_CHUNK * torch.get_num_threads()
    starts = range(0, index.shape[1], size)
    yield from ((n, slice(start, start + size)) for n in range(len(index)) for start in starts)


def _waves(
    table: torch.Tensor,
    phase: torch.Tensor,
    index: torch.Tensor,
    away: torch.Tensor,
    part: tuple[int, slice],
) -> tuple[torch.Tensor, ...]:
    """Return the rows of the table, their amplitudes, and cosines and sines of their angles."""
    waves = phase.shape[1]
    rows = table.index_select(0, index[part])
    angle = phase[part[0]].repeat(len(rows), 1)
    for axis in range(3):
        angle.addcmul_(away[part][:, axis, None], rows[:, axis * waves : (axis + 1) * waves])
    return rows, rows[:, 3 * waves :].clone(), angle.cos(), angle.sin_()


class LTE(nn.Module):
    """Encoder, texture estimator and decoder; see `mrisr.methods.method`.

    Args:
        encoder: LR volume (N, 1, x, y, z) -> features (N, channels, x, y, z).
        channels: Of the encoder's features.
        waves: Local waves; each has a cosine and a sine with amplitudes of their own.
        width: Neurons of the decoder's hidden layers.
        hidden: Hidden layers of the decoder.
    """

    def __init__(self, encoder: nn.Module, channels: int, waves: int, width: int, hidden: int):
        super().__init__()
        self.encoder, self.waves = encoder, waves
        self.amplitude = nn.Conv3d(channels, 2 * waves, 3, padding=1)
        self.frequency = nn.Conv3d(channels, 3 * waves, 3, padding=1)
        self.phase = nn.Linear(3, waves, bias=False)
        sizes = [2 * waves, *[width] * hidden, 1]
        self.decoder = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.halo: int = encoder.halo
        self.channels_alive: int = encoder.channels_alive

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> its features, and itself as the last channel."""
        features = self.encoder(lr)
        return torch.cat([features, lr.to(features.dtype)], dim=1)

    def forward(
        self, lr: torch.Tensor, coordinates: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """LR patches (N, 1, x, y, z) at coordinates (N, K, 3), voxels of size (N, 3) -> (N, K)."""
        shape, batch = lr.shape[2:], len(lr)
        around = [taps(coordinates[..., axis], n) for axis, n in enumerate(shape)]
        # The eight LR voxels around a query: their places in the batch, their weights, and where
        # from them the query lies, in half LR voxels.
        index = torch.arange(batch, device=lr.device).view(-1, 1, 1, 1, 1)
        weights = torch.ones((), device=lr.device)
        away = []
        for axis, (of_axis, away_along, weight) in enumerate(around):
            place = [batch, -1, 1, 1, 1]
            place[2 + axis] = 2
            index = index * shape[axis] + of_axis.view(place)
            weights = weights * weight.view(place)
            away.append(away_along.view(place).expand(-1, -1, 2, 2, 2))
        features = self.encoder(lr)
        table = torch.cat([self.frequency(features), self.amplitude(features)], dim=1)
        # No less than float32, whatever the precision of products: an LR voxel's gradient is a sum
        # over the queries around it.
        table = table.flatten(2).transpose(1, 2).flatten(0, 1).to(lr.dtype)
        x = Waves.apply(
            table,
            math.pi * self.phase(cell).to(lr.dtype),
            index.flatten(1),
            math.pi * torch.stack(away, dim=-1).flatten(1, -2),
        )
        values = self._decode(x).view_as(weights) + lr.flatten()[index]
        return (values * weights).sum(dim=(2, 3, 4))

    @torch.inference_mode()
    def on_grid(self, features: torch.Tensor, axes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode what `encode` gave at the voxels of a grid.

        What the eight LR voxels of a query share is made once: the estimates, in each LR plane;
        the angles' part along the first axis, in the two LR planes around an HR plane; their part
        along the second, in the four LR lines around an HR line.

        Args:
            features: Shape (C + 1, x, y, z).
            axes: Coordinates of the grid's voxels along each axis, in [-1,1].

        Returns:
            Intensities, shape (X, Y, Z).
        """
        first, second, third = (taps(a, n) for a, n in zip(axes, features.shape[1:], strict=True))
        cell = [2 * m / len(a) for a, m in zip(axes, features.shape[1:], strict=True)]
        phase = math.pi * self.phase(features.new_tensor(cell))
        output = features.new_empty([len(a) for a in axes])
        chunk = GPU_CHUNK if features.is_cuda else CPU_CHUNK * torch.get_num_threads()
        rows = max(1, chunk // (8 * len(axes[2])))
        planes: dict[int, torch.Tensor] = {}
        near = first[0].tolist()  # at once: a GPU is waited for
        for i in progress(range(len(axes[0])), "decode", len(axes[0])):
            wanted = near[i]
            planes = {j: planes[j] if j in planes else self._plane(features, j) for j in wanted}
            table = torch.stack([planes[j] for j in wanted])
            table[..., : self.waves] *= first[1][i].view(2, 1, 1, 1)
            table[..., : self.waves] += phase
            for start in range(0, len(axes[1]), rows):
                part = slice(start, start + rows)
                values = self._lines(table, [tap[part] for tap in second], third)
                output[i, part] = (values * first[2][i].view(2, 1, 1)).sum(dim=0)
        return output

    def _plane(self, features: torch.Tensor, j: int) -> torch.Tensor:
        """Return the estimates of an LR plane, shape (y, z, 5 waves + 1).

        In this order: frequencies along the first, second and third axis times pi, amplitudes, and
        the LR's intensity.
        """
        low, high = max(0, j - 1), min(features.shape[1], j + 2)
        around = features[None, :-1, low:high]
        # Planes beyond the volume are zeros, as where a convolution pads.
        around = F.pad(around, (0, 0, 0, 0, low - (j - 1), j + 2 - high))
        frequency, amplitude = (
            F.conv3d(around, layer.weight, layer.bias, padding=(0, 1, 1))
            for layer in (self.frequency, self.amplitude)
        )
        made = torch.cat([math.pi * frequency, amplitude, features[None, -1:, j : j + 1]], dim=1)
        return made[0, :, 0].permute(1, 2, 0).contiguous()

    def _lines(
        self, table: torch.Tensor, second: Sequence[torch.Tensor], third: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return what two LR planes predict for some lines of an HR plane, shape (2, lines, Z)."""
        waves = self.waves
        lines = table[:, second[0]]  # (2, lines, 2, z, 5 waves + 1)
        lines[..., :waves] += second[1][..., None, None] * lines[..., waves : 2 * waves]
        starts = lines.shape[3] * torch.arange(lines[..., 0, 0].numel(), device=table.device)
        index = starts.view(*lines.shape[:3], 1, 1) + third[0]
        around = F.embedding(index, lines.flatten(0, 3))
        angle, _, along, amplitude, near = around.split([waves, waves, waves, 2 * waves, 1], dim=-1)
        angle += third[1][..., None] * along
        x = amplitude * torch.cat([angle.cos(), angle.sin()], dim=-1)
        values = self._decode(x) + near[..., 0]
        return torch.einsum("salzb,la,zb->slz", values.transpose(1, 2), second[2], third[2])

    def _decode(self, x: torch.Tensor) -> torch.Tensor:
        """Return intensities (...) of waves (..., 2 waves)."""
        for layer in self.decoder[:-1]:
            x = F.relu(layer(x), inplace=True)
        return self.decoder[-1](x).squeeze(-1)


def build(
    features: int = 64,
    growth: int = 64,
    blocks: int = 8,
    layers: int = 3,
    channels: int = 64,
    waves: int = 128,
    width: int = 256,
    hidden: int = 3,
) -> LTE:
    """Build LTE with ArSSR's RDN encoder; 7,112,705 parameters.

    Args:
        features: Channels of the encoder.
        growth: Channels that a dense layer of the encoder adds.
        blocks: Residual dense blocks of the encoder.
        layers: Dense layers a block.
        channels: Channels of the feature map.
        waves: Local waves of an LR voxel.
        width: Neurons of the decoder's hidden layers.
        hidden: Hidden layers of the decoder.
    """
    return LTE(RDN(features, growth, blocks, layers, channels), channels, waves, width, hidden)
