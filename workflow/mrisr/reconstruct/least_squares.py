"""Super-resolution reconstruction from stacks by regularised least squares (Ebner et al. 2020).

    min over x of  sum over k of 1/2 |W (y_k - A_k x)|^2 + alpha/2 |G x|^2,   then x >= 0

A_k is the acquisition of stack k (`mrisr.degrade.slice_profile`). W drops voxels outside of the
mask or beyond the grid. G is the identity (zeroth-order Tikhonov, TK0) or the gradient in 1/mm
(first-order, TK1). LSMR, as in Ebner et al., needs only A and its adjoint.

Their code (NiftyMIC) starts from zero. Its gradient takes the volume as 0 beyond the last voxel, so
it penalises brightness at the faces where an axis ends. Here both are options.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, lsmr

from mrisr.common.errors import ConfigError, InputError
from mrisr.degrade.slice_profile import SliceOperator
from mrisr.volumes.io import Volume
from mrisr.volumes.stacks import average

log = logging.getLogger("mrisr")
CHOICES = {"regularisation": ("tk0", "tk1"), "start": ("mean", "zero"), "border": ("free", "zero")}


def super_resolve(
    stacks: Mapping[str, Volume],
    shape: Sequence[int],
    affine: np.ndarray,
    *,
    regularisation: str = "tk1",
    alpha: float = 0.02,
    iterations: int = 10,
    start: str = "mean",
    border: str = "free",
    masks: Mapping[str, np.ndarray] | None = None,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Reconstruct the HR volume that explains some stacks.

    Args:
        stacks: Stacks in the common space, any number and orientation.
        shape: Shape of the HR grid.
        affine: Affine of the HR grid.
        regularisation: `tk0` or `tk1`.
        alpha: Weight of the regularisation.
        iterations: Iterations of LSMR.
        start: Start of the iterations: `mean` of the interpolated stacks, or `zero` (NiftyMIC).
        border: Volume beyond the last voxel of an axis as the gradient sees it: nothing (`free`),
            or 0 (`zero`, NiftyMIC).
        masks: By name of the stack, nonzero where its voxels are data; default everywhere.
        device: Device that computes A.

    Returns:
        float32, shape `shape`, not negative.

    Raises:
        ConfigError: An unknown regularisation, start or border.
        InputError: No voxel of the stacks lies on the grid.
    """
    asked = {"regularisation": regularisation, "start": start, "border": border}
    for key, known in CHOICES.items():
        if asked[key] not in known:
            raise ConfigError(
                f"srr: model.{key}: '{asked[key]}' is unknown; known: {', '.join(known)}"
            )
    shape = tuple(map(int, shape))
    system = _System(stacks, shape, affine, masks or {}, regularisation, alpha, border, device)
    first = average(stacks, shape, affine).ravel()
    if start == "zero":
        first = np.zeros_like(first)
    wanted = system.data - system.forward(first)
    # The first product with A comes before the first iteration.
    found = lsmr(system.operator(), wanted, atol=0, btol=0, conlim=0, maxiter=iterations)
    residuals = [float(np.linalg.norm(r)) for r in (wanted, wanted - system.forward(found[0]))]
    log.info(
        "srr: %d stacks, %d voxels, %d iterations, residual %.4g to %.4g",
        *(len(stacks), len(first), found[2], *residuals),
    )
    return np.maximum(first + found[0], 0).astype(np.float32).reshape(shape)


def gradient(
    volume: torch.Tensor, spacing: Sequence[float], border: str = "free"
) -> list[torch.Tensor]:
    """Return the forward differences of a volume along each axis, over `spacing`.

    With the border `free` there is one difference less than voxels along the axis. With `zero`
    there are as many: beyond the last voxel the volume is 0.
    """
    parts = []
    for axis in range(volume.dim()):
        beyond = torch.zeros_like(volume.narrow(axis, 0, 1)) if border == "zero" else None
        parts.append(torch.diff(volume, dim=axis, append=beyond) / spacing[axis])
    return parts


def gradient_adjoint(
    parts: Sequence[torch.Tensor], spacing: Sequence[float], border: str = "free"
) -> torch.Tensor:
    """Return the transpose of `gradient` applied to its parts."""
    less = 1 if border == "free" else 0
    shape = [part.shape[axis] + less for axis, part in enumerate(parts)]
    total = parts[0].new_zeros(shape)
    for axis, part in enumerate(parts):
        inner = part.narrow(axis, 0, shape[axis] - 1)
        total.narrow(axis, 1, shape[axis] - 1).add_(inner, alpha=1 / spacing[axis])
        total.narrow(axis, 0, part.shape[axis]).sub_(part, alpha=1 / spacing[axis])
    return total


class _System:
    """All rows of the least-squares problem: the stacks, and sqrt(alpha) G."""

    def __init__(
        self,
        stacks: Mapping[str, Volume],
        shape: tuple[int, ...],
        affine: np.ndarray,
        masks: Mapping[str, np.ndarray],
        regularisation: str,
        alpha: float,
        border: str,
        device: torch.device | str,
    ):
        self.shape, self.device, self.tk1 = shape, torch.device(device), regularisation == "tk1"
        self.spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        self.border = border
        self.weight = float(np.sqrt(alpha))
        self.parts, rows = [], []
        for name, stack in stacks.items():
            acquire = SliceOperator(stack.data.shape, stack.affine, shape, affine, device)
            used = acquire.seen
            if name in masks:
                used = used & torch.as_tensor(np.asarray(masks[name]) != 0, device=used.device)
            self.parts.append((acquire, used))
            rows.append(np.where(used.cpu().numpy(), stack.data, 0).ravel())
        if not any(bool(used.any()) for _, used in self.parts):
            raise InputError(
                "srr: no voxel of the stacks lies on the grid; look at their affines and masks"
            )
        less = 1 if border == "free" else 0
        sizes = [[n - less * (a == axis) for a, n in enumerate(shape)] for axis in range(3)]
        self.sizes = sizes if self.tk1 else [list(shape)]
        rows += [np.zeros(int(np.prod(size))) for size in self.sizes]
        self.data = np.concatenate(rows).astype(np.float64)

    def operator(self) -> LinearOperator:
        """Return the system as LSMR takes it."""
        count = int(np.prod(self.shape))
        return LinearOperator(
            (len(self.data), count), matvec=self.forward, rmatvec=self.adjoint, dtype=np.float64
        )

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Volume (N,) -> rows (M,); computed in float32, float64 for LSMR's own sums."""
        hr = self._tensor(x).view(self.shape)
        rows = [torch.where(used, acquire.forward(hr), 0.0) for acquire, used in self.parts]
        smooth = gradient(hr, self.spacing, self.border) if self.tk1 else [hr]
        rows += [self.weight * part for part in smooth]
        return torch.cat([row.reshape(-1) for row in rows]).double().cpu().numpy()

    def adjoint(self, rows: np.ndarray) -> np.ndarray:
        """Rows (M,) -> volume (N,), likewise."""
        rows, at = self._tensor(rows), 0
        total = torch.zeros(self.shape, device=self.device)
        for acquire, used in self.parts:
            part = rows[at : at + used.numel()].view(used.shape)
            total += acquire.adjoint(torch.where(used, part, 0.0))
            at += used.numel()
        parts = []
        for size in self.sizes:
            count = int(np.prod(size))
            parts.append(self.weight * rows[at : at + count].view(size))
            at += count
        smooth = gradient_adjoint(parts, self.spacing, self.border) if self.tk1 else parts[0]
        total += smooth
        return total.reshape(-1).double().cpu().numpy()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, np.float32), device=self.device)
