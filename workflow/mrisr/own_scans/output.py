"""The file that `mrisr sr` writes: its name, its range of intensities, its header."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import atomic
from mrisr.volumes.checks import SPACE_BITS, same_place
from mrisr.volumes.io import Volume, farthest

SUFFIXES = (".nii", ".nii.gz")
#: Values of `--clip`: the range of the input scans, or no range.
CLIPS = ("scan", "none")
TIME_BITS = 0x38  # bits of time in xyzt_units
MILLIMETRE = 2  # code of the unit of length in xyzt_units
COMMENT = 6  # code of a NIfTI extension of plain text
HEADER = 348  # bytes of a NIfTI-1 header, little-endian as it is written
FAR = 0.01  # of a voxel: error of 32-bit numbers and of the qform's quaternion


def new_file(path: str | Path, force: bool) -> Path:
    """Return the path of a volume to write.

    Raises:
        InputError: The name is not that of a NIfTI file, or the file exists and must not be
            replaced.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: a name that ends in .nii or .nii.gz is expected")
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another name, or replace it by --force")
    return path


def clipped(volume: Volume, low: float, high: float, clip: str) -> str:
    """Clip the intensities of a volume in place, because overshoot beside edges was not measured.

    Args:
        volume: Float32.
        low: Least intensity of the input.
        high: Greatest intensity of the input.
        clip: One of `CLIPS`.

    Returns:
        A text for the log and the file.

    Raises:
        ConfigError: Another `clip`.
    """
    if clip not in CLIPS:
        raise ConfigError(f"--clip {clip}: unknown; known: {', '.join(CLIPS)}")
    beyond = int(((volume.data < low) | (volume.data > high)).sum())
    where = f"{beyond} of {volume.data.size} voxels beyond the scan's {low:.6g} to {high:.6g}"
    if clip == "none":
        return f"not clipped, {where}"
    np.clip(volume.data, low, high, out=volume.data)
    return f"clipped, {where}"


def save_like(volume: Volume, scan: Volume, path: Path, comment: str, grid: str = "scan") -> None:
    """Write float32 NIfTI in millimetres, with the parts of a scan's header that still hold.

    Args:
        volume: Volume to write, in the space of `scan`.
        scan: The scan; its header may be None.
        path: File to write.
        comment: Text for an extension of the file's header.
        grid: `scan`: the axes are those of the scan, so intent, description and the axes' roles
            hold too. `other`: only the space and the unit of time hold.
    """
    image = nib.Nifti1Image(volume.data, volume.affine)
    sform = qform = 1
    units = MILLIMETRE
    if scan.header is not None:
        header = scan.header
        sform, qform = _codes(scan)
        units |= int(header["xyzt_units"]) & TIME_BITS
        if grid == "scan":
            for key in ("descrip", "dim_info", "aux_file", "intent_name"):
                image.header[key] = header[key]
            for key in ("intent_code", "intent_p1", "intent_p2", "intent_p3"):
                image.header[key] = header[key]
    image.set_sform(volume.affine, code=sform)
    image.set_qform(volume.affine, code=qform)
    if sform and not _near(image.get_qform(), volume):  # a quaternion cannot hold shear
        qform = 0
        image.set_qform(volume.affine, code=qform)
    image.header["xyzt_units"] = units
    image.header.extensions.append(nib.nifti1.Nifti1Extension(COMMENT, comment.encode()))
    with atomic(path) as temporary:
        nib.save(image, temporary)
        _read_back(temporary, path, volume, (sform, qform))


def _read_back(written: Path, path: Path, volume: Volume, codes: tuple[int, int]) -> None:
    """Compare the bytes of a file with what it should hold, before it gets its name.

    Headers hold 32-bit numbers, and libraries change them in their own ways. Nobody would notice a
    wrong position or unit.

    Args:
        written: File that was written.
        path: Its final path, for messages.
        volume: Volume that it should hold.
        codes: Codes of sform and qform.

    Raises:
        InputError: Positions, voxel sizes, units, codes or intensities are wrong.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(written, "rb") as file:
        head = file.read(HEADER)
    (units,) = struct.unpack_from("<B", head, 123)
    found = struct.unpack_from("<2h", head, 252)[::-1]
    sform = np.array([*struct.unpack_from("<12f", head, 280), 0, 0, 0, 1]).reshape(4, 4)
    sizes = np.array(struct.unpack_from("<3f", head, 80))
    image = nib.load(written)
    data = np.asanyarray(image.dataobj)
    checks = {
        "positions of voxels (sform)": _near(sform, volume),
        "positions of voxels (qform)": not codes[1] or _near(image.get_qform(), volume),
        "voxel size": np.abs(sizes - volume.voxel_size).max() <= FAR * volume.voxel_size.min(),
        "unit of length": units & SPACE_BITS == MILLIMETRE,
        "codes of sform and qform": found == codes,
        "intensities": np.array_equal(data, volume.data, equal_nan=True),
    }
    wrong = [name for name, fine in checks.items() if not fine]
    if wrong:
        raise InputError(
            f"{path}: not written, for its {', '.join(wrong)} would not be those of the result;"
            " convert the scan again with dcm2niix, and report this if it stays"
        )


def _near(affine: np.ndarray, volume: Volume) -> bool:
    """Tell whether an affine puts all voxels where the volume's own affine does."""
    most = FAR * volume.voxel_size.min()
    return farthest(affine, volume.affine, volume.data.shape) <= most


def _codes(scan: Volume) -> tuple[int, int]:
    """Return the codes of sform and qform, which name the space of the written matrix.

    The affine is the scan's sform where it has one. The code of the qform stays only if the qform
    agrees.
    """
    sform, qform = (int(scan.header[key]) for key in ("sform_code", "qform_code"))
    if sform and qform and not same_place(scan.header, scan.data.shape):
        qform = sform
    # Without any code a reader would guess the affine from the voxel size.
    return sform, qform if sform else max(qform, 1)
