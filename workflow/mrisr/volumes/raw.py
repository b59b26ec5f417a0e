"""Raw scans, whatever their format: NIfTI and MGH say what they are, HDF5 needs telling."""

from collections.abc import Mapping
from pathlib import Path

from mrisr.volumes.io import Volume, load


def load_scan(path: str | Path, form: Mapping | None = None) -> Volume:
    """Load a raw scan.

    Args:
        path: A NIfTI, MGH or HDF5 file.
        form: What an HDF5 file does not say, see `mrisr.volumes.hdf5.load_hdf5`; None for other
            formats.

    Raises:
        ScanError: As `mrisr.volumes.io.load` and `mrisr.volumes.hdf5.load_hdf5`.
    """
    if form is None:
        return load(path)
    from mrisr.volumes.hdf5 import load_hdf5

    return load_hdf5(path, form)
