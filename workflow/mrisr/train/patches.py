"""Training batches, made on the device: patches in memory, LR simulated, queries drawn.

Nothing is loaded while training. All HR patches are held as one tensor on the device; a batch
is a gather, three batched matrix products (LR simulation, see `mrisr.degrade.resample`) and a draw
of query voxels. The draws of a step depend on the seed and the step's number alone, so that a
resumed run sees the same batches.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from mrisr.common import devices, seeds
from mrisr.common.errors import InputError
from mrisr.common.progress import progress
from mrisr.degrade.acquisition import PROFILE
from mrisr.degrade.resample import kernel_matrix, lr_size, resampling_matrix
from mrisr.degrade.through_plane import profile_matrix
from mrisr.networks.queries import query_coordinates
from mrisr.train.augment import AIR, Augmentation
from mrisr.volumes.io import load

# How far beyond the highest scale the authors' code draws before it rounds to 0.1.
BEYOND = 0.04
# Gaps that are tried, evenly between those of `training.thick_slices.gaps`.
GAPS = 4


def draw_patches(
    files: Sequence[str | Path],
    per_subject: int,
    size: int,
    border: int,
    seed: int,
    inside: bool = False,
) -> torch.Tensor:
    """Cut random cubes out of ground-truth volumes (ArSSR 4.1.1).

    Args:
        files: HR volumes in [0,1], one a subject; the file's name seeds its draw.
        per_subject: Cubes from each subject.
        size: Edge length in voxels.
        border: Voxels left out at every face, fewer where an axis is too short for that.
        seed: The study's seed.
        inside: Whether cubes are centred in the foreground (as far as the volume and `border`
            allow), or lie anywhere.

    Returns:
        float32, shape (subjects * per_subject, size, size, size).

    Raises:
        InputError: A volume is smaller than a patch.
    """

    def cut(file: str | Path) -> np.ndarray:
        data = load(file).data
        if min(data.shape) < size:
            raise InputError(
                f"{file}: {data.shape} is smaller than a training patch of {size} voxels;"
                " set a smaller training.patch or another crop"
            )
        random = seeds.generator(seed, "patches", Path(file).name)
        low = np.array([min(border, (n - size) // 2) for n in data.shape])
        high = np.array(data.shape) - size - low
        centres = _foreground(data) if inside else None
        patches = []
        for _ in range(per_subject):
            if centres is None:
                start = [int(random.integers(a, b + 1)) for a, b in zip(low, high, strict=True)]
            else:
                centre = centres[random.integers(len(centres))]
                start = np.clip(centre - size // 2, low, high).tolist()
            patches.append(data[tuple(slice(a, a + size) for a in start)].copy())
        return np.stack(patches)

    # Decompression takes nearly all of the time, and lets other threads run.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        cubes = list(progress(pool.map(cut, files), "cut patches", len(files)))
    return torch.from_numpy(np.concatenate(cubes))


def _foreground(data: np.ndarray) -> np.ndarray:
    """Return the voxels brighter than 30 % of the mean without air, shape (N, 3)."""
    found = np.argwhere(data > 0.3 * data[data > AIR].mean()) if (data > AIR).any() else []
    return found if len(found) else np.array([data.shape]) // 2


class Order:
    """The order in which patches are seen: a new shuffle for every pass over all of them."""

    def __init__(self, count: int, batch: int, *seed_parts: object):
        self.count, self.batch, self.parts = count, batch, seed_parts
        self._shuffles: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        """Return the patch indices of a step, shape (batch,)."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        return np.array([self._shuffle(p // self.count)[p % self.count] for p in places])

    def _shuffle(self, number: int) -> np.ndarray:
        if number not in self._shuffles:
            if len(self._shuffles) > 1:
                del self._shuffles[min(self._shuffles)]
            random = seeds.generator(*self.parts, "order", number)
            self._shuffles[number] = random.permutation(self.count)
        return self._shuffles[number]


class GridBatches:
    """Batches for networks that map the interpolated LR volume to the HR volume (SRCNN3D, ...).

    Args:
        patches: HR patches, shape (P, s, s, s).
        scale: The one scale trained on.
        training: The method's training settings (`batch`, `augment`).
        degradation: The study's degradation (`grid`, `antialias`).
        device: Where batches are made.
        seed_parts: Values that seed the draws.
    """

    def __init__(
        self,
        patches: torch.Tensor,
        scale: float,
        training: dict,
        degradation: dict,
        device: torch.device,
        *seed_parts: object,
    ):
        self.patches = patches.to(device)
        size, grid = patches.shape[-1], degradation["grid"]
        fwhm = float(degradation["antialias"] or 0.0) * scale
        low = lr_size(size, scale)
        matrix = resampling_matrix(low, size, grid) @ _reduction(size, low, degradation, fwhm)
        self.matrix = torch.tensor(matrix, dtype=torch.float32, device=device)
        self.order = Order(len(patches), training["batch"], *seed_parts)
        self.augment = Augmentation(training.get("augment"), *seed_parts)

    def __call__(self, step: int) -> tuple[tuple[torch.Tensor], torch.Tensor]:
        """Return ((interpolated LR,), HR) of a step, each of shape (B, 1, s, s, s)."""
        chosen = devices.send(torch.from_numpy(self.order(step)), self.patches.device)
        hr = self.augment(self.patches[chosen], step)
        lr = _separable(hr, self.matrix)
        return (lr[:, None],), hr[:, None]


