"""The gate of every file that a user names: scan, stack, mask, reference or prior.

What the workflow wrote itself is loaded by `mrisr.volumes.io.load`. NIfTI and MGH say what they
are, HDF5 needs telling.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mrisr.volumes import checks
from mrisr.volumes.io import Volume, load


def load_scan(path: str | Path, form: Mapping | None = None) -> Volume:
    """Check the header of a user's file, and load it.

    Args:
        path: A NIfTI, MGH or HDF5 file.
        form: What an HDF5 file does not say, see `mrisr.volumes.hdf5.load_hdf5`; None for other
            formats.

    Raises:
        ScanError: `mrisr.volumes.checks.header` found a problem, or the file is damaged.
    """
    checks.header(path, form).refuse()
    if form is None:
        scan = load(path)
        scan.stored = ""  # a file that is given as a scan is the scan
        return scan
    from mrisr.volumes.hdf5 import load_hdf5

    return load_hdf5(path, form)


def load_mask(path: str | Path) -> Volume:
    """Check and load a user's mask.

    Args:
        path: A NIfTI or MGH file, nonzero inside; NaN, as some programs write, is outside.

    Returns:
        uint8 of 0 and 1, in the file's own orientation.

    Raises:
        ScanError: As `load_scan`.
    """
    mask = load_scan(path)
    return Volume((np.nan_to_num(mask.data) != 0).astype(np.uint8), mask.affine)
