"""Volumes in files: load (NIfTI, FreeSurfer's MGH), save (NIfTI), check."""

import gzip
import logging
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mrisr.common.errors import InputError, Problem, ScanError
from mrisr.common.files import atomic
from mrisr.common.layout import RESULTS

# Grids are equal if no voxel lies farther off than this part of its smallest edge: what a
# qform's five digits leave.
GRID_PART = 0.05
# Bytes that may follow the voxels: some programs fill up a block of the disk, and MGH keeps the
# history of a file there.
PADDING, MGH_TAGS = 4096, 1 << 20
# Deflate cannot pack more tightly; MRI that does half as well as SUSPICIOUS is unknown to us.
DEFLATE_LIMIT, SUSPICIOUS = 1032, 50
# Unpacked bytes: from MANY on, sizes are said before work; from TOO_MANY on, what is packed more
# tightly than any MRI is refused. Masks are packed as tightly, and smaller.
MANY, TOO_MANY = 1 << 28, 1 << 29
MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
AGAIN = "copy or download it again"
CONVERT = "convert the scan again with dcm2niix"
Image = nib.Nifti1Image | nib.MGHImage

# What `save` writes into the header of a volume whose scan lay otherwise in its file.
STORED = "scan stored as "
CODES = re.compile(re.escape(STORED) + r"(?=.*[LR])(?=.*[PA])(?=.*[IS])([LRPAIS]{3})")

# What files that are no volumes begin with, whatever their name: place, bytes, what, remedy.
STRANGERS = (
    (0, b"version https://git-lfs", "a pointer of git LFS, not the scan", "run `git lfs pull`"),
    (0, b"/annex/objects/", "a pointer of git-annex, not the scan", "run `datalad get`"),
    (0, b"BZh", "packed by bzip2", "unpack it with bunzip2, and name it .nii"),
    (0, b"\xfd7zXZ\0", "packed by xz", "unpack it with unxz, and name it .nii"),
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it, and name the scan inside it"),
    (128, b"DICM", "a DICOM file", "convert its series: dcm2niix -z y -o OUT FOLDER"),
)
STRANGER_BYTES = 132

log = logging.getLogger("mrisr")
# Its remarks on headers name no file; what matters of them is said by `mrisr.volumes.checks`.
nib.imageglobals.logger.setLevel(logging.CRITICAL)


@dataclass
class Volume:
    """A scalar volume and where it lies.

    Attributes:
        data: Intensities, float32, shape (X, Y, Z).
        affine: Voxel indices to millimetres (RAS+), float64, shape (4, 4).
        header: The NIfTI header it was read with, or None (not read, or from another format).
        stored: Where each axis went in the file of the scan that it was made of (LAS, ...); empty
            where that is as its affine says.
    """

    data: np.ndarray
    affine: np.ndarray
    header: nib.Nifti1Header | None = field(default=None, repr=False)
    stored: str = ""

    @property
    def voxel_size(self) -> np.ndarray:
        """Edge lengths of a voxel in millimetres, shape (3,)."""
        return nib.affines.voxel_sizes(self.affine)


def load_image(path: str | Path) -> Image:
    """Open a NIfTI or MGH file without reading its voxels.

    Raises:
        ScanError: The file is missing, cannot be read, is neither, is too short for the voxels
            that its header states, or is large and packed more tightly than any scan.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ScanError(path, _missing(path))
        if path.is_dir():
            problem = Problem("a folder, not a file", "remove it, or name the scan inside it")
            raise ScanError(path, problem)
        if not path.is_file():  # a pipe would be waited for
            problem = Problem("not a regular file", "name the scan itself")
            raise ScanError(path, problem)
        with path.open("rb") as file:
            start = file.read(STRANGER_BYTES)
        if not start:
            raise ScanError(path, Problem("cannot be read (it is empty)", again(path)))
        for at, mark, what, remedy in STRANGERS:
            if start[at : at + len(mark)] == mark:
                raise ScanError(path, Problem(what, remedy))
        image = nib.load(path)
    except ScanError:
        raise
    except PermissionError:
        remedy = "ask its owner, or `chmod +r` it and `chmod +x` the folders above"
        raise ScanError(path, Problem("no permission to read it", remedy)) from None
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        kind = "an MGH" if path.suffix in (".mgz", ".mgh") else "a NIfTI"
        what = f"not {kind} file ({_line(error, path)})"
        raise ScanError(path, Problem(what, "convert the scan with dcm2niix or nibabel")) from None
    except (OSError, EOFError, zlib.error) as error:
        what = f"cannot be read ({_line(error, path)})"
        raise ScanError(path, Problem(what, again(path))) from None
    except Exception as error:  # what nibabel makes of a damaged header: ValueError, KeyError, ...
        what = f"its header is damaged ({type(error).__name__}: {_line(error, path)})"
        raise ScanError(path, Problem(what, CONVERT)) from None
    if not isinstance(image, nib.Nifti1Image | nib.MGHImage):
        what = f"{type(image).__name__} where NIfTI or MGH is expected"
        raise ScanError(path, Problem(what, "write it as one file .nii.gz with nibabel"))
    _check_length(image, path)
    return image


def again(path: Path) -> str:
    """Return how to get a file again that is damaged: a scan, or a result of a study."""
    if path.parts[:1] != (RESULTS,):
        return AGAIN
    return "a result of the study: delete it and run snakemake again, which makes it again"


def _missing(path: Path) -> Problem:
    if path.is_symlink():
        return Problem("a link to nothing", "if from DataLad, run `datalad get`")
    return Problem("no such file", "check the path and the subject's name")


def _line(error: Exception, path: Path) -> str:
    """Return an error's text on one line, as lists of problems need it, without the folders."""
    return " ".join(str(error).split()).replace(str(path), path.name)


