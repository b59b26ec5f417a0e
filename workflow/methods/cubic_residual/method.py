"""A residual network over cubic interpolation, for any scale, of its own along each axis.

What cubic B-spline interpolation leaves depends on the local high frequencies of the LR volume
times where between its voxels a query lies: a product. So the encoder sees the LR volume and its
high frequencies, and the decoder multiplies the features, interpolated linearly, by a learned
function of the place between voxels, one for each channel and axis. Two linear layers make the
residual of what they give.

No layer has a bias and all are linear or ReLU: twice the intensities give twice the residual. The
gain of a scan, which is the voxel that happens to be the brightest, does not matter to the network.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

from mrisr.common import devices
from mrisr.common.progress import progress
from mrisr.networks.threads import each_in_a_thread

# Queries that are decoded at once: a core's share of their activations stays in its cache.
CPU_CHUNK, GPU_CHUNK = 2**12, 2**19
# Planes that a core decodes, one after the other.
PLANES = 16
# Taps of a cubic B-spline, and the pole of the recursive filter that makes its coefficients.
SPLINE = 4


class Block(nn.Module):
    """Two convolutions with a ReLU between them, added to their input."""

    def __init__(self, features: int):
        super().__init__()
        self.first = nn.Conv3d(features, features, 3, padding=1, bias=False)
        self.second = nn.Conv3d(features, features, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, x, y, z) -> the same shape."""
        made = self.second(F.relu(self.first(x), inplace=True))
        made += x
        return made


