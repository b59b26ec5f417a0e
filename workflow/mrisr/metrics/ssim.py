"""Structural similarity."""

from collections.abc import Iterator, Sequence

import numpy as np

from mrisr.common.errors import InputError
from mrisr.metrics._metadata import Metadata
from mrisr.metrics._pair import checked, data_range

METADATA = Metadata(
    label="SSIM",
    unit="",
    better="higher",
    range=(-1.0, 1.0),
    reference=True,
    regions=("volume", "mask"),
    doi="10.1109/TIP.2003.819861",
    digits=4,
    margin=0.002,
)
WINDOW = 7
SLAB = 32


def ssim(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the mean SSIM with scikit-image's defaults: uniform window of 7 voxels an axis.

    Wang et al. 2004 with K1 = 0.01, K2 = 0.03, sample covariance, and the data range max - min of
    the whole reference. The window is 3-D for volumes (ArSSR, 4.1.2), 2-D for slices.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero where the SSIM map is averaged; None for all voxels whose window lies
            within the volume. Windows at the rim of a mask reach out of it.

    Returns:
        -1 to 1; 1 for equal images, constant ones too.

    Raises:
        InputError: Shapes differ, an axis is shorter than the window, a value is not finite, the
            mask is empty, or the reference is constant while the image differs from it.
    """
    region = "volume" if mask is None else "mask"
    return by_region(reference, image, mask, [region])[region]


def by_region(
    reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None, regions: Sequence[str]
) -> dict[str, float]:
    """Return the mean SSIM of several regions out of one SSIM map; see `ssim`."""
    reference, image, mask = checked(reference, image, mask)
    if min(reference.shape) < WINDOW:
        raise InputError(
            f"image: shape {reference.shape}; SSIM needs at least {WINDOW} voxels an axis:"
            " crop less, or leave the metric out"
        )
    if np.array_equal(reference, image):
        return dict.fromkeys(regions, 1.0)
    extent = data_range(reference, "SSIM")
    sums, counts = dict.fromkeys(regions, 0.0), dict.fromkeys(regions, 0)
    margin = WINDOW // 2
    inside = np.zeros(reference.shape, bool)
    inside[(slice(margin, -margin),) * reference.ndim] = True
    for planes, values in _maps(reference, image, extent):
        for region in regions:
            within = inside if region == "volume" else mask
            assert within is not None, f"the region {region} needs a mask"
            chosen = values[within[planes]]
            sums[region] += float(chosen.sum(dtype=np.float64))
            counts[region] += chosen.size
    return {region: sums[region] / counts[region] for region in regions}


def _maps(
    reference: np.ndarray, image: np.ndarray, extent: float
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the SSIM map in slabs along the first axis, to take little memory."""
    from skimage.metrics import structural_similarity

    size, margin = len(reference), WINDOW // 2
    for start in range(0, size, SLAB):
        stop = min(start + SLAB, size)
        first, last = max(start - margin, 0), min(stop + margin, size)
        # A slab holds one window at least.
        first = max(0, min(first, last - WINDOW))
        last = min(size, max(last, first + WINDOW))
        _, values = structural_similarity(
            reference[first:last],
            image[first:last],
            win_size=WINDOW,
            data_range=extent,
            full=True,
        )
        yield slice(start, stop), values[start - first : stop - first]
