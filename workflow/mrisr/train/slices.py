"""Training batches of 2-D studies, made on the device: random tiles of slices, LR simulated.

All slices are held in memory. A step cuts a random tile out of each slice of its batch, makes
the LR tile by the study's degradation and, for query networks, draws pixels of the HR tile. The
draws of a step depend on the seed and the step's number alone, so that a resumed run sees the same
batches.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mrisr.common import devices, seeds
from mrisr.common.errors import InputError
from mrisr.common.progress import progress
from mrisr.degrade.resample import kernel_matrix
from mrisr.networks.queries import query_coordinates
from mrisr.train.patches import Order
from mrisr.volumes.io import load
from mrisr.volumes.slices import plane


def load_slices(
    files: Sequence[str | Path], denoised: Sequence[str | Path], size: int
) -> list[np.ndarray]:
    """Load slices, each with its denoised version if there are any.

    Args:
        files: Ground-truth slices, one voxel thick, in [0,1].
        denoised: The same slices denoised, or none.
        size: Edge of an HR tile, which is the least height and width.

    Returns:
        For each slice float32 of shape (1, rows, columns), or (2, rows, columns) with the denoised
        one second.

    Raises:
        InputError: A slice is smaller than a tile, or a denoised one has another shape.
    """
    found = []
    for index, file in enumerate(progress(files, "load slices", len(files))):
        images = [plane(load(path), path) for path in (file, *denoised[index : index + 1])]
        if min(images[0].shape) < size:
            raise InputError(
                f"{file}: {images[0].shape} is smaller than a training tile of {size} pixels; set"
                " a smaller training.lr_patch or another crop"
            )
        if images[-1].shape != images[0].shape:
            raise InputError(
                f"{denoised[index]}: shape {images[-1].shape}, but {file} has"
                f" {images[0].shape}; delete it and run again"
            )
        found.append(np.stack(images))
    return found


class SliceBatches:
    """Batches of random tiles.

    For each slice of a batch a scale k is drawn from U(low, high). The LR tile has l pixels an
    edge and the HR tile n = round(l k), so that the scale is n / l exactly. HR tiles are cut
    anywhere in the slice.

    Args:
        slices: See `load_slices`.
        scales: The scale trained on, or the lowest and the highest.
        training: The method's training settings (`batch`, `lr_patch`; `queries`).
        network: `query`, asked for some pixels of the HR tile, or `upscale`, for all of them.
        coordinates: How query networks are asked; see `mrisr.networks.queries.query_coordinates`.
        degradation: The study's degradation (`kernel`, `grid`, `antialias`).
        device: Where batches are made.
        seed_parts: What the draws depend on.
    """

    def __init__(
        self,
        slices: Sequence[np.ndarray],
        scales: Sequence[float],
        training: dict,
        network: str,
        coordinates: str,
        degradation: dict,
        device: torch.device,
        *seed_parts: object,
    ):
        self.slices = [torch.from_numpy(image).to(device) for image in slices]
        self.lr, self.network, self.device, self.parts = (
            *(training["lr_patch"], network, device),
            seed_parts,
        )
        self.scales = min(scales), max(scales)
        self.order = Order(len(slices), training["batch"], *seed_parts)
        low, high = (round(self.lr * k) for k in self.scales)
        self.queries = min(training.get("queries", low**2), low**2)
        kernel, grid = degradation["kernel"], degradation["grid"]
        self.matrices, self.places = {}, {}
        for n in range(low, high + 1):
            fwhm = float(degradation["antialias"] or 0.0) * n / self.lr
            matrix = kernel_matrix(n, self.lr, kernel, grid, fwhm)
            self.matrices[n] = torch.tensor(matrix, dtype=torch.float32, device=device)
            places = query_coordinates(n, self.lr, coordinates, grid)
            self.places[n] = torch.tensor(places, dtype=torch.float32, device=device)

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices)

    def __call__(self, step: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return the network's inputs and its targets: intensities, and the denoised ones if any.

        Inputs are LR tiles (B, 1, l, l) and, for query networks, coordinates (B, K, 2) in [-1,1]
        and the size of the queried pixels in half LR pixels (B, 2). Targets are (B, K), or
        (B, 1, n, n) for `upscale` networks.
        """
        random = seeds.generator(*self.parts, "step", step)
        lows, targets, coordinates, cells = [], [], [], []
        for index in self.order(step):
            image = self.slices[index]
            n = round(self.lr * random.uniform(*self.scales))
            row, column = (int(random.integers(size - n + 1)) for size in image.shape[1:])
            tile = image[:, row : row + n, column : column + n]
            matrix = self.matrices[n]
            lows.append((matrix @ tile[0] @ matrix.t())[None])
            if self.network == "upscale":
                targets.append(tile)
                continue
            drawn = random.choice(n * n, self.queries, replace=False, shuffle=False)
            flat = devices.send(torch.from_numpy(drawn), self.device)
            targets.append(tile.flatten(1)[:, flat])
            places = self.places[n]
            coordinates.append(torch.stack([places[flat // n], places[flat % n]], dim=-1))
            cells.append(2 * self.lr / n)
        inputs = (torch.stack(lows),)
        if self.network == "query":
            cell = devices.send(torch.tensor(cells, dtype=torch.float32), self.device)
            inputs += (torch.stack(coordinates), cell[:, None].expand(-1, 2))
        both = torch.stack(targets, dim=1)
        if self.network == "upscale":
            both = both[:, :, None]
        return inputs, tuple(both)