def _check_length(image: Image, path: Path) -> None:
    """Refuse a file that cannot hold the voxels that its header states."""
    stated = _stated_bytes(image)
    size = path.stat().st_size
    most = size * DEFLATE_LIMIT if _packed(path) else size
    if stated > most:
        what = (
            f"truncated or damaged: its header states {_shape(image.shape)} voxels, {stated} bytes"
            f" unpacked, more than {size} bytes can hold"
        )
        raise ScanError(path, Problem(what, again(path)))
    if stated > TOO_MANY and stated > SUSPICIOUS * size:
        what = (
            f"{size / 1e6:.1f} MB that would unpack to {stated / 1e6:,.0f} MB"
            f" ({_shape(image.shape)} voxels), {stated // size} times as many, as no scan does"
        )
        raise ScanError(path, Problem(what, "if it is right, unpack it and name the .nii"))
    if not _packed(path) and size > stated + _padding(image):
        raise ScanError(path, _goes_on(image))


def _packed(path: Path) -> bool:
    return path.suffix.lower() in (".gz", ".mgz")


def _padding(image: Image) -> int:
    return MGH_TAGS if isinstance(image, nib.MGHImage) else PADDING


def _stated_bytes(image: Image) -> int:
    """Return where the voxels end, in bytes of the unpacked file."""
    proxy: Any = image.dataobj
    return int(proxy.offset) + math.prod(map(int, proxy.shape)) * proxy.dtype.itemsize


def _goes_on(image: Image) -> Problem:
    what = f"goes on after the {_shape(image.shape)} voxels that its header states"
    return Problem(what, f"the header is wrong: {CONVERT}")


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def volume_shape(image: Image, path: str | Path) -> tuple[int, int, int]:
    """Return the shape of a 3-D scalar image by its header, trailing axes of length 1 dropped.

    Raises:
        ScanError: Not 3-D, or not scalar and real.
    """
    shape, kind = tuple(map(int, image.shape)), image.get_data_dtype()
    if kind.kind not in "iuf":
        what = f"colour ({', '.join(kind.names)})" if kind.names else str(kind)
        remedy = "a scalar, real volume is expected: take the magnitude or one channel"
        raise ScanError(path, Problem(f"voxels of type {what}", remedy))
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        advice = "it is one slice" if len(shape) < 3 else "split the series and name one volume"
        raise ScanError(
            path,
            Problem(f"{len(shape)}-D with shape {shape}", f"a 3-D volume is expected: {advice}"),
        )
    if min(shape) < 1:
        raise ScanError(path, Problem(f"no voxels, shape {shape}", CONVERT))
    return shape[0], shape[1], shape[2]


def affine_mm(image: Image) -> np.ndarray:
    """Return an image's affine, voxel indices to millimetres, float64, shape (4, 4).

    NIfTI may state metres or micrometres; what states no unit is taken as millimetres.
    """
    affine = np.array(image.affine, dtype=np.float64)
    if isinstance(image, nib.Nifti1Image):
        affine[:3] *= MILLIMETRES.get(spatial_unit(image), 1)
    return affine


def spatial_unit(image: nib.Nifti1Image) -> str:
    """Return the unit of length that a header states: meter, mm, micron or unknown."""
    try:
        return image.header.get_xyzt_units()[0]
    except KeyError:  # a code that NIfTI does not define
        return "unknown"


def read_data(image: Image, path: str | Path) -> np.ndarray:
    """Read the voxels of a 3-D scalar image as float32, trailing axes of length 1 dropped.

    What is too large for float32 becomes infinite.

    Raises:
        ScanError: Not 3-D, not scalar and real, the file ends early or goes on after the
            voxels, its gzip checksum is wrong, or the volume does not fit into memory.
    """
    shape = volume_shape(image, path)
    return np.ascontiguousarray(_read(image, Path(path)).reshape(shape))


