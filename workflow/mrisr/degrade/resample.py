"""Simulated low resolution, and cubic interpolation back: products of small matrices.

Cubic resampling is linear and separable: along an axis of n samples it is one m x n matrix. The
kernel `spline` equals `scipy.ndimage.zoom(order=3)`. The kernel `bicubic` equals the bicubic
interpolation of PIL, and that of torch with anti-aliasing. All functions accept NumPy arrays and
torch tensors (on any device) and return the kind that they got.

Two conventions say where the m LR samples of an axis lie among its n HR samples:

- `corners` (published, ArSSR 4.1.1): first and last voxel centres coincide; LR sample j lies at
  HR index j (n-1)/(m-1). This is the default of `scipy.ndimage.zoom`.
- `centres`: the field of view (voxel edges) coincides; LR sample j lies at (j+1/2) n/m - 1/2.
  This is `scipy.ndimage.zoom(grid_mode=True, mode="nearest")`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from scipy import ndimage

from mrisr.degrade.acquisition import AXIS, PROFILE, of_scale
from mrisr.degrade.kernels import FWHM, kspace_matrix
from mrisr.degrade.through_plane import fitted, profile_matrix, slices
from mrisr.volumes.io import Volume

GRIDS = ("corners", "centres")
STACK_AXES = {"axial": 2, "coronal": 1, "sagittal": 0}

Array = TypeVar("Array", np.ndarray, Any)


def lr_size(n: int, scale: float) -> int:
    """Return the number of LR samples of an axis of `n` HR samples, as scipy rounds it."""
    return max(1, round(n / scale))


def lr_positions(n: int, m: int, grid: str = "corners") -> np.ndarray:
    """Return the LR indices of `n` HR samples among `m` LR samples, float64, shape (n,)."""
    index = np.arange(n, dtype=np.float64)
    if grid == "corners":
        return index * ((m - 1) / max(n - 1, 1))
    return (index + 0.5) * (m / n) - 0.5


@lru_cache(maxsize=512)
def resampling_matrix(n: int, m: int, grid: str = "corners", fwhm: float = 0.0) -> np.ndarray:
    """Return the matrix that resamples `n` samples to `m` by cubic B-splines.

    Args:
        n: Number of input samples.
        m: Number of output samples, more or fewer.
        grid: `corners` or `centres`.
        fwhm: Full width at half maximum, in input samples, of a Gaussian applied first (an
            anti-alias filter); 0 for none.

    Returns:
        float64, shape (m, n), read-only.
    """
    if grid not in GRIDS:
        raise ValueError(f"grid {grid!r}: one of {', '.join(GRIDS)}")
    eye = np.eye(n)
    if fwhm > 0:
        eye = ndimage.gaussian_filter1d(eye, fwhm / FWHM, axis=0, mode="nearest", truncate=6.0)
    # Interpolation along one axis only, so that a column is the response to one sample.
    # Mode `mirror` equals scipy's default, except for some sizes (22 to 20): there rounding puts
    # the last sample just outside, and the default mode `constant` returns 0.
    options = {"grid_mode": True, "mode": "nearest"} if grid == "centres" else {"mode": "mirror"}
    matrix = ndimage.zoom(eye, (m / n, 1), order=3, **options) if m != n or fwhm else eye
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=512)
def bicubic_matrix(n: int, m: int, grid: str = "centres") -> np.ndarray:
    """Return the matrix that resamples `n` samples to `m` by cubic convolution.

    It is Keys' kernel (IEEE TASSP 1981, a = -0.5), stretched by n/m where that is above 1, which
    makes it an anti-alias filter. Weights beyond the image are left out, and the others are scaled
    to sum to 1. On the grid `centres` it equals PIL's BICUBIC and `torch.nn.functional.interpolate`
    with mode="bicubic", antialias=True.

    Args:
        n: Number of input samples.
        m: Number of output samples, more or fewer.
        grid: `corners` or `centres`.

    Returns:
        float64, shape (m, n), read-only.
    """
    if grid not in GRIDS:
        raise ValueError(f"grid {grid!r}: one of {', '.join(GRIDS)}")
    positions = lr_positions(m, n, grid)  # of output samples among input samples
    spacing = n / m if grid == "centres" or m < 2 else (n - 1) / (m - 1)
    t = abs(np.arange(n)[None, :] - positions[:, None]) / max(1.0, spacing)
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return weights


def kernel_matrix(
    n: int, m: int, kernel: str, grid: str, fwhm: float = 0.0, window: str | None = None
) -> np.ndarray:
    """Return the matrix that resamples `n` samples to `m` by a kernel: spline, bicubic or kspace.

    `kspace` takes a `window`, has no other anti-alias filter, and lies on the grid `centres`.
    """
    if kernel == "kspace":
        return kspace_matrix(n, m, window)
    return (
        bicubic_matrix(n, m, grid) if kernel == "bicubic" else resampling_matrix(n, m, grid, fwhm)
    )


@lru_cache(maxsize=64)
def slice_profile_matrix(n: int, m: int) -> np.ndarray:
    """Return the matrix of thick slices: Gaussian profiles whose FWHM is the slice thickness n/m.

    Args:
        n: HR samples; thick slices tile them (`centres`).
        m: Thick slices.

    Returns:
        float64, shape (m, n), rows of sum 1, cut at 3 sigma, read-only.
    """
    thickness = n / m
    sigma = thickness / FWHM
    centres = (np.arange(m) + 0.5) * thickness - 0.5
    distance = np.arange(n)[None, :] - centres[:, None]
    weights = np.where(abs(distance) <= 3 * sigma, np.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return weights


def apply_along(data: Array, matrix: np.ndarray, axis: int) -> Array:
    """Multiply every line of a 3-D array along `axis` (0, 1 or 2) by `matrix` (m, n)."""
    if not isinstance(data, np.ndarray):
        import torch

        factor: Any = torch.tensor(matrix, dtype=data.dtype, device=data.device)
    else:
        factor = matrix.astype(data.dtype, copy=False)
    if axis == 0:
        return (factor @ data.reshape(len(data), -1)).reshape(-1, *data.shape[1:])
    if axis == 1:
        return factor @ data
    return data @ factor.T


def downsample(
    data: Array,
    scale: float,
    grid: str = "corners",
    antialias: float | None = None,
    axes: tuple[int, ...] = (0, 1, 2),
    kernel: str = "spline",
    window: str | None = None,
) -> Array:
    """Reduce a volume by `scale`; equal to `scipy.ndimage.zoom(data, 1 / scale, order=3)`.

    Args:
        data: Shape (X, Y, Z), floating point.
        scale: Down-sampling scale k, above 1, an integer or not.
        grid: `corners` (published) or `centres`; see the module.
        antialias: FWHM of a Gaussian applied first, in LR voxels; None (published) for none.
        axes: Axes that are reduced; the others keep their size.
        kernel: `spline` (published, ArSSR), `bicubic` (published, Coord), which includes an
            anti-alias filter, see `bicubic_matrix`, or `kspace`, see `kspace_matrix`.
        window: Of the kernel `kspace`.

    Returns:
        Shape round(n / k) along `axes`, the type of `data`.
    """
    for axis in axes:
        n = data.shape[axis]
        fwhm = float(antialias or 0.0) * scale
        matrix = kernel_matrix(n, lr_size(n, scale), kernel, grid, fwhm, window)
        data = apply_along(data, matrix, axis)
    return data


def upsample(
    data: Array, shape: tuple[int, ...], grid: str = "corners", kernel: str = "spline"
) -> Array:
    """Interpolate a volume to `shape` by cubic B-splines, as `scipy.ndimage.zoom(order=3)` does.

    Args:
        data: Shape (x, y, z), floating point.
        shape: Shape of the HR grid.
        grid: Convention that made `data`.
        kernel: `spline` or `bicubic`, see `bicubic_matrix`.

    Returns:
        Shape `shape`, the type of `data`.
    """
    # Start with the axis that grows least, so that the arrays of later products are smaller.
    for axis in sorted(range(3), key=lambda a: shape[a] / data.shape[a]):
        if data.shape[axis] != shape[axis]:
            matrix = kernel_matrix(data.shape[axis], int(shape[axis]), kernel, grid)
            data = apply_along(data, matrix, axis)
    return data


def lr_affine(
    affine: np.ndarray, hr_shape: tuple[int, ...], lr_shape: tuple[int, ...], grid: str
) -> np.ndarray:
    """Return the affine of an LR volume, with the true place of its voxels in millimetres.

    Args:
        affine: Affine of the HR volume, shape (4, 4).
        hr_shape: Shape of the HR volume.
        lr_shape: Shape of the LR volume.
        grid: Convention of the down-sampling; an axis of equal size is unchanged.
    """
    to_hr = np.eye(4)
    for axis, (n, m) in enumerate(zip(hr_shape, lr_shape, strict=True)):
        if grid == "corners":
            to_hr[axis, axis] = (n - 1) / (m - 1) if m > 1 else n / m
        else:
            to_hr[axis, axis] = n / m
            to_hr[axis, 3] = (n / m - 1) / 2
    return affine @ to_hr


def hr_affine(
    affine: np.ndarray, lr_shape: tuple[int, ...], hr_shape: tuple[int, ...], grid: str
) -> np.ndarray:
    """Return the affine of the HR grid of an LR volume; the inverse of `lr_affine`."""
    inverse = lr_affine(np.eye(4), hr_shape, lr_shape, grid)
    return affine @ np.linalg.inv(inverse)


def acquisition_matrix(n: int, scale: float, degradation: Mapping) -> np.ndarray:
    """Return the matrix of a study's thick slices over `n` samples.

    Args:
        n: Samples of the slice axis.
        scale: The acquisition's spacing in samples.
        degradation: See `degrade`.
    """
    acquisition = of_scale(degradation, scale)
    thickness = fitted(n, acquisition).thickness
    return profile_matrix(n, slices(n, acquisition), thickness, degradation.get("profile", PROFILE))


def degrade(volume: Volume, scale: float, degradation: dict) -> dict[str, Volume]:
    """Simulate the LR input of a study.

    Args:
        volume: Ground truth, in [0,1].
        scale: Down-sampling scale k.
        degradation: The study's `degradation`: `kind` volume (all axes), slice (the two in-plane
            axes of a volume that has one slice), stacks (each axis in turn, IREM 2) or
            through_plane (thick slices along `axis`, with the `acquisitions` of the scales and
            their `profile`); `kernel` spline, bicubic, slice_profile (stacks) or kspace (volume,
            with its `window`), `grid` and `antialias`. Noise is added by `mrisr.degrade.noise`.

    Returns:
        For stacks one volume for each of axial, coronal and sagittal, else one under "".
    """
    kind, grid = degradation["kind"], degradation["grid"]
    antialias, kernel = degradation["antialias"], degradation["kernel"]
    if kind == "stacks":
        made = {}
        for name, axis in STACK_AXES.items():
            if kernel == "slice_profile":
                n = volume.data.shape[axis]
                matrix = slice_profile_matrix(n, lr_size(n, scale))
                made[name] = (apply_along(volume.data, matrix, axis), "centres")
            else:
                data = downsample(volume.data, scale, grid, antialias, (axis,), kernel)
                made[name] = (data, grid)
    elif kind == "through_plane":
        axis = STACK_AXES[degradation.get("axis", AXIS)]
        matrix = acquisition_matrix(volume.data.shape[axis], scale, degradation)
        made = {"": (apply_along(volume.data, matrix, axis), "centres")}
    else:
        shape = volume.data.shape
        axes = (0, 1, 2) if kind == "volume" else tuple(a for a in range(3) if shape[a] > 1)
        window = degradation.get("window")
        low = downsample(volume.data, scale, grid, antialias, axes, kernel, window)
        if kernel == "kspace":  # a scanner shows the magnitude
            low = abs(low)
        made = {"": (low, grid)}
    return {
        name: Volume(
            np.ascontiguousarray(data),
            lr_affine(volume.affine, volume.data.shape, data.shape, used),
            stored=volume.stored,
        )
        for name, (data, used) in made.items()
    }
