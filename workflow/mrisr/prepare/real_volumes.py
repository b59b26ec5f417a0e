"""Real LR scans: scanned at low resolution, without a ground truth.

The scan itself is the input. Its SR grid refines the scan's own by the scale k along every axis
and keeps its field of view (`centres` of `mrisr.degrade.resample`): that is how a scanner samples.
An HR scan of the same subject may stand beside the reconstructions as a reference. It is another
acquisition, with its own noise and contrast, so nothing is measured against it (ArSSR, 4.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.files import Staging
from mrisr.common.progress import log
from mrisr.common.seeds import seed as derived_seed
from mrisr.degrade.acquisition import ORIENTATIONS
from mrisr.degrade.resample import hr_affine, lr_positions
from mrisr.prepare.ground_truth import prepare_volume, signal_mask
from mrisr.prepare.subjects import Scan, each, source_paths
from mrisr.volumes.io import Volume, load, save
from mrisr.volumes.raw import load_scan

#: Where LR and SR samples lie, whatever the study simulates.
GRID = "centres"
# Longest over shortest voxel edge, at most: methods refine all axes by the same scale.
MAX_ANISOTROPY = 1.5
# This share of the range between these percentiles counts as background (Smith, Human Brain
# Mapping 17, 2002: the robust threshold of BET).
PERCENTILES, BACKGROUND = (2, 98), 0.1
# Coarse to fine: shrink factor, sigma of the smoothing, iterations. The default of ANTs begins at a
# sixth of the resolution and looks at a fifth of the voxels: too few of an LR scan.
LEVELS = ((4, 2, 1000), (2, 1, 500), (1, 0, 100))
MIN_LEVEL_SIZE = 20  # fewest voxels along an axis at a level of registration
SAMPLES = 200_000  # number of voxels that registration compares


def foreground(data: np.ndarray) -> np.ndarray:
    """Return the foreground of a scan with or without skull.

    Args:
        data: Intensities from 0, shape (X, Y, Z), not constant.

    Returns:
        True inside, shape (X, Y, Z): what is above the robust threshold of BET, closed, without
        holes, the largest connected part.
    """
    low, high = np.percentile(data, PERCENTILES)
    floor = low + BACKGROUND * (high - low)
    return signal_mask(np.where(data > floor, data, 0), {"kind": "signal"})


def sr_grid(
    lr: Volume, scale: float, slice_axis: int | None = None
) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of the SR grid: round(n k) voxels an axis, the same field of view.

    Args:
        lr: The scan.
        scale: Up-sampling scale k.
        slice_axis: Of thick slices, the only axis that is refined; None for all axes.
    """
    refined = range(3) if slice_axis is None else (slice_axis,)
    shape = tuple(round(n * scale) if a in refined else n for a, n in enumerate(lr.data.shape))
    return shape, hr_affine(lr.affine, lr.data.shape, shape, GRID)


