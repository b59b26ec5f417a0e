"""Six-region segmentation of T1-weighted brains with ANTs: N4, registered priors, Atropos.

The recipe follows `antsAtroposN4.sh` and `antsCorticalThickness.sh` (Tustison et al., NeuroImage
99, 2014, doi:10.1016/j.neuroimage.2014.05.044) in one pass: bias correction (N4, Tustison et al.,
IEEE TMI 29, 2010), a brain template registered to the subject (SyN, Avants et al., Medical Image
Analysis 12, 2008) that carries six tissue priors along, and a Gaussian mixture with these priors
and a Markov random field (Atropos, Avants et al., Neuroinformatics 9, 2011).
"""

from pathlib import Path
from typing import Any

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.progress import log
from mrisr.segment.deep_atropos import deep_atropos
from mrisr.segment.labels import save_labels
from mrisr.segment.noise_floor import perturbed
from mrisr.volumes.brain import brain_mask
from mrisr.volumes.io import Volume, check_grid, load, load_series, save, save_series
from mrisr.volumes.registration import (
    corrected,
    placed,
    register,
    run,
    scratch,
    warped,
    working_grid,
)

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
# The priors do not cover a voxel where their sum is below this.
COVERED = 0.01
CSF = 0  # index of CSF among the priors


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
        mask: Mask on the grid of `image`.
        template: Brain template, see `mrisr.segment.priors.collect`.
        priors: The six priors of the template.
        priors_output: Priors on the working grid of the subject, 4-D.
        mask_output: Brain mask on the working grid: the mask if it holds the brain alone, else the
            registered brain of the template.
        skull_stripped: Whether the mask holds the brain alone: it comes from a skull-stripped scan,
            or was given or found before. Otherwise it holds the head.
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
        covered = maps.sum(axis=0) > 0.5
        found = brain_mask(volume, brain, covered, seed=seed, name=str(image))
        inside = Volume(found, inside.affine)
    warped = align(volume, inside, brain, maps, transform=transform, seed=seed, name=str(image))
    save_series(warped, volume.affine, priors_output)
    save(inside, mask_output)


def segment_subject(
    image: str | Path,
    mask: str | Path,
    priors: str | Path,
    output: str | Path,
    *,
    engine: str = "atropos",
    ground_truth: bool = False,
    template: str | Path | None = None,
    transform: str = "syn",
    voxel_size: float | None = None,
    seed: int = 0,
    noise_seed: int | None = None,
) -> None:
    """Segment a ground truth or a reconstruction.

    Args:
        image: What to segment, on the grid and affine of the ground truth.
        mask: Brain mask on the working grid, from `align_subject`.
        priors: The subject's priors from `align_subject`; with `template`, the template's own.
        output: Labels on the grid of `image`, uint8: 1 to 6 as in `mrisr.volumes.regions.REGIONS`,
            0 outside the brain.
        engine: `atropos`, or `deep_atropos`, which needs only the mask of the other inputs.
        ground_truth: Whether `image` is the ground truth, whose failed segmentation is an error.
        template: Template to register to this image, in place of the shared priors.
        transform: See `align`.
        voxel_size: See `working_grid`.
        seed: See `align`.
        noise_seed: Seed of noise that is added first, see `mrisr.segment.noise_floor`; None for
            none.

    A reconstruction that ANTs cannot segment (that of an untrained network may be blank) gets no
    labels and a warning; its overlap is 0, and the table says so.

    Raises:
        InputError: A file is unusable or off its grid, or ANTs gave up on the ground truth.
    """
    original = load(image)
    if noise_seed is not None:
        original = perturbed(original, noise_seed)
    volume, inside = working_grid(original, voxel_size), load(mask)
    check_grid(volume, image, inside, mask)
    maps = load_series(priors, TISSUES)
    try:
        if template is not None and engine == "atropos":
            maps = align(
                *(volume, inside, load(template), maps),
                transform=transform,
                seed=seed,
                name=str(image),
            )
        if engine == "deep_atropos":
            labels = deep_atropos(volume, inside, str(image))
        else:
            labels = segment(volume, inside, maps, str(image))
    except InputError as error:
        if ground_truth:
            raise
        log.warning("%s; it gets no labels, so its overlap is 0", error)
        labels = np.zeros(volume.data.shape, np.uint8)
    save_labels(Volume(labels_on_grid(labels, original), original.affine), output)


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
        name: Name of the subject or file, for messages.

    Returns:
        Priors on the subject's grid, float32, shape (6, X, Y, Z): they sum to 1 inside the mask
        and are 0 outside; voxels of the mask that no prior covers are CSF.

    Raises:
        InputError: ANTs gave up, or the warped priors miss the brain.
    """
    inside = mask.data > 0
    with scratch() as ants:
        subject = corrected(ants, image, inside, name)
        fixed = placed(ants, subject, image.affine)
        moving = placed(ants, template.data, template.affine)
        found = register(ants, fixed, moving, transform, seed, name)
        maps = [warped(ants, fixed, placed(ants, p, template.affine), found) for p in priors]
    return _normalised(np.stack(maps), inside, name)


def segment(image: Volume, mask: Volume, priors: np.ndarray, name: str = "image") -> np.ndarray:
    """Segment a brain with priors on its own grid.

    Args:
        image: A skull-stripped T1-weighted brain, shape (X, Y, Z), any unit.
        mask: Where to segment, nonzero inside, on the same grid.
        priors: From `align`, shape (6, X, Y, Z).
        name: Name of the file, for messages.

    Returns:
        Labels, uint8, shape (X, Y, Z): 1 to 6 inside the mask as in
        `mrisr.volumes.regions.REGIONS`, 0 outside.

    Raises:
        InputError: Voxels are NaN, infinite or all alike inside the mask, or ANTs gave up.
    """
    inside = mask.data > 0
    with scratch() as ants:
        spacing = tuple(map(float, image.voxel_size))

        def plain(data: np.ndarray) -> Any:
            # Atropos reads priors from files, and refuses a header that differs in the last digit.
            # So image, mask and priors get one header without any offset.
            return ants.from_numpy(np.ascontiguousarray(data, np.float32), spacing=spacing)

        labels = run(
            ants.atropos,
            name,
            a=plain(corrected(ants, image, inside, name)),
            x=plain(inside),
            i=[plain(prior) for prior in priors],
            **ATROPOS,
        )["segmentation"].numpy()
    return np.where(inside, labels, 0).astype(np.uint8)


def _working_mask(mask: Volume, voxel_size: float | None) -> Volume:
    """Return a mask on the working grid: voxels that lie at least half in the mask."""
    resampled = working_grid(mask, voxel_size)
    return Volume((resampled.data >= 0.5).astype(np.uint8), resampled.affine)


def labels_on_grid(labels: np.ndarray, original: Volume) -> np.ndarray:
    """Bring labels of a working grid to the grid that it was made from, by the nearest voxel.

    Args:
        labels: Labels on the working grid, shape (A, B, C).
        original: A volume on the original grid, shape (X, Y, Z).

    Returns:
        Labels, the same type, shape (X, Y, Z).
    """
    for axis, (small, full) in enumerate(zip(labels.shape, original.data.shape, strict=True)):
        nearest = np.floor((np.arange(full) + 0.5) * small / full).astype(int)
        labels = np.take(labels, nearest, axis=axis)
    return labels


def _normalised(maps: np.ndarray, inside: np.ndarray, name: str) -> np.ndarray:
    """Return priors that sum to 1 inside the mask and are 0 outside."""
    priors = np.clip(np.nan_to_num(maps), 0, 1).astype(np.float32)
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
