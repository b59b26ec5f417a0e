"""Acquisition of a stack of thick slices, as a linear operator on the HR volume.

Every LR voxel is a Gaussian mean of HR voxels around its centre, oriented like the stack (Ebner et
al. 2020, section 2.4). Its full width at half maximum is 1.2 times the spacing in the slice, and
the slice thickness across it; it is cut at 3 sigma. Nothing is stored per pair of voxels. If a
stack's axes are those of the HR grid, the operator is a product of three small matrices. For any
other stack, the HR volume is first sampled on a finer grid along the stack's axes, and then
multiplied in the same way.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from mrisr.degrade.kernels import FWHM

IN_PLANE, CUT = 1.2, 3.0
# An LR voxel carries no data if less than this share of its profile lies on the HR grid.
COVERAGE = 0.5
# HR voxels by which an aligned stack's axes may deviate from those of the grid, over its whole
# length.
ALIGNED = 0.01
# A narrower profile, in samples, would fall between the samples.
NARROWEST = 0.3


class SliceOperator:
    """A, the acquisition of one stack: `forward` is A x and `adjoint` is its exact transpose.

    Attributes:
        shape: Shape of the stack.
        seen: LR voxels whose profile the HR grid covers, bool, shape `shape`; all others are 0 in
            A x.

    Args:
        shape: Shape of the stack (a, b, c).
        affine: Affine of the stack, shape (4, 4).
        hr_shape: Shape of the HR volume (X, Y, Z).
        hr_affine: Affine of the HR volume.
        device: Device to compute on.
        dtype: Type of the HR volumes and stacks.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        affine: np.ndarray,
        hr_shape: tuple[int, ...],
        hr_affine: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self.shape, self.hr_shape = tuple(map(int, shape)), tuple(map(int, hr_shape))
        self.device, self.dtype = torch.device(device), dtype
        to_hr = np.linalg.inv(hr_affine) @ affine
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        sigma = spacing * profile_widths(spacing) / FWHM
        self.axes = _aligned(to_hr[:3, :3], self.shape)
        if self.axes is not None:
            self._separable(to_hr, sigma / spacing)
        else:
            self._oblique(to_hr, spacing, sigma, np.linalg.norm(hr_affine[:3, :3], axis=0).mean())
        self._share = self._blurred(torch.ones(self.hr_shape, dtype=dtype, device=self.device))
        self.seen = self._share >= COVERAGE
        self._share = torch.where(self.seen, self._share, 1.0)

    def forward(self, hr: torch.Tensor) -> torch.Tensor:
        """HR volume (X, Y, Z) -> stack (a, b, c)."""
        return torch.where(self.seen, self._blurred(hr) / self._share, 0.0)

    def adjoint(self, stack: torch.Tensor) -> torch.Tensor:
        """Stack (a, b, c) -> HR volume (X, Y, Z)."""
        data = torch.where(self.seen, stack / self._share, 0.0)
        for axis, matrix in enumerate(self.matrices):
            data = _along(data, matrix.T, axis)
        if self.axes is not None:
            return data.permute(*np.argsort(self.axes).tolist()).contiguous()
        return torch.ops.aten.grid_sampler_3d_backward(
            data[None, None].contiguous(), self._like, self._grid(), 0, 0, True, [True, False]
        )[0][0, 0]

    def _blurred(self, hr: torch.Tensor) -> torch.Tensor:
        if self.axes is not None:
            data = hr.permute(*self.axes)
        else:
            data = F.grid_sample(hr[None, None], self._grid(), align_corners=True)[0, 0]
        # Start with the axis that shrinks most, so that the arrays of later products are smaller.
        order = sorted(range(3), key=lambda a: self.matrices[a].shape[0] / data.shape[a])
        for axis in order:
            data = _along(data, self.matrices[axis], axis)
        return data

    def _separable(self, to_hr: np.ndarray, sigma: np.ndarray) -> None:
        """Prepare one matrix for each axis; `sigma` in voxels of the stack."""
        assert self.axes is not None
        matrices = []
        for axis, along in enumerate(self.axes):
            step, start = to_hr[along, axis], to_hr[along, 3]
            centres = start + step * np.arange(self.shape[axis])
            matrices.append(_profiles(centres, self.hr_shape[along], sigma[axis] * abs(step)))
        self.matrices = self._tensors(matrices)

    def _oblique(
        self, to_hr: np.ndarray, spacing: np.ndarray, sigma: np.ndarray, voxel: float
    ) -> None:
        """Prepare the finer grid along the stack's axes, and one matrix for each axis on it."""
        # Linear interpolation blurs too: this is its mean variance.
        profile_sigma = np.sqrt(np.maximum(sigma**2 - voxel**2 / 6, (NARROWEST * voxel) ** 2))
        finer = np.maximum(1, np.ceil(spacing / voxel)).astype(int)
        reach = np.ceil(CUT * profile_sigma / spacing * finer).astype(int)
        size = [(n - 1) * f + 1 + 2 * r for n, f, r in zip(self.shape, finer, reach, strict=True)]
        matrices = [
            _profiles(r + f * np.arange(n), m, max(s / d * f, NARROWEST))
            for n, m, f, r, s, d in zip(
                self.shape, size, finer, reach, profile_sigma, spacing, strict=True
            )
        ]
        self.matrices = self._tensors(matrices)
        # From -1 to 1 over the fine grid to -1 to 1 over the HR grid; torch counts axes backwards.
        fine = np.eye(4)
        fine[:3, :3] = np.diag([(m - 1) / 2 / f for m, f in zip(size, finer, strict=True)])
        fine[:3, 3] = [((m - 1) / 2 - r) / f for m, f, r in zip(size, finer, reach, strict=True)]
        half = (np.array(self.hr_shape) - 1) / 2
        unit = np.diag([*(1 / half), 1.0])
        unit[:3, 3] = -1
        turn = np.eye(4)[[2, 1, 0, 3]]
        theta = (turn @ unit @ to_hr @ fine @ turn)[:3]
        self._theta = torch.tensor(theta, dtype=self.dtype, device=self.device)[None]
        self._size = [1, 1, *size]
        self._like = torch.zeros((1, 1, *self.hr_shape), dtype=self.dtype, device=self.device)

    def _grid(self) -> torch.Tensor:
        return F.affine_grid(self._theta, self._size, align_corners=True)

    def _tensors(self, matrices: list[np.ndarray]) -> list[torch.Tensor]:
        return [torch.tensor(m, dtype=self.dtype, device=self.device) for m in matrices]