def nearest(data: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return `data` on a finer grid of the same field of view, by nearest neighbour."""
    index = [
        np.clip(np.floor(lr_positions(n, m, GRID) + 0.5).astype(int), 0, m - 1)
        for n, m in zip(shape, data.shape, strict=True)
    ]
    return data[np.ix_(*index)]


def prepare_lr(
    volume: Volume,
    scale: float,
    crop: dict,
    mask: dict,
    name: str,
    min_size: int = 4,
    intensity: Mapping | None = None,
    slice_axis: int | None = None,
) -> tuple[Volume, Volume]:
    """Make the LR input and the SR grid of a scan.

    Args:
        volume: A scan of shape (X, Y, Z) in any orientation and unit.
        scale: Up-sampling scale k.
        crop: As for a ground truth, see `mrisr.prepare.ground_truth.prepare_volume`.
        mask: As for a ground truth; a `crop` of kind `brain` uses its box.
        name: Subject or file, for messages.
        min_size: Least number of LR voxels along an axis.
        intensity: As for a ground truth.
        slice_axis: Axis through the thick slices of a study of these; None in other studies.

    Returns:
        The LR volume, canonical RAS, float32 in [0, 1] by one gain, its maximum 1; and its
        foreground on the SR grid, uint8 of 0 and 1.

    Raises:
        InputError: As `prepare_volume`, and for voxels that are too anisotropic, or in a study of
            thick slices for slices along another axis.
    """
    lr, _ = prepare_volume(volume, crop, mask, name, min_size, intensity=intensity)
    edges = lr.voxel_size
    if slice_axis is not None:
        _check_slices(edges, slice_axis, name)
    # Headers give edges to a few digits.
    elif edges.max() > 1.001 * MAX_ANISOTROPY * edges.min():
        raise InputError(
            f"{name}: voxels of {' x '.join(f'{edge:.3g}' for edge in edges)} mm; the methods"
            f" refine all axes by one scale and are trained on voxels of about equal edges, so an"
            f" edge may be {MAX_ANISOTROPY:g} times another at most: use a 3-D acquisition, or"
            " resample the scan to about cubic voxels before, and say so; or make a study of"
            " degradation.kind: through_plane"
        )
    shape, affine = sr_grid(lr, scale, slice_axis)
    inside = nearest(foreground(lr.data), shape)
    return lr, Volume(inside.astype(np.uint8), affine)


def _check_slices(edges: np.ndarray, slice_axis: int, name: str) -> None:
    """Refuse a scan whose longest voxel edge is not along the study's slice axis."""
    longest = int(np.argmax(edges))
    if longest != slice_axis or edges[longest] < 1.001 * np.delete(edges, longest).max():
        raise InputError(
            f"{name}: voxels of {' x '.join(f'{edge:.3g}' for edge in edges)} mm have no thick"
            f" {ORIENTATIONS[slice_axis]} slices, of which the study is (degradation.axis); make a"
            " study of its own for other scans"
        )


def lr_scans(
    sources: str | Path,
    names: Sequence[str],
    lr: Sequence[str | Path],
    masks: Sequence[str | Path],
) -> list[Scan]:
    """Return the subjects of a dataset of real LR scans, with their files.

    Args:
        sources: TSV with the columns subject and path.
        names: Names of the subjects.
        lr: Path of each subject's LR volume.
        masks: Path of its foreground on the SR grid.

    Raises:
        InputError: `sources` lacks some subjects.
    """
    paths = source_paths(sources, names)
    return [
        Scan(name=name, outputs=tuple(outputs), path=paths[name])
        for name, *outputs in zip(names, lr, masks, strict=True)
    ]


def prepare_lr_subjects(
    scans: Sequence[Scan],
    *,
    scale: float,
    crop: dict,
    mask: dict,
    min_size: int,
    intensity: Mapping | None = None,
    slice_axis: int | None = None,
    staging: Staging,
) -> None:
    """Prepare the real LR scans of all subjects at one scale.

    Args:
        scans: From `lr_scans`.
        scale: Up-sampling scale k.
        crop: See `prepare_lr`.
        mask: See `prepare_lr`.
        min_size: See `prepare_lr`.
        intensity: See `prepare_lr`.
        slice_axis: See `prepare_lr`.
        staging: Where finished subjects wait while others are still worked on.

    Raises:
        InputError: Some subjects cannot be used, a line each; no final file has been written.
    """

    def prepare(scan: Scan, staged: Sequence[Path]) -> None:
        raw = load_scan(scan.path)
        how = (crop, mask, scan.path, min_size, intensity, slice_axis)
        volumes = prepare_lr(raw, scale, *how)
        for volume, file in zip(volumes, staged, strict=True):
            save(volume, file)

    each(prepare, scans, staging, "prepare LR")


@dataclass(frozen=True, kw_only=True)
class Reference(Scan):
    """The HR reference of a subject.

    Attributes:
        lr: The prepared LR volume of the subject.
    """

    lr: str | Path


def references(
    sources: str | Path,
    names: Sequence[str],
    lr: Sequence[str | Path],
    hr: Sequence[str | Path],
    masks: Sequence[str | Path],
) -> list[Reference]:
    """Return the HR references of a dataset, with their files.

    Args:
        sources: TSV with the columns subject and path.
        names: Names of the subjects.
        lr: The prepared LR volume of each subject.
        hr: Path of each subject's reference: canonical RAS, in [0, 1].
        masks: Path of its foreground, on the same grid.

    Raises:
        InputError: `sources` lacks some subjects.
    """
    paths = source_paths(sources, names)
    return [
        Reference(name=name, outputs=tuple(outputs), path=paths[name], lr=fixed)
        for name, fixed, *outputs in zip(names, lr, hr, masks, strict=True)
    ]


def prepare_reference_subjects(
    scans: Sequence[Reference],
    *,
    mask: dict,
    register: str,
    min_size: int,
    seed: int,
    intensity: Mapping | None = None,
    staging: Staging,
) -> None:
    """Prepare the HR references of all subjects, on their own voxels.

    Args:
        scans: From `references`.
        mask: See `mrisr.prepare.ground_truth.prepare_volume`.
        register: `rigid` moves each reference to its LR volume by its affine, `none` trusts the
            positions that the scanner wrote.
        min_size: Least number of voxels along an axis.
        seed: The study's seed, from which the seed of the registration derives.
        intensity: See `prepare_lr`.
        staging: As in `prepare_lr_subjects`.

    Raises:
        InputError: As `prepare_lr_subjects`, and where the registration failed.
    """

    def prepare(scan: Reference, staged: Sequence[Path]) -> None:
        reference, _ = prepare_volume(
            load_scan(scan.path),
            {"kind": "none"},
            mask,
            scan.path,
            min_size,
            intensity=intensity,
        )
        if register == "rigid":
            drawn = derived_seed(seed, "reference", scan.name)
            reference = registered(reference, load(scan.lr), seed=drawn, name=scan.path)
        inside = Volume(foreground(reference.data).astype(np.uint8), reference.affine)
        for volume, file in zip((reference, inside), staged, strict=True):
            save(volume, file)

    each(prepare, scans, staging, "prepare references")


def registered(moving: Volume, fixed: Volume, *, seed: int = 0, name: str = "image") -> Volume:
    """Move a volume to where another scan of the same head lies.

    Rigid (mutual information, ANTs): the motion goes into the affine, no voxel is resampled.

    Args:
        moving: The volume to move, shape (X, Y, Z).
        fixed: The scan to move it to, shape (x, y, z); the contrast may differ.
        seed: Not negative; decides which voxels the registration samples.
        name: Subject or file, for messages.

    Returns:
        The same voxels with another affine.

    Raises:
        InputError: ANTs gave up, or the two scans do not overlap afterwards.
    """
    motion = rigid_motion(moving, fixed, seed=seed, name=name)
    affine = np.linalg.inv(motion) @ moving.affine
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in moving.data.shape])).reshape(3, -1)
    before, after = (nib.affines.apply_affine(a, corners.T) for a in (moving.affine, affine))
    log.info(
        "%s: moved to the LR scan, its corners by %.1f mm at most",
        name,
        np.linalg.norm(after - before, axis=1).max(),
    )
    found = Volume(moving.data, affine)
    inside = foreground(fixed.data)
    shared = float((resampled(found, fixed.data.shape, fixed.affine) > 0)[inside].mean())
    if shared < 0.5:
        raise InputError(
            f"{name}: after the registration it covers {100 * shared:.0f} % of the LR scan's"
            " foreground; are both of the same subject? Set reference.register: none, or look at"
            " the orientations"
        )
    return found


