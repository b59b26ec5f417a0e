"""What a reconstruction does to the tissues of its ground truth: errors, SNR and contrast.

All are taken with the labels of the ground truth, so that every method is measured in the same
voxels. SNR is the mean of white matter over its standard deviation, away from other tissues. Its
deviation holds noise, anatomy and shading alike, and a blurred volume has less of all three.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.progress import progress
from mrisr.segment.labels import load_labels
from mrisr.volumes.io import check_grid, load
from mrisr.volumes.regions import MEAN, REGIONS

COLUMNS = ("subject", "region", "metric", "value")
RMSE, SNR_GAIN, CONTRAST_GAIN = "rmse", "snr_gain", "contrast_gain"
#: Region and metric of each value of a subject.
MEASURED = (
    *((region, RMSE) for region in (*REGIONS, MEAN)),
    ("white_matter", SNR_GAIN),
    ("white_matter", CONTRAST_GAIN),
)


def errors(truth: np.ndarray, image: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the root mean square error in each region.

    Args:
        truth: Ground truth, shape (X, Y, Z), any unit.
        image: Its reconstruction, same shape and unit.
        labels: Labels of the ground truth as in `mrisr.volumes.regions.REGIONS`, same shape.

    Returns:
        By region, percent of the ground truth's maximum minus minimum; NaN where the labels lack
        the region. `mean` is the mean over the regions that are there.
    """
    extent = float(truth.max()) - float(truth.min())
    found = {}
    for region, label in REGIONS.items():
        inside = labels == label
        apart = image[inside].astype(np.float64) - truth[inside]
        known = apart.size and extent
        found[region] = 100 * float(np.sqrt((apart**2).mean())) / extent if known else math.nan
    there = [value for value in found.values() if not math.isnan(value)]
    return found | {MEAN: float(np.mean(there)) if there else math.nan}


def snr_gain(truth: np.ndarray, image: np.ndarray, labels: np.ndarray) -> float:
    """Return how much higher the SNR of white matter is than in the ground truth.

    Args:
        truth: As in `errors`.
        image: As in `errors`.
        labels: As in `errors`.

    Returns:
        dB; 0 for equal images, NaN where there is no SNR: no white matter, or a constant one.
    """
    inside = labels == REGIONS["white_matter"]
    # Voxels at the edge hold other tissues too. A small structure is all edge.
    inner = ndimage.binary_erosion(inside)
    inside = inner if inner.any() else inside
    ours, theirs = _snr(image[inside]), _snr(truth[inside])
    if not (ours > 0 and theirs > 0):
        return math.nan
    return 20 * math.log10(ours / theirs)


def contrast_gain(truth: np.ndarray, image: np.ndarray, labels: np.ndarray) -> float:
    """Return the contrast of white and gray matter in parts of the ground truth's.

    The contrast is (white - gray) / (white + gray) of the mean intensities (Michelson 1927).

    Args:
        truth: As in `errors`.
        image: As in `errors`.
        labels: As in `errors`.

    Returns:
        1 for equal images, above 1 for more contrast; 0 for a blank image. NaN where the ground
        truth has no contrast, or lacks one of the tissues.
    """
    known = _contrast(truth, labels)
    return _contrast(image, labels) / known if known else math.nan


def _snr(voxels: np.ndarray) -> float:
    spread = float(voxels.std(dtype=np.float64)) if voxels.size else 0.0
    return float(voxels.mean(dtype=np.float64)) / spread if spread else math.nan


def _contrast(image: np.ndarray, labels: np.ndarray) -> float:
    parts = [image[labels == REGIONS[name]] for name in ("white_matter", "gray_matter")]
    if not all(part.size for part in parts):
        return math.nan
    white, gray = (float(part.mean(dtype=np.float64)) for part in parts)
    return (white - gray) / (white + gray) if white + gray else 0.0


def tissue_subjects(
    ground_truths: Sequence[str | Path],
    images: Sequence[str | Path],
    segmentations: Sequence[str | Path],
    subjects: Sequence[str],
    output: str | Path,
) -> None:
    """Measure the tissues in all reconstructions of a method and scale.

    Args:
        ground_truths: Each subject's ground truth.
        images: Each subject's reconstruction, on the same grid and affine.
        segmentations: The segmentation of each ground truth.
        subjects: Names of the subjects, in the order of the rows.
        output: CSV: subject, region, metric, value (9 significant digits, empty where there is
            none), a row for each of `MEASURED`.

    Raises:
        InputError: A file is unusable or off the grid of its ground truth. The message names all
            such subjects, and no file is written.
    """
    lines, problems = [",".join(COLUMNS)], []
    every = list(zip(subjects, ground_truths, images, segmentations, strict=True))
    for subject, *files in progress(every, "tissues"):
        try:
            lines += _rows(subject, *map(Path, files))
        except InputError as error:
            problems.append(f"{subject}: {error}")
    if problems:
        raise InputError("\n  ".join(["cannot be measured:", *problems]))
    seals.write(output, "\n".join(lines) + "\n")


def _rows(subject: str, ground_truth: Path, image: Path, segmentation: Path) -> list[str]:
    truth, ours, labels = load(ground_truth), load(image), load_labels(segmentation)
    for volume, path in ((ours, image), (labels, segmentation)):
        check_grid(volume, path, truth, ground_truth)
    if not np.isfinite(ours.data).all():
        raise InputError(f"{image}: holds NaN or infinite values; reconstruct the subject again")
    arrays = truth.data, ours.data, labels.data
    by_region = errors(*arrays)
    values = {(region, RMSE): value for region, value in by_region.items()}
    values["white_matter", SNR_GAIN] = snr_gain(*arrays)
    values["white_matter", CONTRAST_GAIN] = contrast_gain(*arrays)
    return [
        f"{subject},{region},{metric},"
        + ("" if math.isnan(value := values[region, metric]) else f"{value:.9g}")
        for region, metric in MEASURED
    ]