def profile_widths(spacing: np.ndarray) -> np.ndarray:
    """Return the FWHM of the profile along each axis of a stack, in voxels of the stack.

    Args:
        spacing: Voxel edges in mm; the longest is the slice thickness.

    Returns:
        1 across the slices, 1.2 within them.
    """
    across = np.arange(3) == np.argmax(spacing)
    return np.where(across, 1.0, IN_PLANE)


def _aligned(turn: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the HR axis along which each axis of a stack runs; None if one runs along none."""
    axes = tuple(int(a) for a in np.abs(turn).argmax(axis=0))
    rest = np.abs(turn) * np.array(shape)
    rest[list(axes), range(3)] = 0
    return axes if sorted(axes) == [0, 1, 2] and rest.max() < ALIGNED else None


def _profiles(centres: np.ndarray, n: int, sigma: float) -> np.ndarray:
    """Return Gaussians around `centres` over `n` samples, cut at 3 sigma, shape (centres, n).

    Rows sum to 1 if the whole profile lies on the samples, else to less.
    """
    sigma = max(sigma, NARROWEST)
    reach = math.ceil(CUT * sigma) + 1
    index = np.arange(-reach, n + reach)
    distance = index[None] - np.asarray(centres, float)[:, None]
    weights = np.exp(-0.5 * (distance / sigma) ** 2) * (abs(distance) <= CUT * sigma)
    total = weights.sum(axis=1, keepdims=True)
    # A centre far beyond the samples has a profile that meets none of them.
    return weights[:, reach : reach + n] / np.where(total > 0, total, 1.0)


def _along(data: torch.Tensor, matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """Multiply every line of a 3-D tensor along `axis` by `matrix` (m, n)."""
    if axis == 0:
        return (matrix @ data.reshape(len(data), -1)).view(-1, *data.shape[1:])
    return matrix @ data if axis == 1 else data @ matrix.T