class Encoder(nn.Module):
    """Residual blocks on the LR grid, without normalisation.

    Args:
        features: Channels of the blocks.
        blocks: Residual blocks.
        channels: Channels of the feature map.
        amplify: Factor of the high frequencies, LR minus its mean over 3 x 3 x 3 voxels.
    """

    def __init__(self, features: int, blocks: int, channels: int, amplify: float):
        super().__init__()
        self.amplify = amplify
        self.start = nn.Conv3d(2, features, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(features) for _ in range(blocks)))
        self.end = nn.Conv3d(features, channels, 3, padding=1, bias=False)
        self.halo = 3 + 2 * blocks
        self.channels_alive = 3 * features + channels

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> features (N, C, x, y, z)."""
        mean = box(lr) / box(torch.ones_like(lr[:1]))
        first = self.start(torch.cat([2 * lr, self.amplify * (lr - mean)], dim=1))
        made = self.blocks(first)
        made += first
        return self.end(made)


class Gate(nn.Module):
    """A factor for every channel along one axis, a smooth function of the place between voxels.

    Args:
        channels: Factors.
        width: Neurons of the hidden layer.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.hidden = nn.Linear(5, width)
        self.out = nn.Linear(width, channels)
        nn.init.normal_(self.hidden.weight)
        nn.init.normal_(self.out.weight, std=width**-0.5)
        nn.init.ones_(self.out.bias)

    def forward(self, phase: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        """Places in LR voxels (...) and sizes of queried voxels (...) likewise -> (..., C)."""
        angle = 2 * math.pi * phase
        size = torch.log2(cell).expand_as(phase)
        waves = [angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin(), size]
        return self.out(torch.tanh(self.hidden(torch.stack(waves, dim=-1))))


class Interpolation(torch.autograd.Function):
    """Weighted sums of rows of a table; its gradient is one too, of the queries around a row."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        table: torch.Tensor,
        index: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """Return sums (Q, C) of the rows `index` (Q, 8) of `table` (V, C) by `weights` (Q, 8)."""
        ctx.save_for_backward(index, weights)
        ctx.rows = len(table)
        return F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the gradient of `table`."""
        index, weights = ctx.saved_tensors
        ordered, order = index.flatten().sort(stable=True)
        # Not bincount, which waits for a GPU to know how long its result is.
        starts = torch.searchsorted(ordered, torch.arange(ctx.rows, device=index.device))
        made = F.embedding_bag(
            order // index.shape[1],
            gradient.contiguous(),
            starts,
            per_sample_weights=weights.flatten()[order],
            mode="sum",
        )
        return made, None, None


class CubicResidual(nn.Module):
    """Encoder, gates and decoder, added to cubic B-spline interpolation.

    Args:
        encoder: LR volume (N, 1, x, y, z) -> features (N, channels, x, y, z).
        channels: Of the encoder's features.
        gates: Neurons of the hidden layers that make the gates.
        gain: Factor of the residual.
    """

    def __init__(self, encoder: Encoder, channels: int, gates: int, gain: float):
        super().__init__()
        self.encoder, self.gain = encoder, gain
        self.gates = nn.ModuleList(Gate(channels, gates) for _ in range(3))
        self.mix = nn.Linear(channels, channels, bias=False)
        self.last = nn.Linear(channels, 1, bias=False)
        nn.init.normal_(self.last.weight, std=0.01)
        self.halo: int = encoder.halo
        self.channels_alive: int = encoder.channels_alive

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        """LR volume (N, 1, x, y, z) -> its features, and itself as the last channel."""
        features = self.encoder(lr)
        batch, channels, *shape = features.shape
        # Not torch.cat, which puts the channels first: ten times as long.
        form = {"dtype": lr.dtype, "device": lr.device, "memory_format": torch.channels_last_3d}
        made = torch.empty((batch, channels + 1, *shape), **form)
        made[:, :-1], made[:, -1:] = features, lr
        return made

    def forward(
        self, lr: torch.Tensor, coordinates: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """LR patches (N, 1, x, y, z) at coordinates (N, K, 3), voxels of size (N, 3) -> (N, K)."""
        shape, batch = lr.shape[2:], len(lr)
        features = self.encoder(lr).to(lr.dtype)
        table = features.permute(0, 2, 3, 4, 1).flatten(0, 3)
        index = torch.arange(batch, device=lr.device).view(-1, 1, 1, 1, 1)
        weights = torch.ones((), dtype=lr.dtype, device=lr.device)
        factor = None
        for axis, n in enumerate(shape):
            near, phase = neighbours(coordinates[..., axis], n)
            place = [batch, -1, 1, 1, 1]
            place[2 + axis] = 2
            index = index * n + near.view(place)
            weights = weights * torch.stack([1 - phase, phase], dim=-1).view(place)
            made = self.gates[axis](phase, cell[:, axis, None] / 2)
            factor = made if factor is None else factor * made
        x = Interpolation.apply(
            table, index.flatten(0, 1).flatten(1), weights.flatten(0, 1).flatten(1)
        )
        residual = self._decode(x.view_as(factor) * factor)
        with devices.products(lr.device, "float32"):  # autocast may round the residual alone
            return cubic_at(lr[:, 0], coordinates) + residual

    @torch.inference_mode()
    def on_grid(
        self,
        features: torch.Tensor,
        axes: Sequence[torch.Tensor],
        cell: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Decode what `encode` gave at the voxels of a grid.

        Gates are made once for each axis. Features are interpolated along the third axis in each
        LR plane, along the first for each HR plane and along the second for each of its rows.

        Args:
            features: Shape (C + 1, x, y, z).
            axes: Coordinates of the grid's voxels along each axis, in [-1,1].
            cell: Size of the queried voxels along each axis in half LR voxels; default that of a
                grid of the LR volume's extent.

        Returns:
            Intensities, shape (X, Y, Z).
        """
        shape = features.shape[1:]
        if cell is None:
            cell = [2 * m / len(a) for a, m in zip(axes, shape, strict=True)]
        near, weights = [], []
        for axis, n in enumerate(shape):
            index, phase = neighbours(axes[axis], n)
            gate = self.gates[axis](phase, phase.new_tensor(cell[axis] / 2))
            near.append(index)
            share = torch.stack([1 - phase, phase], dim=-1)[..., None]
            weights.append((share * gate[:, None])[:, :, None])  # (n, 2, 1, C)
        planes = features[:-1].permute(1, 2, 3, 0)
        with devices.products(features.device, "float32"):
            result = cubic_on_grid(features[-1], axes)
        whole = range(len(axes[0]))
        step = len(whole) if features.is_cuda else PLANES
        parts = [whole[i : i + step] for i in whole[::step]]

        def add(part: range) -> None:
            self._add_residual(result, planes, near, weights, part)

        for _ in progress(each_in_a_thread(add, parts), "decode", len(parts)):
            pass
        return result

    @torch.inference_mode()
    def _add_residual(
        self,
        result: torch.Tensor,
        planes: torch.Tensor,
        near: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor],
        part: range,
    ) -> None:
        """Add the residual to some planes of the first axis.

        Args:
            result: Intensities, shape (X, Y, Z).
            planes: Features, shape (x, y, z, C).
            near: For each axis the two LR voxels around each voxel of the grid.
            weights: For each axis their weights times the gate, shape (n, 2, 1, C).
            part: The planes.
        """
        step = max(1, (GPU_CHUNK if result.is_cuda else CPU_CHUNK) // result.shape[2])
        held: dict[int, torch.Tensor] = {}
        lines = near[0][part.start : part.stop].tolist()  # at once: a GPU is waited for
        low, high = weights[2].transpose(0, 2)[0].unbind(0)  # of the third axis, (Z, C) each
        with devices.products(result.device, "float32"):
            for i, wanted in zip(part, lines, strict=True):
                held = {j: held[j] for j in wanted if j in held}
                for j in wanted:
                    if j not in held:
                        plane = planes[j].contiguous()
                        held[j] = plane.index_select(1, near[2][:, 0]).mul_(low)
                        held[j].addcmul_(plane.index_select(1, near[2][:, 1]), high)
                first = weights[0][i]
                plane = torch.addcmul(held[wanted[0]] * first[0], held[wanted[1]], first[1])
                for start in range(0, result.shape[1], step):
                    rows = slice(start, start + step)
                    x = plane.index_select(0, near[1][rows, 0]).mul_(weights[1][rows, 0])
                    x.addcmul_(plane.index_select(0, near[1][rows, 1]), weights[1][rows, 1])
                    result[i, rows] += self._decode(x)

    def _decode(self, x: torch.Tensor) -> torch.Tensor:
        """Return residuals (...) of interpolated features (..., C)."""
        return self.gain * self.last(F.relu(self.mix(x), inplace=True) + x).squeeze(-1)


def box(volume: torch.Tensor) -> torch.Tensor:
    """Return the mean over 3 x 3 x 3 voxels (N, 1, x, y, z), of which those outside are 0."""
    return F.avg_pool3d(F.pad(volume, [1] * 6), 3, stride=1)


def neighbours(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two LR voxels around each coordinate of an axis.

    Args:
        coordinates: Shape (...), in [-1,1], the outer edges of the LR voxels.
        m: LR voxels of the axis.

    Returns:
        Their indices, shape (..., 2), and where between them the coordinate lies, 0 to 1, shape
        (...). Beyond the centre of the outermost voxel a coordinate is taken to be there.
    """
    place = (((coordinates + 1) * m - 1) / 2).clamp(0, m - 1)
    low = place.floor().clamp(max=max(m - 2, 0))
    index = torch.stack([low, low + 1], dim=-1)
    return index.clamp(max=m - 1).long(), place - low


def spline_weights(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the LR voxel below each coordinate, and the weights of four coefficients around it.

    Of cubic B-splines; the first coefficient is that before the voxel.
    """
    place = (((coordinates + 1) * m - 1) / 2).clamp(0, m - 1)
    low = place.floor()
    t = (place - low)[..., None]
    weights = torch.cat(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], dim=-1
    )
    return low.long(), weights / 6


def mirrored(index: torch.Tensor, m: int) -> torch.Tensor:
    """Return indices of m coefficients, those beyond the outermost ones mirrored at them."""
    period = max(2 * m - 2, 1)
    index = index.abs() % period
    return torch.minimum(index, period - index).clamp(max=m - 1)


def spline_taps(coordinates: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the four coefficients around each coordinate and their weights, (..., 4) each."""
    low, weights = spline_weights(coordinates, m)
    near = low[..., None] + torch.arange(-1, SPLINE - 1, device=low.device)
    return mirrored(near, m), weights


def prefilter(volume: torch.Tensor) -> torch.Tensor:
    """Return the coefficients of the cubic B-spline through the last three axes of a volume."""
    for axis in (-3, -2, -1):
        m = volume.shape[axis]
        if m == 1:
            continue
        inverse = spline_filter(m, volume.dtype, volume.device)
        volume = (volume.movedim(axis, -1) @ inverse.T).movedim(-1, axis)
    return volume


@lru_cache(maxsize=64)
def spline_filter(m: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the matrix (m, m) that gives the coefficients of the spline through m voxels."""
    with torch.inference_mode(False):  # for trainings too, whoever asks first
        centres = (2 * torch.arange(m, dtype=torch.float64) + 1) / m - 1
        index, weights = spline_taps(centres, m)
        matrix = torch.zeros(m, m, dtype=torch.float64).scatter_add_(1, index, weights)
        return torch.linalg.inv(matrix).to(device, dtype)


def cubic_at(lr: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
    """Interpolate volumes (N, x, y, z) at coordinates (N, K, 3) by cubic B-splines -> (N, K).

    Coefficients are laid out as rows of four neighbours along z, of which a query needs sixteen.
    """
    lr = lr.float() if lr.dtype != torch.float64 else lr
    batch, *shape = lr.shape
    coefficients = prefilter(lr)
    for axis, n in enumerate(shape, start=1):  # mirrored beyond the outermost ones
        beyond = torch.arange(-1, n + 2, device=lr.device)
        coefficients = coefficients.index_select(axis, mirrored(beyond, n))
    rows = coefficients.unfold(3, SPLINE, 1)
    index = torch.arange(batch, device=lr.device).view(-1, 1)
    weights = []
    for axis, n in enumerate(shape):
        low, weight = spline_weights(coordinates[..., axis], n)
        index = index * rows.shape[1 + axis] + low
        weights.append(weight)
    along_x, along_y, along_z = weights
    taps = torch.arange(SPLINE, device=lr.device)
    near = rows.shape[3] * (rows.shape[2] * taps[:, None] + taps)
    share = along_x[..., :, None] * along_y[..., None, :]
    made = F.embedding_bag(
        (index[..., None] + near.flatten()).flatten(0, 1),
        rows.reshape(-1, SPLINE),
        per_sample_weights=share.view(-1, SPLINE**2),
        mode="sum",
    )
    return (made.view_as(along_z) * along_z).sum(dim=-1)


def cubic_on_grid(lr: torch.Tensor, axes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Interpolate a volume (x, y, z) at the voxels of a grid by cubic B-splines -> (X, Y, Z)."""
    volume = prefilter(lr)
    order = sorted(range(3), key=lambda axis: len(axes[axis]) / lr.shape[axis])
    for axis in order:
        index, weights = spline_taps(axes[axis], lr.shape[axis])
        matrix = weights.new_zeros(len(index), lr.shape[axis]).scatter_add_(1, index, weights)
        volume = (volume.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return volume.contiguous()


def build(
    features: int = 32,
    blocks: int = 6,
    channels: int = 64,
    gates: int = 32,
    amplify: float = 20.0,
    gain: float = 0.03,
) -> CubicResidual:
    """Build the network.

    Args:
        features: Channels of the encoder's blocks.
        blocks: Residual blocks of two convolutions.
        channels: Channels of the feature map.
        gates: Neurons of the hidden layers that make the gates.
        amplify: Factor of the LR volume's high frequencies.
        gain: Factor of the residual.
    """
    return CubicResidual(Encoder(features, blocks, channels, amplify), channels, gates, gain)
