"""Comparison of two segmentations, by region: overlap, volume and surface.

It compares two label images of the same brain: the segmentation of the ground truth and that of a
reconstruction. For one subject and region, IoU = Dice / (2 - Dice). Means over subjects or regions
do not keep that relation.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.progress import log, progress
from mrisr.segment.labels import load_labels
from mrisr.segment.surfaces import surface_distance
from mrisr.volumes.io import check_grid
from mrisr.volumes.regions import MEAN, REGIONS

#: Metrics, and which direction of each is better.
BETTER = {"dice": "higher", "iou": "higher", "volume": "lower", "surface": "lower"}
METRICS = tuple(BETTER)
COLUMNS = ("subject", "region", "metric", "value")


def dice(a: np.ndarray, b: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Return the Dice coefficient 2 |A and B| / (|A| + |B|) of each label (Sørensen 1948).

    Args:
        a: Labels, integer, any shape.
        b: Labels, same shape.
        labels: The labels to compare.

    Returns:
        Values in [0, 1], float64, shape (len(labels),): 1 for a label that neither image has,
        because they agree on it; 0 for a label that only one of them has.

    Raises:
        InputError: The shapes differ.
    """
    both, sum_, _ = _counts(a, b, labels)
    return _ratio(2 * both, sum_)


def iou(a: np.ndarray, b: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Return the intersection over union |A and B| / |A or B| of each label (Jaccard 1901).

    Args:
        a: Labels, integer, any shape.
        b: Labels, same shape.
        labels: The labels to compare.

    Returns:
        Values in [0, 1], float64, shape (len(labels),); labels that one or none of the images
        has count as in `dice`.

    Raises:
        InputError: The shapes differ.
    """
    both, _, union = _counts(a, b, labels)
    return _ratio(both, union)


def volume_difference(a: np.ndarray, b: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Return how much the volumes of each label differ, in percent of their mean.

    Args:
        a: Labels, integer, any shape.
        b: Labels, same shape.
        labels: The labels to compare.

    Returns:
        0 to 200, float64, shape (len(labels),): 0 for a label that neither image has, 200 for a
        label that only one of them has.

    Raises:
        InputError: The shapes differ.
    """
    _, sum_, _ = _counts(a, b, labels)
    first = np.array([np.count_nonzero(np.asarray(a) == label) for label in labels], np.float64)
    apart = np.abs(2 * first - sum_)
    return np.divide(200 * apart, sum_, out=np.zeros_like(apart), where=sum_ > 0)


def _counts(
    a: np.ndarray, b: np.ndarray, labels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each label the voxels in both images, the sum of both counts, and the union."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise InputError(
            f"overlap: label images of shapes {a.shape} and {b.shape}; compare them on one grid"
        )
    inside = [(a == label, b == label) for label in labels]
    both = np.array([np.count_nonzero(x & y) for x, y in inside], dtype=np.float64)
    sum_ = np.array([np.count_nonzero(x) + np.count_nonzero(y) for x, y in inside], np.float64)
    return both, sum_, sum_ - both


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)


def overlap_subjects(
    ground_truths: Sequence[str | Path],
    images: Sequence[str | Path],
    subjects: Sequence[str],
    output: str | Path,
) -> None:
    """Compare the segmentations of all subjects of a method and scale.

    Args:
        ground_truths: Segmentation of each subject's ground truth.
        images: Segmentation of each subject's reconstruction, on the same grid and affine.
        subjects: Names of the subjects, in the order of the rows.
        output: CSV: subject, region, metric, value (9 significant digits); region `mean` is the
            mean over the six regions. Metrics: `dice`, `iou`, `volume` (percent), `surface` (95 %
            distance in mm).

    Raises:
        InputError: A file is unusable or off the grid of its ground truth. The message names all
            such subjects, and no file is written.
    """
    lines, problems = [",".join(COLUMNS)], []
    triples = list(zip(subjects, ground_truths, images, strict=True))
    for subject, ground_truth, image in progress(triples, "overlap"):
        try:
            lines += _rows(subject, Path(ground_truth), Path(image))
        except InputError as error:
            problems.append(f"{subject}: {error}")
    if problems:
        raise InputError("\n  ".join(["cannot be compared:", *problems]))
    seals.write(output, "\n".join(lines) + "\n")


def _rows(subject: str, ground_truth: Path, image: Path) -> list[str]:
    truth, ours = load_labels(ground_truth), load_labels(image)
    check_grid(ours, image, truth, ground_truth)
    labels = list(REGIONS.values())
    for name, label in REGIONS.items():
        if not (truth.data == label).any():
            log.warning("%s: the ground truth's segmentation has no %s", subject, name)
    rows = []
    pair = truth.data, ours.data, labels
    by_metric = {
        "dice": dice(*pair),
        "iou": iou(*pair),
        "volume": volume_difference(*pair),
        "surface": surface_distance(*pair, list(truth.voxel_size)),
    }
    for metric, scores in by_metric.items():
        named = dict(zip(REGIONS, scores, strict=True)) | {MEAN: scores.mean()}
        rows += [f"{subject},{region},{metric},{value:.9g}" for region, value in named.items()]
    return rows