class QueryBatches:
    """Batches for networks that are asked for intensities at coordinates (ArSSR).

    For each patch of a batch a scale k is drawn from U(low, high + 0.04) and rounded to 0.1, as the
    authors' code does. So the lowest scale is drawn half as often as the others. The HR patch is a
    cube of round(l k) voxels, the LR patch a cube of l voxels. `queries` distinct voxels of the HR
    patch are drawn (ArSSR 4.1.1 and 4.1.3). l k differs within a batch, so the matrices of all
    scales are padded to the largest.

    Args:
        patches: HR patches, shape (P, s, s, s) with s = round(l * high).
        scales: Lowest and highest scale.
        training: The method's training settings (`batch`, `queries`, `lr_patch`, `anchor`,
            `augment`, `own_scales`, `thick_slices`).
        coordinates: `edges` (published) or `grid`; see `query_coordinates`.
        degradation: The study's degradation.
        device: Where batches are made.
        seed_parts: Values that seed the draws.
    """

    def __init__(
        self,
        patches: torch.Tensor,
        scales: Sequence[float],
        training: dict,
        coordinates: str,
        degradation: dict,
        device: torch.device,
        *seed_parts: object,
    ):
        self.patches = patches.to(device)
        self.parts, self.device = seed_parts, device
        low, high = round(min(scales) * 10), round(max(scales) * 10)
        self.scales = [k / 10 for k in range(low, high + 1)]
        self.own_scales = training.get("own_scales") or 0.0
        self.thick = training.get("thick_slices") or {"share": 0.0}
        size, lr, grid = patches.shape[-1], training["lr_patch"], degradation["grid"]
        # An axis that is not down-sampled has the row after the scales; thick slices follow.
        rows = [*self.scales, 1.0] if self.own_scales or self.thick["share"] else [*self.scales]
        thick = [(k, gap) for k in self.scales for gap in self._gaps()]
        matrices = np.zeros((len(rows) + len(thick), lr, size))
        places = np.zeros((len(rows) + len(thick), size))
        sizes, starts = [], []
        profile = degradation.get("profile", PROFILE)
        for row, (scale, gap) in enumerate([*((k, None) for k in rows), *thick]):
            n = round(lr * scale)
            start = (size - n) // 2 if training["anchor"] == "centre" else 0
            fwhm = float(degradation["antialias"] or 0.0) * scale
            if gap is not None:
                matrix = profile_matrix(n, lr, (1 - gap) * n / lr, profile)
            elif n != lr:
                matrix = _reduction(n, lr, degradation, fwhm)
            else:
                matrix = np.eye(lr)
            matrices[row, :, start : start + n] = matrix
            where = grid if gap is None else "centres"
            places[row, :n] = query_coordinates(n, lr, coordinates, where)
            sizes.append(n)
            starts.append(start)
        self.matrices = torch.tensor(matrices, dtype=torch.float32, device=device)
        self.places = torch.tensor(places, dtype=torch.float32, device=device)
        self.sizes = torch.tensor(sizes)
        self.lr = lr
        self.starts = torch.tensor(starts)
        one_axis = self.own_scales or self.thick["share"]
        least = sizes[0] * lr**2 if one_axis else sizes[0] ** 3
        self.queries = min(training["queries"], least)
        self.order = Order(len(patches), training["batch"], *seed_parts)
        self.augment = Augmentation(training.get("augment"), *seed_parts)
        # Scales are drawn on the host, which needs to know the largest: asking a GPU for it would
        # make every step wait for the one before.
        self.host = torch.Generator()
        self.random = self.host if device.type == "cpu" else torch.Generator(device=device)

    def __call__(
        self, step: int
    ) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return ((LR, coordinates, cell), intensities) of a step.

        Shapes (B, 1, l, l, l), (B, K, 3) in [-1,1], (B, 3) and (B, K). A cell is the size of the
        queried voxels in half LR voxels.
        """
        seed, chosen = seeds.seed(*self.parts, "step", step), self.order(step)
        self.random.manual_seed(seed)
        self.host.manual_seed(seed)
        batch, size = len(chosen), self.patches.shape[-1]
        draw = self._scales(batch, step)
        sizes, starts = self.sizes[draw], self.starts[draw]
        edge = int(sizes.max())
        chosen, draw, sizes, starts = (
            devices.send(torch.as_tensor(part), self.device)
            for part in (chosen, draw, sizes, starts)
        )
        hr = self.augment(self.patches[chosen], step)
        lr = _separable(hr, *(self.matrices[draw[:, axis]] for axis in range(3)))

        # Distinct voxels: the K smallest of a random key for each voxel of the smallest cube
        # that holds all HR patches, voxels outside their own patch last.
        keys = torch.rand((batch, edge, edge, edge), generator=self.random, device=self.device)
        inside = torch.arange(edge, device=self.device) < sizes[..., None]
        keys.masked_fill_(~inside[:, 0, :, None, None], 2.0)
        keys.masked_fill_(~inside[:, 1, None, :, None], 2.0)
        keys.masked_fill_(~inside[:, 2, None, None, :], 2.0)
        flat = keys.flatten(1).topk(self.queries, dim=1, largest=False, sorted=False).indices
        index = torch.stack([flat // edge**2, flat // edge % edge, flat % edge], dim=-1)

        rows = self.places[draw]
        coordinates = torch.stack(
            [torch.gather(rows[:, axis], 1, index[..., axis]) for axis in range(3)], dim=-1
        )
        index = index + starts[:, None]
        flat = (index[..., 0] * size + index[..., 1]) * size + index[..., 2]
        cell = 2 * self.lr / sizes
        return (lr[:, None], coordinates, cell), torch.gather(hr.flatten(1), 1, flat)

    def _one_scale(self, batch: int) -> torch.Tensor:
        """Draw a scale for each patch, as its index in `scales`."""
        span = self.scales[-1] - self.scales[0]
        if span == 0:
            return torch.zeros(batch, dtype=torch.long)
        above = torch.rand(batch, generator=self.host, dtype=torch.float64) * (span + BEYOND)
        return (10 * above).round().long()

    def _scales(self, batch: int, step: int) -> torch.Tensor:
        """Draw the scales of a step as rows, one for each axis: shape (B, 3), on the host.

        Most often all three axes have the same scale. In the share `own_scales` of the patches each
        axis has another one, and none, one or two axes are not down-sampled. In the share
        `thick_slices.share` one axis has thick slices and the others are not down-sampled.
        """
        count = len(self.scales)
        draw = self._one_scale(batch)[:, None].repeat(1, 3)
        if self.own_scales:
            draw = self._own(draw, batch, step)
        if not self.thick["share"]:
            return draw
        random = torch.Generator().manual_seed(seeds.seed(*self.parts, "thick slices", step))
        chosen = torch.rand(batch, generator=random) < self.thick["share"]
        axis = torch.randint(3, (batch, 1), generator=random)
        row = torch.randint(count * GAPS, (batch, 1), generator=random) + count + 1
        one = torch.full((batch, 3), count).scatter(1, axis, row)
        return torch.where(chosen[:, None], one, draw)

    def _gaps(self) -> list[float]:
        """Return the gaps of thick slices, as shares of the distance between slices."""
        if not self.thick["share"]:
            return []
        return np.linspace(*self.thick.get("gaps", (0.0, 0.0)), GAPS).tolist()

    def _own(self, draw: torch.Tensor, batch: int, step: int) -> torch.Tensor:
        """Give some patches of a draw a scale of its own along each axis, or none."""
        count = len(self.scales)
        random = torch.Generator().manual_seed(seeds.seed(*self.parts, "own scales", step))
        own = torch.rand(batch, generator=random) < self.own_scales
        each = torch.randint(count, (batch, 3), generator=random)
        left = torch.randint(3, (batch, 1), generator=random)
        rank = torch.rand((batch, 3), generator=random).argsort(dim=1)
        each = torch.where(rank < left, count, each)
        return torch.where(own[:, None], each, draw)


def _reduction(n: int, m: int, degradation: Mapping, fwhm: float) -> np.ndarray:
    """Return the matrix of a study's degradation from `n` to `m` samples."""
    kernel, window = degradation.get("kernel", "spline"), degradation.get("window")
    return kernel_matrix(n, m, kernel, degradation["grid"], fwhm, window)


def _separable(data: torch.Tensor, *matrices: torch.Tensor) -> torch.Tensor:
    """Apply matrices (m, n), or one for each item (B, m, n), along the axes of (B, n, n, n).

    Takes one matrix for each axis, or one for all three.
    """
    for matrix in matrices if len(matrices) == 3 else 3 * matrices:
        # Reducing the first axis and moving it to the end three times visits every axis.
        flat = matrix @ data.flatten(2)
        data = flat.unflatten(2, data.shape[2:]).permute(0, 2, 3, 1).contiguous()
    return data
