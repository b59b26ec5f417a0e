"""From a raw scan to the ground truth and its mask: orientation, crop, one gain to [0, 1]."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import Staging, sha256
from mrisr.common.progress import log
from mrisr.common.seeds import generator
from mrisr.common.seeds import seed as make_seed
from mrisr.prepare.subjects import Subject, each, source_rows
from mrisr.volumes.checks import (
    affine_problems,
    mask_notes,
    refuse,
    size_problems,
    voxel_notes,
    voxel_problems,
)
from mrisr.volumes.intensity import white_level, white_part, without_black
from mrisr.volumes.io import Volume, canonical, check_grid, save
from mrisr.volumes.raw import load_mask, load_scan

# Radius in voxels of the octahedron that closes the mask.
CLOSING_RADIUS = 2
PATCH_SLACK = 1e-3  # how far a published patch may reach beyond [0, 1]


def prepare_volume(
    volume: Volume,
    crop: dict,
    mask: dict,
    name: str,
    min_size: int = 8,
    find_mask: Callable[[Volume], Volume] | None = None,
    multiple: int = 1,
    intensity: Mapping | None = None,
) -> tuple[Volume, Volume]:
    """Make the ground truth and the mask of one scan.

    The scan is turned to RAS by flips and permutations of axes, cropped or padded, and divided
    by its maximum; it is never resampled, and every voxel keeps its position in mm.

    Args:
        volume: A scan of shape (X, Y, Z) in any orientation and unit.
        crop: `{kind: none}`; `{kind: brain, margin: m}`, the box of the mask and m voxels around
            it, as far as the volume reaches; or `{kind: shape, shape: [a, b, c]}`, each axis
            padded with 0 on both sides, or cropped to its middle. If the middle would cut the
            mask's box more than another window, the window is centred on the box, as far as the
            volume reaches.
        mask: `{kind: signal}` takes what is above 0, closes it (radius 2 voxels), fills holes
            and keeps the largest connected part; other kinds are what `find_mask` returns.
        name: Subject or file, for messages.
        min_size: Least number of voxels along an axis, which the largest scale sets.
        find_mask: Takes the scan, turned to RAS, and returns its mask on the same grid, nonzero
            inside; needed unless the kind of mask is signal.
        multiple: Every axis is cut at both ends to a multiple of this number of voxels, so that
            thick slices of k voxels tile the volume.
        intensity: Which values become 0 and 1, see `mrisr.volumes.intensity`; default 0 and the
            maximum.

    Returns:
        The ground truth, float32 in [0, 1] with maximum 1, and the mask, uint8 of 0 and 1, on
        the same grid.

    Raises:
        ScanError: `mrisr.volumes.checks` refuses voxels or affine, or the volume is too small.
        InputError: No mask is found, it is empty, or the crop leaves nothing of it.
        ConfigError: An unknown kind of crop or mask.
    """
    intensity = intensity or {}
    cut_white = white_part(intensity) is not None
    raw = without_black(volume.data, intensity)
    refuse(name, affine_problems(volume.affine) + voxel_problems(raw, cut_white))
    for note in voxel_notes(raw, cut_white):
        log.warning("%s: %s", name, note)
    volume = canonical(replace(volume, data=raw))
    data, affine, stored = volume.data, volume.affine, volume.stored

    inside = find_mask(volume).data != 0 if find_mask else signal_mask(data, mask)
    if not inside.any():
        raise InputError(f"{name}: its mask is empty; correct the mask, or leave the subject out")
    box = ndimage.find_objects(inside.view(np.uint8))[0]
    window = crop_window(inside.shape, [(side.start, side.stop) for side in box], crop)
    window = [_whole(side, multiple) for side in window]
    size = [stop - start for start, stop in window]
    refuse(name, size_problems(size, min_size, "after cropping"))
    cut = int(inside.sum())
    data, inside = _cut(data, window), _cut(inside, window)
    cut -= int(inside.sum())
    if not inside.any():
        raise InputError(f"{name}: the crop to {size} leaves nothing of the mask; crop less")
    if cut:
        log.warning("%s: the crop to %s cuts off %d voxels of the mask", name, size, cut)
    affine = affine @ nib.affines.from_matvec(np.eye(3), [start for start, _ in window])

    top = white_level(data, intensity)
    if top <= 0:
        raise InputError(f"{name}: nothing above 0 is left after cropping; crop less")
    above = int((data > top).sum())
    if above:
        most = float(data.max())
        log.info("%s: %d voxels above white, %.6g to %.6g, set to 1", name, above, top, most)
    ringing = int((data < -0.01 * top).sum())
    if ringing:
        log.info("%s: %d voxels below -1 %% of the maximum set to 0", name, ringing)
    data = np.ascontiguousarray(np.clip(data / np.float32(top), 0, 1), dtype=np.float32)
    return Volume(data, affine, stored=stored), Volume(inside.astype(np.uint8), affine)


def prepare_patch(volume: Volume, name: str, min_size: int = 8) -> tuple[Volume, Volume]:
    """Take a training patch as its publisher cut and normalised it, turned to RAS.

    A patch knows nothing of its volume's maximum, so intensities stay as they are.

    Args:
        volume: Shape (X, Y, Z), in [0, 1].
        name: File, for messages.
        min_size: Least number of voxels along an axis.

    Returns:
        The patch, float32, and a mask of all of it.

    Raises:
        ScanError: The affine is unusable, or the patch is too small.
        InputError: Intensities are not finite, or not in [0, 1].
    """
    refuse(name, affine_problems(volume.affine) + size_problems(volume.data.shape, min_size))
    volume = canonical(volume)
    low, high = float(volume.data.min()), float(volume.data.max())
    # Others wrote these as float32: a maximum may be off in the last digits.
    if not (low >= -PATCH_SLACK and high <= 1 + PATCH_SLACK):
        raise InputError(
            f"{name}: intensities from {low:.4g} to {high:.4g}; a training patch must have been"
            " divided by its whole volume's maximum: divide it, or leave it out"
        )
    data = np.ascontiguousarray(np.clip(volume.data, 0, 1), dtype=np.float32)
    inside = Volume(np.ones(data.shape, np.uint8), volume.affine)
    return Volume(data, volume.affine, stored=volume.stored), inside


def given_mask(path: str | Path, scan: Volume, name: str) -> Volume:
    """Load a mask that lies beside a scan.

    Args:
        path: NIfTI or MGH, on the grid of the scan in any orientation, nonzero inside.
        scan: The scan, turned to RAS.
        name: The scan's file, for messages.

    Returns:
        The mask on the grid of `scan`, uint8 of 0 and 1.

    Raises:
        InputError: The mask is missing, unusable, off the grid or empty.
    """
    mask = canonical(load_mask(path))
    try:
        check_grid(mask, path, scan, name)
    except InputError as error:
        problem = str(error).rpartition(";")[0]
        raise InputError(f"{problem}; resample the mask to the grid of its scan") from None
    if not mask.data.any():
        raise InputError(f"{path}: the mask is empty; it must be nonzero inside")
    return mask


def take_slices(
    truth: Volume, inside: Volume, slices: dict, name: str, seed_parts: tuple
) -> list[tuple[Volume, Volume]]:
    """Draw 2-D slices out of a prepared volume (Coord study: five of the central 80 sagittal).

    Args:
        truth: Ground truth of shape (X, Y, Z), RAS.
        inside: Its mask.
        slices: `count`, how many; `axis`, sagittal (default), coronal or axial; `central`, among
            how many central ones (default all); `multiple`, what rows and columns are to be a
            multiple of (default 1): the others are cut off, as many at either end.
        name: Subject or file, for messages.
        seed_parts: Values that seed the draw.

    Returns:
        Ground truth and mask of each slice, in order, one voxel thick, at its place in mm.

    Raises:
        InputError: Fewer slices than `count`, or fewer rows or columns than `multiple`.
    """
    axis = ("sagittal", "coronal", "axial").index(slices.get("axis", "sagittal"))
    n = truth.data.shape[axis]
    central = min(slices.get("central", n), n)
    if central < slices["count"]:
        raise InputError(
            f"{name}: {central} slices, but {slices['count']} are to be drawn; set a smaller"
            " slices.count"
        )
    drawn = generator(*seed_parts).choice(central, slices["count"], replace=False)
    multiple = slices.get("multiple", 1)
    kept = [size - size % multiple for size in truth.data.shape]
    starts = [(size - length) // 2 for size, length in zip(truth.data.shape, kept, strict=True)]
    if min(kept[:axis] + kept[axis + 1 :]) < 1:
        raise InputError(
            f"{name}: slices of {truth.data.shape} cannot be cropped to a multiple of {multiple};"
            " set a smaller slices.multiple"
        )
    found = []
    for index in sorted((n - central) // 2 + drawn):
        starts[axis], kept[axis] = index, 1
        shift = nib.affines.from_matvec(np.eye(3), starts)
        part = tuple(slice(a, a + size) for a, size in zip(starts, kept, strict=True))
        found.append(tuple(Volume(v.data[part].copy(), v.affine @ shift) for v in (truth, inside)))
    return found


def signal_mask(data: np.ndarray, mask: dict) -> np.ndarray:
    """Return the mask of the voxels where a skull-stripped volume has signal.

    Args:
        data: Intensities, shape (X, Y, Z), some of them above 0.
        mask: `{kind: signal}`, see `prepare_volume`.

    Returns:
        True inside, shape (X, Y, Z): one connected part without holes.

    Raises:
        ConfigError: Another kind of mask.
    """
    if mask.get("kind") != "signal":
        raise ConfigError(
            f"mask: kind {mask.get('kind')!r} is unknown here; known: signal, and with a function"
            " that finds the mask, file and template"
        )
    signal = data > 0
    box = ndimage.find_objects(signal.view(np.uint8))[0]
    # The morphology runs on the box of the signal, with a rim so that nothing touches its edge.
    rim = CLOSING_RADIUS + 1
    part = np.pad(signal[box], rim)
    part = ndimage.binary_closing(part, iterations=CLOSING_RADIUS)
    outside, _ = ndimage.label(~part)
    part = outside != outside[0, 0, 0]
    labels, count = ndimage.label(part)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        part = labels == 1 + np.argmax(sizes[1:])
    inside = np.zeros(data.shape, dtype=bool)
    inside[box] = part[(slice(rim, -rim),) * 3]
    return inside


def crop_window(
    shape: Sequence[int], box: Sequence[tuple[int, int]], crop: dict
) -> list[tuple[int, int]]:
    """Return the window that a crop keeps: first voxel and the one after the last, for each axis.

    Args:
        shape: Shape of the volume.
        box: Box of the mask: first voxel and the one after the last, for each axis.
        crop: See `prepare_volume`.

    Returns:
        Windows in voxels of the volume. What lies below 0 or beyond the volume is padding.

    Raises:
        ConfigError: Another kind of crop.
    """
    match crop:
        case {"kind": "none"}:
            return [(0, n) for n in shape]
        case {"kind": "brain"}:
            margin = crop.get("margin", 8)
            pairs = zip(shape, box, strict=True)
            return [(max(lo - margin, 0), min(hi + margin, n)) for n, (lo, hi) in pairs]
        case {"kind": "shape", "shape": [_, _, _] as wanted}:
            starts = [_start(*axis) for axis in zip(shape, box, wanted, strict=True)]
            return [(start, start + size) for start, size in zip(starts, wanted, strict=True)]
    raise ConfigError(
        f"crop: {crop} is not understood; give {{kind: none}}, {{kind: brain, margin: 8}} or"
        " {kind: shape, shape: [264, 264, 264]}"
    )


def _whole(window: tuple[int, int], multiple: int) -> tuple[int, int]:
    start, stop = window
    excess = (stop - start) % multiple
    return start + excess // 2, stop - (excess - excess // 2)


def _start(n: int, box: tuple[int, int], size: int) -> int:
    middle = (n - size) // 2
    if size >= n or (middle <= box[0] and box[1] <= middle + size):
        return middle
    return min(max((box[0] + box[1] - size) // 2, 0), n - size)


def _cut(data: np.ndarray, window: list[tuple[int, int]]) -> np.ndarray:
    """Return the window of `data`, 0 where it reaches beyond."""
    axes = list(zip(window, data.shape, strict=True))
    kept = data[tuple(slice(max(start, 0), min(stop, n)) for (start, stop), n in axes)]
    return np.pad(kept, [(max(-start, 0), max(stop - n, 0)) for (start, stop), n in axes])


@dataclass(frozen=True)
class Settings:
    """How raw scans become ground truths.

    Attributes:
        crop: See `prepare_volume`.
        mask: See `prepare_volume`.
        min_size: See `prepare_volume`.
        slices: See `take_slices`; None unless the study is 2-D.
        seed: The study's seed, for the draw of slices and the registration of brains.
        multiple: See `prepare_volume`.
        intensity: See `prepare_volume`.
        holds_patches: Whether the scans are training patches, see `prepare_patch`.
    """

    crop: dict
    mask: dict
    min_size: int
    slices: dict | None = None
    seed: int = 0
    multiple: int = 1
    intensity: dict = field(default_factory=dict)
    holds_patches: bool = False


@dataclass(frozen=True, kw_only=True)
class ListedScan(Subject):
    """A subject as the list of raw scans has it; `outputs` are ground truths, each with its mask.

    Attributes:
        sources: File of the list, for messages.
        path: The raw scan; None if the list lacks the subject.
        sha256: SHA-256 of that file, as listed.
        form: How the file is read, see `mrisr.volumes.raw.load_scan`.
        given_mask: The subject's mask, for masks of the kind file.
    """

    sources: str | Path
    path: str | None
    sha256: str = ""
    form: dict | None = None
    given_mask: str | Path | None = None


def listed_scans(
    sources: str | Path,
    names: Sequence[str],
    hr: Sequence[str | Path],
    masks: Sequence[str | Path],
    formats: Sequence[dict | None] = (),
    given_masks: Sequence[str | Path] = (),
) -> list[ListedScan]:
    """Return the subjects of a dataset with their files.

    Args:
        sources: TSV with the columns subject, path, sha256 (and others, not used here).
        names: Names of the subjects.
        hr: Path of each subject's ground truth; in a 2-D study the paths of its slices.
        masks: Path of the mask of each ground truth.
        formats: How each subject's file is read; empty if the file's name tells.
        given_masks: The mask of each subject, for masks of the kind file.
    """
    rows = source_rows(sources)
    outputs = [file for pair in zip(hr, masks, strict=True) for file in pair]
    count = len(outputs) // max(1, len(names))
    found = []
    for index, (name, form, given) in enumerate(
        zip(
            names,
            formats or [None] * len(names),
            given_masks or [None] * len(names),
            strict=True,
        )
    ):
        row = rows.get(name, {})
        found.append(
            ListedScan(
                name=name,
                outputs=tuple(outputs[index * count : (index + 1) * count]),
                sources=sources,
                path=row.get("path"),
                sha256=row.get("sha256", ""),
                form=form,
                given_mask=given,
            )
        )
    return found


def prepare_subjects(
    scans: Sequence[ListedScan],
    settings: Settings,
    *,
    staging: str | Path,
    fingerprint: object,
    workers: int = 1,
    find_brain: Callable[..., Volume] | None = None,
) -> None:
    """Prepare all subjects of a dataset, several at a time.

    All subjects are tried before problems are reported. What is finished is staged: a rerun
    with the same fingerprint, settings and raw scans continues.

    Args:
        scans: From `listed_scans`.
        settings: How to prepare them.
        staging: Folder for finished subjects while others are still worked on.
        fingerprint: What else the results depend on: the code's digest.
        workers: Processes; each uses one thread.
        find_brain: For masks of the kind template: `mrisr.volumes.brain.find_brain`. It is not
            imported here, so that datasets with other masks do not depend on it.

    Raises:
        InputError: Some subjects cannot be used, a line each; no final file has been written.
        ConfigError: An unknown kind of crop or mask.
    """
    # Each version has the checksums of one subject's files: mending one file redoes one subject.
    versions = {output: _version(scan) for scan in scans for output in scan.outputs}
    crop, mask, size = settings.crop, settings.mask, settings.min_size
    basis = [fingerprint, crop, mask, size, settings.slices, settings.seed, settings.multiple]
    basis += [settings.intensity, settings.holds_patches]
    work = partial(_prepare_scan, settings, find_brain)
    each(work, scans, Staging(staging, basis, versions), "prepare", workers)


def _version(scan: ListedScan) -> str:
    """Return what the results of one subject depend on, apart from the common settings."""
    given = sha256(scan.given_mask) if scan.path and scan.given_mask else ""
    return f"{scan.sha256}{scan.form or ''}{given}"


def _prepare_scan(
    settings: Settings,
    find_brain: Callable[..., Volume] | None,
    scan: ListedScan,
    staged: Sequence[Path],
) -> None:
    """Prepare one subject; each ground truth is written before its mask."""
    if scan.path is None:
        raise InputError(f"not in {scan.sources}; make that list again")
    raw = load_scan(scan.path, scan.form)
    if settings.holds_patches:
        pairs = [prepare_patch(raw, scan.path, settings.min_size)]
    else:
        pairs = _pairs(settings, find_brain, scan, raw)
    volumes = [volume for pair in pairs for volume in pair]
    for volume, file in zip(volumes, staged, strict=True):
        save(volume, file)


def _pairs(
    settings: Settings, find_brain: Callable[..., Volume] | None, scan: ListedScan, raw: Volume
) -> list[tuple[Volume, Volume]]:
    """Return ground truth and mask of a volume, or of each slice drawn from it."""
    truth, inside = prepare_volume(
        raw,
        settings.crop,
        settings.mask,
        scan.path,
        settings.min_size,
        _mask_finder(settings, find_brain, scan),
        settings.multiple,
        settings.intensity,
    )
    if settings.mask["kind"] == "signal":
        for note in mask_notes(inside.data, truth.data):
            log.warning("%s: %s", scan.path, note)
    if not settings.slices:
        return [(truth, inside)]
    draw = (settings.seed, "slices", scan.name)
    return take_slices(truth, inside, settings.slices, scan.path, draw)


def _mask_finder(
    settings: Settings, find_brain: Callable[..., Volume] | None, scan: ListedScan
) -> Callable[[Volume], Volume] | None:
    """Return the function that finds the mask of a scan; None for a mask of the scan's signal."""
    if settings.mask.get("kind") == "file":
        return partial(given_mask, scan.given_mask, name=scan.path)
    if settings.mask.get("kind") == "template":
        # The same subject gets the same brain in every study with this seed.
        seed = make_seed(settings.seed, "brain", scan.name)
        return partial(find_brain, seed=seed, name=scan.path)
    return None
