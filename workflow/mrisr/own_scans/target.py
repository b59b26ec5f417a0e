"""The voxels of the SR volume of a user's scan: from a scale, or from a voxel size in mm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name

# An axis stays as it is if its voxels are at most this factor larger than asked for.
ENOUGH = 1.02


@dataclass(frozen=True)
class Target:
    """The voxels asked for.

    Attributes:
        scales: Up-sampling scale along each axis, 1 where the axis stays as it is.
        shape: Voxels of the SR volume.
    """

    scales: tuple[float, float, float]
    shape: tuple[int, int, int]

    @property
    def isotropic(self) -> bool:
        """Whether the scale is practically the same along all axes."""
        return max(self.scales) < ENOUGH * min(self.scales)

    def __str__(self) -> str:
        """Return the scale in words."""
        if self.isotropic:
            return f"{scale_name(self.scales[0])}x"
        return " x ".join(map(scale_name, self.scales))

    def refused(self, refuses: Callable[[float], str | None]) -> str | None:
        """Return why one of the scales is refused, or None.

        Args:
            refuses: Returns why it refuses a scale, or None.
        """
        for scale in dict.fromkeys(self.scales):
            if scale > 1 and (reason := refuses(scale)):
                return reason
        return None


def by_scale(shape: Sequence[int], scale: float) -> Target:
    """Return the target of one scale for all axes.

    Args:
        shape: Voxels of the scan.
        scale: Above 1.

    Raises:
        InputError: The scale is not above 1.
    """
    if scale <= 1:
        raise InputError(f"scale {scale:g}: a scale above 1 is expected")
    return Target((scale,) * 3, tuple(round(n * scale) for n in shape))


def by_voxel_size(
    shape: Sequence[int], voxel_size: Sequence[float], wanted: float, grid: str, where: str
) -> Target:
    """Return the target whose voxels come nearest to a size, with one scale for each axis.

    Axes with voxels of that size or smaller stay as they are.

    Args:
        shape: Voxels of the scan.
        voxel_size: Size of the voxels along each axis, mm.
        wanted: Size of the SR voxels, mm.
        grid: Position of the SR grid over the scan's grid: `corners` or `centres`.
        where: Start of the message.

    Raises:
        InputError: The scan's voxels are not larger than that along any axis.
    """
    ratios = np.asarray(voxel_size, dtype=np.float64) / wanted
    if ratios.max() < ENOUGH:
        sizes = " x ".join(f"{size:.3g}" for size in voxel_size)
        raise InputError(
            f"{where}: its voxels are {sizes} mm already; ask for a --voxel-size below the largest,"
            " or a --scale"
        )
    ends = 1 if grid == "corners" else 0  # the outer voxels' centres stay, or their edges
    voxels = tuple(
        n if ratio < ENOUGH else round((n - ends) * ratio) + ends
        for n, ratio in zip(shape, ratios, strict=True)
    )
    scales = tuple(1.0 if ratio < ENOUGH else round(float(ratio), 2) for ratio in ratios)
    return Target(scales, voxels)
