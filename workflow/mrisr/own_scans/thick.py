"""The thick slices of a user's scan: along which axis, how thick, with which gap."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrisr.common.errors import InputError
from mrisr.degrade.acquisition import ORIENTATIONS, PROFILE
from mrisr.volumes.io import Volume

log = logging.getLogger("mrisr")

# An axis is that of the slices if its voxels are this much longer than those of the other two.
LONGER = 1.2
# Differences between a header's and a sidecar's spacing that rounding explains.
ROUNDING = 0.02
THICKNESS, SPACING = "SliceThickness", "SpacingBetweenSlices"


@dataclass(frozen=True)
class Slices:
    """How the slices of a scan lie.

    Attributes:
        axis: Axis of the volume that runs through the slices.
        spacing: Between the centres of slices, mm: the voxel size along the axis.
        thickness: Of a slice, mm.
        source: Where the thickness is from, for people.
    """

    axis: int
    spacing: float
    thickness: float
    source: str

    @property
    def gap(self) -> float:
        """Between two slices, mm; below 0 where they overlap."""
        return self.spacing - self.thickness

    def __str__(self) -> str:
        """Return the slices in words."""
        return (
            f"slices of {self.thickness:.3g} mm every {self.spacing:.3g} mm"
            f" (gap {0 if abs(self.gap) < 1e-6 else self.gap:.3g} mm; {self.source})"
        )

    def degradation(self, voxel: float) -> tuple[dict, float]:
        """Return a study's `degradation` of these slices, and its scale.

        Args:
            voxel: Size of the SR voxels along the axis, mm.
        """
        thickness, gap = self.thickness / voxel, self.gap / voxel
        how = {
            "kind": "through_plane",
            "axis": ORIENTATIONS[self.axis],
            "profile": PROFILE,
            "acquisitions": [f"{thickness!r}|{gap!r}"],
            **{"kernel": "slice_profile", "grid": "centres", "antialias": None},
        }
        return how, thickness + gap


def slice_axis(volume: Volume) -> int | None:
    """Return the axis that runs through the slices, or None if no axis has longer voxels."""
    edges = volume.voxel_size
    axis = int(np.argmax(edges))
    return axis if edges[axis] > LONGER * np.delete(edges, axis).max() else None


def in_plane(volume: Volume) -> float:
    """Return the finest voxel edge of a volume, mm."""
    return float(volume.voxel_size.min())


def slices_of(
    scan: str | Path, volume: Volume, thickness: float | None = None, gap: float | None = None
) -> Slices | None:
    """Return how the slices of a scan lie, by what was given, its BIDS sidecar, or assumption.

    Args:
        scan: The file; its sidecar is `<name>.json` beside it.
        volume: Its content, canonical RAS.
        thickness: Thickness of the slices in mm, if the user gave it.
        gap: Gap between the slices in mm, likewise.

    Returns:
        None for a scan whose voxels are about as long as wide.

    Raises:
        InputError: Thickness, gap and voxels contradict each other, or the sidecar is not one.
    """
    axis = slice_axis(volume)
    if axis is None:
        if thickness is not None or gap is not None:
            log.warning(
                "%s: voxels of %s mm are nearly isotropic already; --thickness and --gap are not"
                " used",
                *(scan, edges(volume)),
            )
        return None
    spacing = float(volume.voxel_size[axis])
    if thickness is not None or gap is not None:
        return Slices(axis, spacing, _given(scan, spacing, thickness, gap), "as given")
    file = Path(str(scan).removesuffix(".gz").removesuffix(".nii") + ".json")
    said = _sidecar(file) if file.is_file() else {}
    if THICKNESS not in said:
        return Slices(axis, spacing, spacing, "assumed without gap; --thickness or --gap says more")
    found = said.get(SPACING, spacing)
    if abs(found - spacing) > ROUNDING * spacing:
        log.warning(
            "%s: %s of %.3g mm, but the scan's voxels have %.3g mm there; the voxels count",
            *(file, SPACING, found, spacing),
        )
    if said[THICKNESS] > 3 * spacing:
        raise InputError(
            f"{file}: {THICKNESS} of {said[THICKNESS]:g} mm, but a slice every {spacing:.3g} mm;"
            " correct it, or give --thickness"
        )
    return Slices(axis, spacing, said[THICKNESS], file.name)


def edges(volume: Volume) -> str:
    """Return the voxel edges of a volume in words, without the unit."""
    return " x ".join(f"{edge:.3g}" for edge in volume.voxel_size)


def _given(scan: str | Path, spacing: float, thickness: float | None, gap: float | None) -> float:
    """Return the thickness that a user's options and the voxels agree on."""
    if thickness is None:
        assert gap is not None  # one of the two is given
        if gap >= spacing:
            raise InputError(
                f"{scan}: --gap {gap:g}: there is a slice every {spacing:.3g} mm; give less"
            )
        return spacing - gap
    if not 0 < thickness <= 3 * spacing:
        raise InputError(
            f"{scan}: --thickness {thickness:g}: there is a slice every {spacing:.3g} mm; give a"
            " thickness in mm"
        )
    if gap is not None and abs(thickness + gap - spacing) > ROUNDING * spacing:
        raise InputError(
            f"{scan}: --thickness {thickness:g} and --gap {gap:g} make {thickness + gap:g} mm, but"
            f" there is a slice every {spacing:.3g} mm; give one of them, or correct the scan"
        )
    return thickness


def _sidecar(file: Path) -> dict[str, float]:
    """Return thickness and spacing that a JSON file names, in mm."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        named = {key: content[key] for key in (THICKNESS, SPACING) if content.get(key) is not None}
        found = {key: float(number) for key, number in named.items()}
        if not all(0 < number < float("inf") for number in found.values()):
            raise ValueError(f"not above 0: {named}")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: not a sidecar of BIDS with {THICKNESS} and {SPACING} in mm ({error}); correct"
            " it, or give --thickness"
        ) from None
    return found
