"""Six-region segmentation of T1-weighted brains with ANTs: N4, registered priors, Atropos.

The recipe follows `antsAtroposN4.sh` and `antsCorticalThickness.sh` (Tustison et al., NeuroImage
99, 2014, doi:10.1016/j.neuroimage.2014.05.044) in one pass: bias correction (N4, Tustison et al.,
IEEE TMI 29, 2010), a brain template registered to the subject (SyN, Avants et al., Medical Image
Analysis 12, 2008) that carries six tissue priors along, and a Gaussian mixture with these priors
and a Markov random field (Atropos, Avants et al., Neuroinformatics 9, 2011).

ANTs is only deterministic with one thread (`ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS`, set before it
is imported: `mrisr.progress.job` does) and a fixed seed.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy import ndimage

from mrisr.errors import InputError
from mrisr.io import Volume, check_grid, load, load_series, save, save_series
from mrisr.progress import log

#: Names of the transforms in configs and in ANTs.
TRANSFORMS = {"syn": "SyN", "affine": "Affine"}

UPPER_QUANTILE = 0.995  # intensities are cut there; vessels and fat would stretch the range
N4 = {
    "shrink_factor": 4,
    "convergence": {"iters": [50, 50, 50, 50], "tol": 1e-7},
    # Spacing of the control points in mm. A list would be a mesh of that many elements.
    "spline_param": 200,
}
ATROPOS = {
    "m": "[0.1,1x1x1]",
    "c": "[5,0]",
    "priorweight": 0.25,
    "k": "Gaussian",
    "p": "Socrates[1]",
    "g": 1,
    "r": 0,
}
TISSUES = 6
# Below this sum of all priors a voxel counts as not covered by them.
COVERED = 0.01
CSF = 0  # place of CSF among the priors
RIM = 5.0  # mm around a brain that is looked for in a head


def align_subject(
    image: str | Path,
    mask: str | Path,
    template: str | Path,
    priors: str | Path,
    priors_output: str | Path,
    mask_output: str | Path,
    *,
    skull_stripped: bool = True,
    transform: str = "syn",
    voxel_size: float | None = None,
    seed: int = 0,
) -> None:
    """Make the priors and the mask that all segmentations of a subject share.

    Args:
        image: The ground truth.
        mask: Where it has signal, on the same grid.
        template: Brain template, see `mrisr.priors.collect`.
        priors: Its six priors.
        priors_output: Priors on the working grid of the subject, 4-D.
        mask_output: Brain mask on the working grid: the signal mask of a skull-stripped scan,
            else the template's brain, registered.
        skull_stripped: Whether the scan is.
        transform: See `align`.
        voxel_size: See `working_grid`.
        seed: See `align`.

    Raises:
        InputError: A file is unusable, or ANTs gave up.
    """
    volume = working_grid(load(image), voxel_size)
    inside = _working_mask(load(mask), voxel_size)
    brain, maps = load(template), load_series(priors, TISSUES)
    if not skull_stripped:
        found = brain_mask(volume, inside, brain, maps, seed=seed, name=str(image))
        inside = Volume(found, inside.affine)
    warped = align(volume, inside, brain, maps, transform=transform, seed=seed, name=str(image))
    save_series(warped, volume.affine, priors_output)
    save(inside, mask_output)


def segment_subject(
    image: str | Path,
    reference: str | Path,
    mask: str | Path,
    priors: str | Path,
    output: str | Path,
    *,
    template: str | Path | None = None,
    transform: str = "syn",
    voxel_size: float | None = None,
    seed: int = 0,
) -> None:
    """Segment a ground truth or a reconstruction.

    Args:
        image: What to segment, on the grid and affine of `reference`.
        reference: The ground truth.
        mask: Brain mask on the working grid, from `align_subject`.
        priors: The subject's priors from `align_subject`; with `template`, the template's own.
        output: Labels on the grid of the ground truth, uint8: 1 to 6 as in
            `mrisr.regions.REGIONS`, 0 outside the brain.
        template: Registers the template to this very image, in place of the shared priors.
        transform: See `align`.
        voxel_size: See `working_grid`.
        seed: See `align`.

    Raises:
        InputError: A file is unusable or off its grid, or ANTs gave up.
    """
    truth = load(reference)
    volume = load(image)
    check_grid(volume, image, truth, reference)
    volume, inside = working_grid(volume, voxel_size), load(mask)
    check_grid(inside, mask, volume, reference)
    maps = load_series(priors, TISSUES)
    if template is not None:
        maps = align(
            *(volume, inside, load(template), maps),
            transform=transform,
            seed=seed,
            name=str(image),
        )
    labels = segment(volume, inside, maps, str(image))
    save(Volume(labels_on_grid(labels, truth), truth.affine), output)


def align(
    image: Volume,
    mask: Volume,
    template: Volume,
    priors: np.ndarray,
    *,
    transform: str = "syn",
    seed: int = 0,
    name: str = "image",
) -> np.ndarray:
    """Register the template to a subject and bring the tissue priors along.

    Args:
        image: The subject's skull-stripped brain, shape (X, Y, Z), any unit.
        mask: Its brain, nonzero inside, on the same grid.
        template: A brain in the space of the priors.
        priors: Probabilities of the six tissues on the template's grid, shape (6, A, B, C).
        transform: `syn` (affine, then diffeomorphic) or `affine`.
        seed: Not negative; decides which voxels the registration samples.
        name: Of the subject or file, for messages.

    Returns:
        Priors on the subject's grid, float32, shape (6, X, Y, Z): they sum to 1 inside the mask
        and are 0 outside; voxels of the mask that no prior covers are CSF.

    Raises:
        InputError: ANTs gave up, or the warped priors miss the brain.
    """
    inside = mask.data > 0
    with _scratch() as ants:
        subject = _corrected(ants, image, inside, name)
        fixed = _placed(ants, subject, image.affine)
        moving = _placed(ants, template.data, template.affine)
        found = _register(ants, fixed, moving, transform, seed, name)
        warped = np.stack(
            [_warped(ants, fixed, _placed(ants, p, template.affine), found) for p in priors]
        )
    return _normalised(warped, inside, name)


def brain_mask(
    head: Volume,
    signal: Volume,
    template: Volume,
    priors: np.ndarray,
    *,
    seed: int = 0,
    name: str = "image",
) -> np.ndarray:
    """Find the brain in a scan with skull: the template's brain, registered to it.

    An affine of the template to the head finds where the brain is, a deformable registration to
    what lies there its outline.

    Args:
        head: A scan with skull, shape (X, Y, Z).
        signal: Where it has signal, nonzero inside, on the same grid.
        template: A brain without skull in the space of the priors.
        priors: See `align`.
        seed: See `align`.
        name: Of the subject or file, for messages.

    Returns:
        The mask, uint8, shape (X, Y, Z), without holes.

    Raises:
        InputError: ANTs gave up, or no brain was found.
    """
    with _scratch() as ants:
        data = _corrected(ants, head, signal.data > 0, name)
        moving = _placed(ants, template.data, template.affine)
        covered = priors.sum(axis=0) > 0.5
        brain = _placed(ants, covered, template.affine)
        spacing = np.linalg.norm(template.affine[:3, :3], axis=0)
        # Where images are compared: else the template's dark surroundings pull it to the scalp.
        around = ndimage.distance_transform_edt(~covered, sampling=spacing) < RIM
        around = _placed(ants, around, template.affine)
        for transform in ("affine", "syn"):
            fixed = _placed(ants, data, head.affine)
            found = _register(ants, fixed, moving, transform, seed, name, around)
            inside = _warped(ants, fixed, brain, found) > 0.5
            if not inside.any():
                raise InputError(
                    f"{name}: no brain was found; look at the scan's orientation, or strip the"
                    " skull before"
                )
            near = ndimage.distance_transform_edt(~inside, sampling=head.voxel_size) < RIM
            data = np.where(near, data, 0)
    return ndimage.binary_fill_holes(inside & (signal.data > 0)).astype(np.uint8)


def segment(image: Volume, mask: Volume, priors: np.ndarray, name: str = "image") -> np.ndarray:
    """Segment a brain with priors on its own grid.

    Args:
        image: A skull-stripped T1-weighted brain, shape (X, Y, Z), any unit.
        mask: Where to segment, nonzero inside, on the same grid.
        priors: From `align`, shape (6, X, Y, Z).
        name: Of the file, for messages.

    Returns:
        Labels, uint8, shape (X, Y, Z): 1 to 6 inside the mask as in `mrisr.regions.REGIONS`, 0
        outside.

    Raises:
        InputError: Voxels are NaN, infinite or all alike inside the mask, or ANTs gave up.
    """
    inside = mask.data > 0
    with _scratch() as ants:
        spacing = tuple(map(float, image.voxel_size))

        def plain(data: np.ndarray):
            # Atropos reads priors from files and refuses what differs in the last digit of the
            # header: image, mask and priors get one header without any offset.
            return ants.from_numpy(np.ascontiguousarray(data, np.float32), spacing=spacing)

        labels = _run(
            ants.atropos,
            name,
            a=plain(_corrected(ants, image, inside, name)),
            x=plain(inside),
            i=[plain(prior) for prior in priors],
            **ATROPOS,
        )["segmentation"].numpy()
    return np.where(inside, labels, 0).astype(np.uint8)


def working_grid(volume: Volume, voxel_size: float | None) -> Volume:
    """Resample a volume to about isotropic voxels, if its own are smaller.

    Each axis keeps its field of view. A Gaussian with a full width at half maximum of one new
    voxel goes before linear interpolation.

    Args:
        volume: Shape (X, Y, Z).
        voxel_size: Edge of the new voxels in mm, or None to keep the grid.

    Returns:
        The volume, float32; the same one if no axis gets fewer voxels.
    """
    shape = _working_shape(volume, voxel_size)
    if shape == volume.data.shape:
        return volume
    ratio = np.array(volume.data.shape) / shape
    # FWHM to sigma; an axis that stays as it is is not blurred.
    sigma = np.where(ratio > 1, ratio / np.sqrt(8 * np.log(2)), 0)
    data = ndimage.gaussian_filter(volume.data.astype(np.float32), sigma)
    data = ndimage.zoom(data, 1 / ratio, order=1, grid_mode=True, mode="nearest")
    affine = volume.affine @ np.diag([*ratio, 1.0])
    # Corners of the field of view stay: the first voxel's centre moves inwards.
    affine[:3, 3] = (volume.affine @ [*((ratio - 1) / 2), 1.0])[:3]
    return Volume(data, affine)


def _working_mask(mask: Volume, voxel_size: float | None) -> Volume:
    """Return a mask on the working grid: voxels that lie in it by at least half."""
    resampled = working_grid(mask, voxel_size)
    return Volume((resampled.data >= 0.5).astype(np.uint8), resampled.affine)


def labels_on_grid(labels: np.ndarray, reference: Volume) -> np.ndarray:
    """Bring labels of a working grid to the grid it was made from, by the nearest voxel.

    Args:
        labels: On the working grid, shape (A, B, C).
        reference: A volume on the original grid, shape (X, Y, Z).

    Returns:
        Labels, the same type, shape (X, Y, Z).
    """
    for axis, (small, full) in enumerate(zip(labels.shape, reference.data.shape, strict=True)):
        nearest = np.floor((np.arange(full) + 0.5) * small / full).astype(int)
        labels = np.take(labels, nearest, axis=axis)
    return labels


def _working_shape(volume: Volume, voxel_size: float | None) -> tuple[int, ...]:
    if voxel_size is None:
        return volume.data.shape
    wanted = np.array(volume.data.shape) * volume.voxel_size / voxel_size
    return tuple(
        min(full, max(1, round(float(size))))
        for full, size in zip(volume.data.shape, wanted, strict=True)
    )


def _corrected(ants: ModuleType, image: Volume, inside: np.ndarray, name: str) -> np.ndarray:
    """Return intensities without bias field, 0 to 1000 inside the mask and 0 outside."""
    values = image.data[inside]
    if not np.isfinite(values).all() or not values.size or values.min() == values.max():
        raise InputError(
            f"{name}: constant, NaN or infinite inside the brain mask; reconstruct the subject"
            " again, and if it stays, leave the method out of segmentation.methods"
        )
    data = np.minimum(image.data, np.quantile(values, UPPER_QUANTILE)).astype(np.float32)
    spacing = tuple(map(float, image.voxel_size))
    # N4 takes logarithms: overshoot below 0 would be lost to it.
    plain = ants.from_numpy(np.maximum(data, 0), spacing=spacing)
    brain = ants.from_numpy(inside.astype(np.float32), spacing=spacing)
    data = _run(ants.n4_bias_field_correction, name, plain, mask=brain, **N4).numpy()
    low, high = data[inside].min(), data[inside].max()
    return np.where(inside, (data - low) * (1000 / max(high - low, 1e-6)), 0).astype(np.float32)


def _register(
    ants: ModuleType,
    fixed: object,
    moving: object,
    transform: str,
    seed: int,
    name: str,
    moving_mask: object = None,
) -> list[str]:
    """Return the files of the transforms that bring `moving` to `fixed`."""
    found = _run(
        ants.registration,
        name,
        fixed=fixed,
        moving=moving,
        type_of_transform=TRANSFORMS[transform],
        moving_mask=moving_mask,
        mask_all_stages=moving_mask is not None,
        # ANTs takes a positive 31-bit integer.
        random_seed=1 + seed % (2**31 - 2),
    )
    return found["fwdtransforms"]


def _warped(ants: ModuleType, fixed: object, moving: object, transforms: list[str]) -> np.ndarray:
    return ants.apply_transforms(fixed, moving, transforms, interpolator="linear").numpy()


def _normalised(warped: np.ndarray, inside: np.ndarray, name: str) -> np.ndarray:
    """Return priors that sum to 1 inside the mask and are 0 outside."""
    priors = np.clip(np.nan_to_num(warped), 0, 1).astype(np.float32)
    total = priors.sum(axis=0)
    covered = inside & (total >= COVERED)
    share = covered.sum() / max(1, inside.sum())
    log.info("%s: %.1f %% of the mask is covered by priors", name, 100 * share)
    if share < 0.5:
        raise InputError(
            f"{name}: the registered template covers {100 * share:.0f} % of the brain; look at"
            " the scan's orientation and mask, or set segmentation.transform: affine"
        )
    priors = np.where(covered, priors / np.where(covered, total, 1), 0).astype(np.float32)
    priors[CSF][inside & ~covered] = 1
    return priors


def _placed(ants: ModuleType, data: np.ndarray, affine: np.ndarray) -> object:
    """Return an image of ANTs at its place in millimetres; ITK's axes are LPS, NIfTI's RAS."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    # ITK wants exactly orthonormal axes; headers have them to a few digits.
    left, _, right = np.linalg.svd(lps[:3, :3] / spacing)
    return ants.from_numpy(
        np.ascontiguousarray(data, np.float32),
        origin=tuple(lps[:3, 3]),
        spacing=tuple(spacing),
        direction=left @ right,
    )


@contextmanager
def _scratch() -> Iterator[ModuleType]:
    """Yield ANTs with a folder of its own for what it leaves behind, deleted afterwards."""
    import ants

    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="mrisr-ants-") as folder:
        tempfile.tempdir = folder
        try:
            yield ants
        finally:
            tempfile.tempdir = before


def _run(function: Callable, name: str, *arguments: object, **options: object) -> Any:
    """Call a program of ANTs, which raises bare exceptions and only prints the reason."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise InputError(
            f"{name}: ANTs gave up in {function.__name__} ({error}); look at the volume and its"
            " brain mask"
        ) from error
