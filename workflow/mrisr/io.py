"""Volumes in NIfTI files: load, save, check."""

import zlib
from dataclasses import dataclass, field
from gzip import BadGzipFile
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.errors import InputError
from mrisr.files import atomic

# Of affines that count as equal, in mm.
AFFINE_TOLERANCE = 1e-4


@dataclass
class Volume:
    """A scalar volume and where it lies.

    Attributes:
        data: Intensities, float32, shape (X, Y, Z).
        affine: Voxel indices to millimetres (RAS+), float64, shape (4, 4).
        header: The NIfTI header it was read with, or None.
    """

    data: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header | None = field(default=None, repr=False)

    @property
    def voxel_size(self) -> np.ndarray:
        """Edge lengths of a voxel in millimetres, shape (3,)."""
        return nib.affines.voxel_sizes(self.affine)


def load_image(path: str | Path) -> nib.Nifti1Image:
    """Open a NIfTI file without reading its voxels.

    Raises:
        InputError: The file is missing, or is not NIfTI.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path and the subject's name")
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise InputError(
            f"{path}: not a NIfTI file ({_line(error)}); convert the scan with dcm2niix or nibabel"
        ) from None
    except (OSError, EOFError, zlib.error, BadGzipFile) as error:
        raise InputError(
            f"{path}: cannot be read ({_line(error)}); copy or download it again"
        ) from None
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(
            f"{path}: {type(image).__name__} where NIfTI is expected; convert it with nibabel"
        )
    return image


def _line(error: Exception) -> str:
    """Return an error's text on one line, as lists of problems need it."""
    return " ".join(str(error).split())


def volume_shape(image: nib.Nifti1Image, path: str | Path) -> tuple[int, int, int]:
    """Return the shape of a 3-D scalar image by its header, trailing axes of length 1 dropped.

    Raises:
        InputError: Not 3-D, or not scalar and real.
    """
    shape, kind = tuple(image.shape), image.get_data_dtype()
    if kind.kind not in "iuf":
        raise InputError(f"{path}: voxels of type {kind}; a scalar, real volume is expected")
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise InputError(
            f"{path}: {len(shape)}-D with shape {shape}; a 3-D volume is expected: split the"
            " series and name one volume"
        )
    return shape[:3]


def read_data(image: nib.Nifti1Image, path: str | Path) -> np.ndarray:
    """Read the voxels of a 3-D scalar image as float32, trailing axes of length 1 dropped.

    Raises:
        InputError: Not 3-D, not scalar and real, or the file ends early.
    """
    shape = volume_shape(image, path)
    try:
        data = np.asanyarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, BadGzipFile) as error:
        raise InputError(
            f"{path}: truncated or damaged ({_line(error)}); copy or download it again"
        ) from None
    return np.ascontiguousarray(data.reshape(shape))


def load(path: str | Path) -> Volume:
    """Load a 3-D NIfTI file.

    Args:
        path: A `.nii` or `.nii.gz` file.

    Returns:
        The volume with float32 data of shape (X, Y, Z) in the file's own orientation and units.

    Raises:
        InputError: The file is missing, not NIfTI, truncated, or not a 3-D scalar volume.
    """
    image = load_image(path)
    data = read_data(image, path)
    return Volume(data, np.asarray(image.affine, dtype=np.float64), image.header)


def save(volume: Volume, path: str | Path) -> None:
    """Save a volume as NIfTI, atomically; equal volumes give equal bytes.

    Args:
        volume: Its data keep their type if that is uint8 or int16, else become float32.
        path: Ends in `.nii` or `.nii.gz`.
    """
    data = volume.data
    if data.dtype == bool:
        data = data.astype(np.uint8)
    if data.dtype not in (np.uint8, np.int16):
        data = np.asarray(data, dtype=np.float32)
    image = nib.Nifti1Image(data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")
    with atomic(path) as temporary:
        nib.save(image, temporary)


def load_series(path: str | Path, count: int) -> np.ndarray:
    """Load a 4-D NIfTI file of several volumes on one grid.

    Args:
        path: A `.nii` or `.nii.gz` file of shape (X, Y, Z, N).
        count: Number of volumes N that it must have.

    Returns:
        The volumes, float32, shape (N, X, Y, Z).

    Raises:
        InputError: The file is missing, not NIfTI, truncated, or not `count` volumes.
    """
    image = load_image(path)
    if len(image.shape) != 4 or image.shape[3] != count:
        raise InputError(
            f"{path}: shape {image.shape}, where {count} volumes are expected; delete the file and"
            " run again"
        )
    try:
        data = np.asanyarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, BadGzipFile) as error:
        raise InputError(
            f"{path}: truncated or damaged ({_line(error)}); delete it and run again"
        ) from None
    return np.ascontiguousarray(np.moveaxis(data, -1, 0))


def save_series(data: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Save volumes of shape (N, X, Y, Z) as 4-D NIfTI, atomically, as `save` does."""
    save(Volume(np.moveaxis(data, 0, -1), affine), path)


def check_grid(
    volume: Volume, path: str | Path, reference: Volume, reference_path: str | Path
) -> None:
    """Refuse a volume that is not on the grid and affine of another.

    Raises:
        InputError: Shape or affine differ; both files are named.
    """
    where = f"{path}: not on the grid of {reference_path}"
    if volume.data.shape != reference.data.shape:
        raise InputError(
            f"{where}: shape {volume.data.shape}, expected {reference.data.shape}; write it on the"
            " grid of the ground truth"
        )
    off = float(np.abs(volume.affine - reference.affine).max())
    if not off <= AFFINE_TOLERANCE:
        raise InputError(
            f"{where}: affine differs from it by {off:.3g}; copy the ground truth's affine when"
            " saving"
        )


def canonical(volume: Volume) -> Volume:
    """Return a volume with its axes permuted and flipped to the nearest RAS+ orientation.

    Args:
        volume: Shape (X, Y, Z), any orientation; a canonical one is returned as it is.
    """
    orientation = nib.orientations.io_orientation(volume.affine)
    if np.array_equal(orientation, [[0, 1], [1, 1], [2, 1]]):
        return volume
    return Volume(
        nib.orientations.apply_orientation(volume.data, orientation),
        volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.data.shape),
    )


def canonical_shape(path: str | Path) -> tuple[int, int, int]:
    """Return the shape that a volume has in canonical orientation, by its header.

    Raises:
        InputError: The file is missing, not NIfTI, not 3-D, or not scalar and real.
    """
    image = load_image(path)
    shape = volume_shape(image, path)
    axes = nib.orientations.io_orientation(image.affine)[:, 0].argsort()
    return tuple(shape[axis] for axis in axes)
