"""Acquisitions of thick slices, written `thickness|gap`: 4|1 are slices of 4 with gaps of 1.

It stays light, because a study checks its config with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrisr.common.errors import ConfigError

#: Slice profiles, whose full width at half maximum is the thickness.
PROFILES = ("gaussian", "rect", "sinc")
#: Orientation of slices by the axis that runs through them, of a canonical volume.
ORIENTATIONS = ("sagittal", "coronal", "axial")
#: Where a config leaves them open.
AXIS, PROFILE = "axial", "gaussian"


@dataclass(frozen=True)
class Acquisition:
    """Slices along one axis, in voxels of the ground truth (or in mm, of a real scan).

    Attributes:
        thickness: Full width at half maximum of the slice profile.
        gap: From the end of a slice to the start of the next one; below 0 if slices overlap.
    """

    thickness: float
    gap: float = 0.0

    @property
    def spacing(self) -> float:
        """Distance between the centres of slices; in voxels, the scale along the slice axis."""
        return self.thickness + self.gap

    def __str__(self) -> str:
        """Return the usual notation, `4|1`."""
        return f"{self.thickness:g}|{self.gap:g}"


def parsed(text: str, where: str = "degradation.acquisitions") -> Acquisition:
    """Read `thickness|gap`.

    Args:
        text: For example `4|1`.
        where: Start of the message.

    Raises:
        ConfigError: Not two numbers, a thickness of 0, or slices that do not advance by more than
            a voxel.
    """
    try:
        thickness, gap = map(float, str(text).split("|"))
    except ValueError:
        raise ConfigError(
            f"{where}: '{text}' is not thickness|gap in voxels of the ground truth, such as 4|1"
        ) from None
    found = Acquisition(thickness, gap)
    if not (0 < thickness < float("inf") and 1 < found.spacing < float("inf")):
        raise ConfigError(
            f"{where}: '{text}': the thickness must be above 0 and thickness plus gap above 1 voxel"
        )
    return found


def by_scale(acquisitions: Sequence[str]) -> dict[float, Acquisition]:
    """Return acquisitions by their spacing, which is the scale and names the files.

    Raises:
        ConfigError: As `parsed`, and for two acquisitions with the same spacing.
    """
    found: dict[float, Acquisition] = {}
    for text in acquisitions:
        one = parsed(text)
        if one.spacing in found:
            raise ConfigError(
                f"degradation.acquisitions: {found[one.spacing]} and {one} both have a slice every"
                f" {one.spacing:g} voxels, which names their files; make a study of each"
            )
        found[one.spacing] = one
    return found


def of_scale(degradation: Mapping, scale: float) -> Acquisition:
    """Return the acquisition of a study at a scale; slices that touch where none is listed."""
    listed = by_scale(degradation.get("acquisitions") or ())
    return listed.get(float(scale), Acquisition(float(scale)))