def _read(image: Image, path: Path) -> np.ndarray:
    """Read all voxels as float32; of gzip the whole stream, so that its checksum is verified."""
    stated = _stated_bytes(image)
    if stated > MANY:
        sizes = path.stat().st_size / 1e6, stated / 1e6, _shape(image.shape)
        log.info("%s: reading %.1f MB, %.0f MB unpacked, %s voxels", path, *sizes)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            if not _packed(path):
                return np.asanyarray(image.dataobj, dtype=np.float32)
            if stated > SUSPICIOUS * path.stat().st_size:
                _count(path, stated)
            with gzip.open(path) as file:
                data = np.asanyarray(type(image).from_stream(file).dataobj, dtype=np.float32)
                # nibabel stops at the last voxel, ahead of the checksum.
                padding = _padding(image)
                if len(file.read(padding + 1)) > padding:
                    raise ScanError(path, _goes_on(image))
                return data
    except MemoryError:
        what = f"{_shape(image.shape)} voxels do not fit into memory"
        raise ScanError(path, Problem(what, "crop it, or use a larger machine")) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ScanError(
            path, Problem(f"truncated or damaged ({_line(error, path)})", again(path))
        ) from None


def _count(path: Path, stated: int) -> None:
    """Unpack gzip without keeping it, so that memory is not claimed for what is not there."""
    count = 0
    with gzip.open(path) as file:
        while count < stated and (chunk := file.read(1 << 20)):
            count += len(chunk)
    if count < stated:
        raise EOFError(f"{count} bytes unpacked where the header states {stated}")


def load(path: str | Path) -> Volume:
    """Load a 3-D volume.

    Args:
        path: A `.nii`, `.nii.gz`, `.mgz` or `.mgh` file.

    Returns:
        The volume with float32 data of shape (X, Y, Z) in the file's own orientation and
        intensities, its affine in millimetres.

    Raises:
        ScanError: The file is missing, neither NIfTI nor MGH, damaged, or not a 3-D scalar volume.
    """
    image = load_image(path)
    data = read_data(image, path)
    header = image.header if isinstance(image.header, nib.Nifti1Header) else None
    return Volume(data, affine_mm(image), header, _stored(header))


def _stored(header: nib.Nifti1Header | None) -> str:
    said = bytes(header["descrip"].tobytes()).rstrip(b"\0") if header is not None else b""
    found = CODES.fullmatch(said.decode("latin-1"))
    return found[1] if found else ""


def save(volume: Volume, path: str | Path, note: str = "") -> None:
    """Save a volume as NIfTI, atomically; equal volumes give equal bytes.

    Args:
        volume: Its data keep their type if that is uint8 or int16, else become float32.
        path: Ends in `.nii` or `.nii.gz`.
        note: For the field `descrip` of the header, at most 80 bytes; default what the volume's
            `stored` says.
    """
    data = volume.data
    if data.dtype == bool:
        data = data.astype(np.uint8)
    if data.dtype not in (np.uint8, np.int16):
        data = np.asarray(data, dtype=np.float32)
    image = nib.Nifti1Image(data, volume.affine)
    image.header.set_xyzt_units("mm")
    if not note and volume.stored:
        note = f"{STORED}{volume.stored}"
    image.header["descrip"] = note.encode()
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
    return np.ascontiguousarray(np.moveaxis(_read(image, Path(path)), -1, 0))


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
    off = farthest(volume.affine, reference.affine, reference.data.shape)
    if not off <= GRID_PART * reference.voxel_size.min():
        raise InputError(
            f"{where}: its voxels lie up to {off:.3g} mm off; copy the ground truth's affine when"
            " saving"
        )


def farthest(first: np.ndarray, second: np.ndarray, shape: Sequence[int]) -> float:
    """Return how far apart two affines place a voxel at most, in mm.

    Args:
        first: Shape (4, 4).
        second: Shape (4, 4).
        shape: Of the volume; of an affine difference the farthest voxel is a corner.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(len(shape), -1).T
    places = [nib.affines.apply_affine(affine, corners) for affine in (first, second)]
    return float(np.linalg.norm(places[0] - places[1], axis=1).max())


def canonical(volume: Volume) -> Volume:
    """Return a volume with its axes permuted and flipped to the nearest RAS+ orientation.

    Args:
        volume: Shape (X, Y, Z), any orientation; a canonical one is returned as it is. Another's
            orientation stays known as `stored`.
    """
    orientation = nib.orientations.io_orientation(volume.affine)
    if np.array_equal(orientation, [[0, 1], [1, 1], [2, 1]]):
        return volume
    return Volume(
        nib.orientations.apply_orientation(volume.data, orientation),
        volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.data.shape),
        stored=volume.stored or "".join(nib.aff2axcodes(volume.affine)),
    )


def canonical_shape(path: str | Path) -> tuple[int, int, int]:
    """Return the shape that a volume has in canonical orientation, by its header.

    Raises:
        InputError: The file is missing, not NIfTI, not 3-D, or not scalar and real.
    """
    image = load_image(path)
    shape = volume_shape(image, path)
    axes = nib.orientations.io_orientation(image.affine)[:, 0].argsort()
    return shape[axes[0]], shape[axes[1]], shape[axes[2]]
