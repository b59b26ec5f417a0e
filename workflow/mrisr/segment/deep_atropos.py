"""Six-region segmentation by a network: deep_atropos of ANTsPyNet, where it is installed.

The ArSSR paper calls this ANTs: its authors name this function (their repository, issue 6). The
network expects heads with skull. Users who gave it skull-stripped scans could not reproduce the
paper's labels (issue 7 there). The package downloads its weights at the first use.
"""

from types import ModuleType

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.optional_packages import ANTSPYNET_LACKING
from mrisr.volumes.io import Volume
from mrisr.volumes.regions import REGIONS
from mrisr.volumes.registration import placed, run, scratch


def deep_atropos(volume: Volume, mask: Volume, name: str = "image") -> np.ndarray:
    """Label a brain.

    Args:
        volume: T1-weighted, shape (X, Y, Z), any unit.
        mask: Nonzero in the brain, on the same grid; labels beyond are dropped.
        name: Subject or file, for messages.

    Returns:
        uint8, shape (X, Y, Z), labels as in `mrisr.volumes.regions.REGIONS`, which are those of the
        network; 0 outside.

    Raises:
        InputError: The package is missing, gave up, or returned another grid.
    """
    with scratch() as ants:
        package = _package()
        image = placed(ants, volume.data, volume.affine)
        found = run(package.deep_atropos, name, image, do_preprocessing=True)
        labels = np.asarray(found["segmentation_image"].numpy())
    if labels.shape != volume.data.shape:
        raise InputError(
            f"{name}: deep_atropos labelled {labels.shape} voxels of {volume.data.shape}; use"
            " segmentation.engine: atropos"
        )
    known = np.isin(labels, list(REGIONS.values())) & (mask.data != 0)
    return np.where(known, labels, 0).astype(np.uint8)


def _package() -> ModuleType:
    try:
        import antspynet
    except ImportError:
        raise InputError(ANTSPYNET_LACKING) from None
    return antspynet
