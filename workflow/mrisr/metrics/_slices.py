"""The slice-by-slice rule: which 2-D slices of a volume a metric sees, and how it takes them.

ArSSR (Wu et al.), 4.1.2: every slice of the three orthogonal directions, scores averaged over all
slices. The orientation is fixed, because PSI only sees horizontal edges.
"""

from collections.abc import Iterator

import numpy as np
import torch

from mrisr.common.errors import InputError

DIRECTIONS = ("sagittal", "coronal", "axial")
# A few slices fit the caches of a CPU, where larger batches were slower; a GPU wants many.
BATCH_PIXELS = {"cpu": 1, "cuda": 1 << 22}


def stack(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return the slices of a canonical RAS volume across one axis, as a view.

    Radiological orientation: rows run from superior to inferior (sagittal, coronal) or anterior
    to posterior (axial); columns from anterior to posterior (sagittal) or from the right of the
    patient to the left (coronal, axial).

    Args:
        volume: Shape (X, Y, Z), axes towards right, anterior, superior.
        axis: 0 sagittal, 1 coronal, 2 axial.

    Returns:
        Shape (slices, rows, columns).
    """
    others = [other for other in (2, 1, 0) if other != axis]
    return volume.transpose(axis, *others)[:, ::-1, ::-1]


def stacks(data: np.ndarray) -> list[np.ndarray]:
    """Return all stacks of slices of a volume; an image or a volume one voxel thick is one slice.

    Args:
        data: Shape (X, Y, Z), or (H, W), which is taken as it lies.
    """
    if data.ndim == 2:
        return [data[None]]
    if data.ndim != 3:
        raise InputError(f"image: {data.ndim} axes; a volume or a 2-D slice is expected")
    thin = [axis for axis in range(3) if data.shape[axis] == 1]
    return [stack(data, axis) for axis in (thin[:1] or range(3))]


def signal(slices: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Return which slices of (N, H, W) have intensities further apart than `least`, shape (N,)."""
    return slices.max(axis=(1, 2)) - slices.min(axis=(1, 2)) > least


def checked(name: str, min_size: int, *arrays: np.ndarray) -> tuple[bool, list[np.ndarray]]:
    """Return arrays fit for a metric of 2-D slices.

    Args:
        name: The metric, for messages.
        min_size: Least height and width.
        *arrays: Slices of the same shape, (H, W) or (N, H, W), any type of number.

    Returns:
        Whether it was a single slice, and the arrays as (N, H, W), float32 or float64.

    Raises:
        InputError: Another number of axes, different shapes, too small, NaN or infinite values.
    """
    found = [np.asarray(array) for array in arrays]
    shape = found[0].shape
    if len(shape) not in (2, 3):
        raise InputError(f"{name}: shape {shape}; slices (H, W) or (N, H, W) are expected")
    if any(array.shape != shape for array in found):
        raise InputError(f"{name}: shapes differ, {' and '.join(str(a.shape) for a in found)}")
    if min(shape[-2:]) < min_size:
        raise InputError(
            f"{name}: slices of {shape[-2]} x {shape[-1]}; it needs {min_size} x {min_size} at"
            " least: crop less, or leave the metric out"
        )
    for array in found:
        if not np.isfinite(array).all():
            raise InputError(f"{name}: a slice holds NaN or infinite values; make the image again")
    wide = [a if a.dtype in (np.float32, np.float64) else a.astype(np.float64) for a in found]
    return len(shape) == 2, [a[None] if len(shape) == 2 else a for a in wide]


def batches(
    device: "str | torch.device", dtype: "torch.dtype | None", *arrays: np.ndarray
) -> Iterator[list[torch.Tensor]]:
    """Yield slices of (N, H, W) arrays as tensors on a device, as many at once as suit it.

    Args:
        device: Where to compute.
        dtype: Precision; None keeps that of the arrays.
        *arrays: Of the same shape.
    """
    device = torch.device(device)
    count, height, width = arrays[0].shape
    size = max(1, BATCH_PIXELS[device.type] // (height * width))
    for start in range(0, count, size):
        yield [
            torch.from_numpy(np.ascontiguousarray(array[start : start + size])).to(device, dtype)
            for array in arrays
        ]


def result(single: bool, scores_by_batch: list[torch.Tensor]) -> "float | np.ndarray":
    """Return the scores of all slices as float64, or the only one as a float."""
    scores = torch.cat(scores_by_batch).double().cpu().numpy()
    return float(scores[0]) if single else scores


def nonzero(tensor: torch.Tensor) -> torch.Tensor:
    """Return the flat indices of nonzero values; numpy is faster at it on a CPU."""
    if tensor.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(tensor.numpy()))
    return tensor.flatten().nonzero()[:, 0]
