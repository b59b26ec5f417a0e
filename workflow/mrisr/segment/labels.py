"""Label maps in files, with the checksum of their labels in the header."""

import hashlib
from pathlib import Path

import numpy as np

from mrisr.common.errors import InputError
from mrisr.volumes.io import Volume, load, save

_KIND = "sha256 "


def save_labels(labels: Volume, path: str | Path) -> None:
    """Write a label map, with the checksum of the labels in the NIfTI field `descrip`.

    Args:
        labels: uint8, shape (X, Y, Z).
        path: File to write, which ends in `.nii.gz`.
    """
    save(labels, path, note=_KIND + _digest(labels.data))


def load_labels(path: str | Path) -> Volume:
    """Read a label map as float32; a map without a checksum is accepted.

    Raises:
        InputError: The file is unusable, or its labels changed since they were made.
    """
    volume = load(path)
    note = "" if volume.header is None else bytes(volume.header["descrip"]).decode("latin-1")
    if note.startswith(_KIND) and note.removeprefix(_KIND).rstrip("\0") != _digest(volume.data):
        raise InputError(
            f"{path}: labels changed since they were made; delete it, then run snakemake as before"
            f" with {path} as its target, which makes it again"
        )
    return volume


def _digest(data: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(data, np.float32).tobytes()).hexdigest()