def rigid_motion(
    moving: Volume, fixed: Volume, *, seed: int = 0, name: str = "image"
) -> np.ndarray:
    """Return the rigid map of points of `fixed` to those of `moving`, in mm (RAS), shape (4, 4).

    Raises:
        InputError: ANTs gave up.
    """
    # Imported only when needed: ANTs takes seconds to import.
    from mrisr.volumes.registration import placed, run, scratch

    # The finest level is always used.
    levels = [level for level in LEVELS[:-1] if min(fixed.data.shape) >= level[0] * MIN_LEVEL_SIZE]
    levels.append(LEVELS[-1])
    with scratch() as ants:
        found = run(
            ants.registration,
            name,
            fixed=placed(ants, fixed.data, fixed.affine),
            moving=placed(ants, moving.data, moving.affine),
            type_of_transform="Rigid",
            aff_shrink_factors=tuple(level[0] for level in levels),
            aff_smoothing_sigmas=tuple(level[1] for level in levels),
            aff_iterations=tuple(level[2] for level in levels),
            aff_random_sampling_rate=min(1.0, SAMPLES / fixed.data.size),
            # ANTs takes a positive 31-bit integer.
            random_seed=1 + seed % (2**31 - 2),
        )
        transform = ants.read_transform(found["fwdtransforms"][0])
        points = np.vstack([np.zeros(3), np.eye(3)])
        mapped = np.array([transform.apply_to_point(point) for point in points])
    lps = np.eye(4)
    lps[:3, 3] = mapped[0]
    lps[:3, :3] = (mapped[1:] - mapped[0]).T
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return flip @ lps @ flip


def resampled(volume: Volume, shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """Return a volume on another grid, linearly interpolated; 0 outside of the volume.

    Args:
        volume: Shape (X, Y, Z).
        shape: Shape of the other grid, three axes.
        affine: Affine of the other grid.
    """
    from scipy import ndimage

    to_voxels = np.linalg.inv(volume.affine) @ affine
    return ndimage.affine_transform(
        volume.data, to_voxels[:3, :3], to_voxels[:3, 3], output_shape=tuple(shape), order=1
    )
