"""Stacks of thick slices in a common space: where their voxels are, and a grid above them."""

from collections.abc import Mapping, Sequence

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from mrisr.volumes.io import Volume


def common_grid(
    stacks: Sequence[Volume], voxel_size: float, like: Volume
) -> tuple[tuple[int, ...], np.ndarray]:
    """Return an isotropic grid that holds all voxels of some stacks.

    Args:
        stacks: Where they lie in the common space, in any orientation; of masks, voxels that
            are 0 need not be on the grid.
        voxel_size: Edge of its voxels in mm.
        like: Its axes are the axes of this volume, in the order nearest to RAS.

    Returns:
        Shape and affine. The outer voxel edges are at most a voxel beyond those of the stacks.
    """
    order = nib.orientations.io_orientation(like.affine)
    axes = like.affine[:3, :3] / like.voxel_size
    frame = np.empty((3, 3))
    for axis, (to, sign) in enumerate(order):
        frame[:, int(to)] = axes[:, axis] * sign
    # Header affines are orthonormal to a few digits, and the grid's must be.
    left, _, right = np.linalg.svd(frame)
    frame = left @ right
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for stack in stacks:
        box = ndimage.find_objects((stack.data != 0).view(np.uint8))[0]
        sides = [(side.start - 0.5, side.stop - 0.5) for side in box]
        corners = np.array(np.meshgrid(*sides)).reshape(3, -1).T
        placed = nib.affines.apply_affine(stack.affine, corners) @ frame
        low, high = np.minimum(low, placed.min(axis=0)), np.maximum(high, placed.max(axis=0))
    shape = tuple(int(n) for n in np.maximum(1, np.ceil((high - low) / voxel_size - 1e-6)))
    # What the last voxels reach beyond is shared by both sides.
    start = (low + high) / 2 - (np.array(shape) - 1) / 2 * voxel_size
    affine = np.eye(4)
    affine[:3, :3] = frame * voxel_size
    affine[:3, 3] = frame @ start
    return shape, affine


def sampled(
    volume: Volume, shape: Sequence[int], affine: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a volume on another grid by B-splines.

    Args:
        volume: Shape (x, y, z).
        shape: Shape of the other grid.
        affine: Affine of the other grid.
        order: Order of the splines: 0 nearest, 1 linear, 3 cubic.

    Returns:
        Intensities, float32, shape `shape` (beyond the volume those of its edge), and where the
        volume's field of view reaches, bool.
    """
    to_voxels = np.linalg.inv(volume.affine) @ affine
    data = ndimage.affine_transform(
        volume.data.astype(np.float32, copy=False),
        *(to_voxels[:3, :3], to_voxels[:3, 3]),
        output_shape=tuple(shape),
        order=order,
        mode="nearest",
    )
    inside = np.ones(tuple(shape), bool)
    for row, n in zip(to_voxels, volume.data.shape, strict=False):
        parts = np.ogrid[tuple(slice(0, m) for m in shape)]
        place = sum(step * part for step, part in zip(row, parts, strict=False)) + row[3]
        # Rounding must not decide at the edge.
        inside &= (place > -0.5 - 1e-6) & (place < n - 0.5 + 1e-6)
    return data, inside


def average(stacks: Mapping[str, Volume], shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """Up-sample each stack by cubic B-splines in the common space, and average them (IREM 3.2).

    Args:
        stacks: In any orientation.
        shape: Shape of the SR grid.
        affine: Its affine.

    Returns:
        float32, shape `shape`; each voxel is the mean over the stacks whose field of view holds
        it, and 0 where none does.
    """
    total, count = np.zeros(tuple(shape), np.float32), np.zeros(tuple(shape), np.float32)
    for stack in stacks.values():
        data, inside = sampled(stack, shape, affine, 3)
        total += np.where(inside, data, 0)
        count += inside
    return total / np.maximum(count, 1)


def positions(
    shape: Sequence[int], affine: np.ndarray, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return where the voxels of a grid lie in mm, float32, shape (*shape, 3)."""
    step = torch.tensor(affine[:3], dtype=torch.float64)
    parts = [torch.arange(n, dtype=torch.float64) for n in shape]
    where = step[:, 3].expand(*shape, 3)
    for axis, part in enumerate(parts):
        view = [1, 1, 1, 1]
        view[axis] = -1
        where = where + part.view(view) * step[:, axis]
    return where.float().to(device)
