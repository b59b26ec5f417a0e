"""Scans in HDF5 files, which say neither orientation nor voxel size: the dataset's YAML does.

The layout is that of SKM-TEA (Desai et al., NeurIPS Datasets and Benchmarks 2021): X x Y x Z, or
with further axes for echoes and coil sensitivity maps, real or complex.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mrisr.common.errors import Problem, ScanError
from mrisr.volumes.io import AGAIN, Volume

#: Axis of RAS+ and direction of an orientation's two letters, from where to where.
DIRECTIONS = {"LR": (0, 1), "RL": (0, -1), "PA": (1, 1), "AP": (1, -1), "IS": (2, 1), "SI": (2, -1)}


def load_hdf5(path: str | Path, form: Mapping) -> Volume:
    """Load one echo of a scan; complex voxels become magnitudes.

    Args:
        path: An HDF5 file.
        form: `dataset`, the key of an array of shape (X, Y, Z), (X, Y, Z, echoes) or (X, Y, Z,
            echoes, 1); `echo`, counted from 1 (default); `voxel_size`, three edges in mm; and
            `orientation`, where each axis goes, such as `[SI, AP, LR]`: from superior to
            inferior, anterior to posterior, left to right.

    Returns:
        The volume with float32 data of shape (X, Y, Z). Its centre is at 0 mm, as the file does
        not say where it lay.

    Raises:
        ScanError: The file is missing, not HDF5 or damaged, or has no such array or echo.
    """
    with _array(path, form) as array:
        affine = _affine(path, form, array.shape[:3])
        try:
            data = array[(..., *_rest(path, form, array.shape))]
        except OSError as error:
            what = f"truncated or damaged ({error})"
            raise ScanError(path, Problem(what, AGAIN)) from None
    if np.iscomplexobj(data):
        data = np.abs(data)
    return Volume(np.ascontiguousarray(data, dtype=np.float32), affine)


def header_hdf5(path: str | Path, form: Mapping) -> tuple[tuple[int, int, int], str, np.ndarray]:
    """Return shape, type and affine that `load_hdf5` would find, without reading the voxels.

    Raises:
        ScanError: As `load_hdf5`.
    """
    with _array(path, form) as array:
        _rest(path, form, array.shape)
        x, y, z = map(int, array.shape[:3])
        shape = x, y, z
        return shape, str(array.dtype), _affine(path, form, shape)


@contextmanager
def _array(path: str | Path, form: Mapping) -> Iterator[h5py.Dataset]:
    """Yield the array that is asked for, with three to five axes."""
    if not Path(path).exists():
        problem = Problem("no such file", "check the path and the subject's name")
        raise ScanError(path, problem)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        what = f"not an HDF5 file, or truncated ({' '.join(str(error).split())})"
        raise ScanError(path, Problem(what, AGAIN)) from None
    with file:
        key = form["dataset"]
        try:
            array = file.get(key)
        except (KeyError, OSError, RuntimeError):
            array = None
        if not isinstance(array, h5py.Dataset):
            have = [name for name in file if isinstance(file.get(name), h5py.Dataset)]
            remedy = f"set format.dataset to one it has: {', '.join(have)}"
            raise ScanError(path, Problem(f"no array '{key}'", remedy))
        if array.dtype.kind not in "iufc":
            remedy = "set format.dataset to an array of numbers"
            raise ScanError(path, Problem(f"'{key}' holds {array.dtype}", remedy))
        if not 3 <= array.ndim <= 5 or array.shape[4:] not in ((), (1,)):
            what = f"'{key}' has shape {array.shape}"
            remedy = "X x Y x Z is expected, then echoes, then 1 coil map: set format.dataset to"
            raise ScanError(path, Problem(what, f"{remedy} such an array"))
        yield array


def _rest(path: str | Path, form: Mapping, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the indices along the axes after the third."""
    echo = form.get("echo", 1)
    echoes = shape[3] if len(shape) > 3 else 1
    if not 1 <= echo <= echoes:
        what = f"no echo {echo}, '{form['dataset']}' has {echoes}"
        remedy = "set format.echo to one of them, counted from 1"
        raise ScanError(path, Problem(what, remedy))
    return (echo - 1, 0)[: len(shape) - 3]


def _affine(path: str | Path, form: Mapping, shape: tuple[int, ...]) -> np.ndarray:
    """Return voxel indices to mm (RAS+), with the centre of the volume at 0."""
    edges, orientation = form["voxel_size"], form["orientation"]
    if len(edges) != 3 or not all(isinstance(e, int | float) and e > 0 for e in edges):
        problem = Problem(f"voxel size {edges}", "three edges in mm above 0 are expected")
        raise ScanError(path, problem)
    axes = [DIRECTIONS.get(code, (None, 0)) for code in orientation]
    if sorted(str(axis) for axis, _ in axes) != ["0", "1", "2"]:
        remedy = "one of LR and RL, one of AP and PA, one of IS and SI are expected, in the order"
        problem = Problem(f"orientation {orientation}", f"{remedy} of the axes")
        raise ScanError(path, problem)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for column, ((axis, sign), edge, n) in enumerate(zip(axes, edges, shape, strict=True)):
        affine[axis, column] = sign * edge
        affine[axis, 3] = -sign * edge * (n - 1) / 2
    return affine
