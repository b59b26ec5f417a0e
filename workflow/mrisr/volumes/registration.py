"""ANTs as the package uses it: bias correction, registration, warping, and coarser grids for them.

ANTs is only deterministic with one thread (`ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS`, set before it
is imported: `mrisr.common.progress.job` does) and a fixed seed.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.common.optional_packages import ANTS_LACKING, has_ants
from mrisr.volumes.io import Volume

#: Names of the transforms in configs and in ANTs.
TRANSFORMS = {"syn": "SyN", "affine": "Affine", "similarity": "Similarity"}
#: Parts of ANTs that draw, fit and learn: nothing here calls them, and their libraries take most of
#: the time in which ANTs starts.
UNUSED = ("ants.learn", "ants.plotting", "ants.deeplearn", "ants.math.quantile")

UPPER_QUANTILE = 0.995  # intensities are cut there; vessels and fat would stretch the range
N4 = {
    "shrink_factor": 4,
    "convergence": {"iters": [50, 50, 50, 50], "tol": 1e-7},
    # Spacing of the control points in mm. A list would be a mesh of that many elements.
    "spline_param": 200,
}


def placed(ants: ModuleType, data: np.ndarray, affine: np.ndarray) -> object:
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


def leave_out_unused() -> None:
    """Have ANTs start without `UNUSED`; for a job, whose process uses ANTs for nothing else."""
    for name in UNUSED:
        part = ModuleType(name)
        part.__dict__.update(__all__=[], __getattr__=lambda name: None)
        sys.modules.setdefault(name, part)


@contextmanager
def scratch() -> Iterator[ModuleType]:
    """Yield ANTs with a folder of its own for what it leaves behind, deleted afterwards.

    Raises:
        InputError: ANTs is not installed.
    """
    try:
        import ants
    except ImportError as error:
        if has_ants():  # it is there and broken
            raise
        raise InputError(ANTS_LACKING) from error

    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="mrisr-ants-") as folder:
        tempfile.tempdir = folder
        try:
            yield ants
        finally:
            tempfile.tempdir = before


def run(function: Callable, name: str, *arguments: object, **options: object) -> Any:
    """Call a program of ANTs, which raises bare exceptions and only prints the reason."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise InputError(
            f"{name}: ANTs gave up in {function.__name__} ({error}); look at the volume and its"
            " brain mask"
        ) from error


def corrected(ants: ModuleType, image: Volume, inside: np.ndarray, name: str) -> np.ndarray:
    """Return intensities without bias field, 0 to 1000 inside the mask and 0 outside."""
    intensities = image.data[inside]
    if (
        not np.isfinite(intensities).all()
        or not intensities.size
        or intensities.min() == intensities.max()
    ):
        raise InputError(
            f"{name}: constant, NaN or infinite inside the brain mask; reconstruct the subject"
            " again, and if it stays, leave the method out of segmentation.methods"
        )
    data = np.minimum(image.data, np.quantile(intensities, UPPER_QUANTILE)).astype(np.float32)
    spacing = tuple(map(float, image.voxel_size))
    # N4 takes logarithms: overshoot below 0 would be lost to it.
    plain = ants.from_numpy(np.maximum(data, 0), spacing=spacing)
    brain = ants.from_numpy(inside.astype(np.float32), spacing=spacing)
    data = run(ants.n4_bias_field_correction, name, plain, mask=brain, **N4).numpy()
    low, high = data[inside].min(), data[inside].max()
    return np.where(inside, (data - low) * (1000 / max(high - low, 1e-6)), 0).astype(np.float32)


def register(
    ants: ModuleType,
    fixed: object,
    moving: object,
    transform: str,
    seed: int,
    name: str,
    *,
    where: object = None,
    start: str | None = None,
) -> list[str]:
    """Return the files of the transforms that bring `moving` to `fixed`.

    Args:
        ants: From `scratch`.
        fixed: Image to register to.
        moving: Image to register.
        transform: Of `TRANSFORMS`; `syn` is an affine, then a diffeomorphism.
        seed: Not negative.
        name: Name of the subject or file, for messages.
        where: Mask on the grid of `fixed` inside which images are compared.
        start: File of a linear transform to start from.
    """
    found = run(
        ants.registration,
        name,
        fixed=fixed,
        moving=moving,
        type_of_transform=TRANSFORMS[transform],
        initial_transform=start,
        mask=where,
        mask_all_stages=where is not None,
        # ANTs takes a positive 31-bit integer.
        random_seed=1 + seed % (2**31 - 2),
    )
    return found["fwdtransforms"]


def warped(ants: ModuleType, fixed: object, moving: object, transforms: list[str]) -> np.ndarray:
    """Return `moving` on the grid of `fixed`, interpolated linearly, 0 beyond its own."""
    return ants.apply_transforms(fixed, moving, transforms, interpolator="linear").numpy()


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


def _working_shape(volume: Volume, voxel_size: float | None) -> tuple[int, ...]:
    if voxel_size is None:
        return volume.data.shape
    wanted = np.array(volume.data.shape) * volume.voxel_size / voxel_size
    return tuple(
        min(full, max(1, round(float(size))))
        for full, size in zip(volume.data.shape, wanted, strict=True)
    )
