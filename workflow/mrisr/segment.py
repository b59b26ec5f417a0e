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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy import ndimage

from mrisr.errors import InputError
from mrisr.io import Volume
from mrisr.progress import log
from mrisr.seeds import seed as make_seed

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
# Below this sum of all priors a voxel counts as not covered by them.
COVERED = 0.01
CSF = 0  # place of CSF among the priors


def align(
    image: Volume,
    mask: Volume,
    template: Volume,
    priors: np.ndarray,
    *,
    transform: str = "syn",
    seed: object = 0,
    name: str = "image",
) -> np.ndarray:
    """Register the template to a subject and bring the tissue priors along.

    Args:
        image: The subject's skull-stripped brain, shape (X, Y, Z), any unit.
        mask: Its brain, nonzero inside, on the same grid.
        template: A brain in the space of the priors.
        priors: Probabilities of the six tissues on the template's grid, shape (6, A, B, C).
        transform: `syn` (affine, then diffeomorphic) or `affine`.
        seed: Decides which voxels the registration samples.
        name: Of the subject or file, for messages.

    Returns:
        Priors on the subject's grid, float32, shape (6, X, Y, Z): they sum to 1 inside the mask
        and are 0 outside; voxels of the mask that no prior covers are CSF.

    Raises:
        InputError: ANTs gave up, or the warped priors miss the brain.
    """
    inside = mask.data > 0
    with _ants(name) as ants:
        subject = _corrected(ants, image, inside, name)
        fixed = _placed(ants, subject, image.affine)
        moving = _placed(ants, template.data, template.affine)
        found = ants.registration(
            fixed=fixed,
            moving=moving,
            type_of_transform=TRANSFORMS[transform],
            # ANTs takes a positive 31-bit integer.
            random_seed=1 + make_seed(seed, "register") % (2**31 - 2),
        )
        warped = np.stack(
            [
                ants.apply_transforms(
                    fixed, _placed(ants, prior, template.affine), found["fwdtransforms"]
                ).numpy()
                for prior in priors
            ]
        )
    return _normalised(warped, inside, name)


def segment(image: Volume, mask: Volume, priors: np.ndarray, name: str = "image") -> np.ndarray:
    """Segment a brain with priors on its own grid.

    Args:
        image: A skull-stripped T1-weighted brain, shape (X, Y, Z), any unit.
        mask: Where to segment, nonzero inside, on the same grid.
        priors: From `align`, shape (6, X, Y, Z).
        name: Of the file, for messages.

    Returns:
        Labels, uint8, shape (X, Y, Z): 1 to 6 inside the mask as in `mrisr.overlap.REGIONS`, 0
        outside.

    Raises:
        InputError: Voxels are NaN, infinite or all alike inside the mask, or ANTs gave up.
    """
    inside = mask.data > 0
    with _ants(name) as ants:
        spacing = tuple(map(float, image.voxel_size))

        def plain(data: np.ndarray):
            # Atropos reads priors from files and refuses what differs in the last digit of the
            # header: image, mask and priors get one header without any offset.
            return ants.from_numpy(np.ascontiguousarray(data, np.float32), spacing=spacing)

        labels = ants.atropos(
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


def _corrected(ants: object, image: Volume, inside: np.ndarray, name: str) -> np.ndarray:
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
    data = ants.n4_bias_field_correction(plain, mask=brain, **N4).numpy()
    low, high = data[inside].min(), data[inside].max()
    return np.where(inside, (data - low) * (1000 / max(high - low, 1e-6)), 0).astype(np.float32)


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


def _placed(ants: object, data: np.ndarray, affine: np.ndarray) -> object:
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
def _ants(name: str) -> Iterator[object]:
    """Yield ANTs with a folder of its own for what it leaves behind, deleted afterwards."""
    import ants

    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="mrisr-ants-") as folder:
        tempfile.tempdir = folder
        try:
            yield ants
        except InputError:
            raise
        except Exception as error:
            # ANTs raises bare exceptions without a cause; its own output is in the job's log.
            raise InputError(
                f"{name}: ANTs could not segment it ({error}); look at the volume and its mask"
            ) from error
        finally:
            tempfile.tempdir = before
