"""Distance between the surfaces of a region in two segmentations."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from mrisr.common.errors import InputError

#: Share of surface voxels that lie within the distance.
QUANTILE = 95


def surface_distance(
    a: np.ndarray, b: np.ndarray, labels: Sequence[int], voxel_size: Sequence[float]
) -> np.ndarray:
    """Return the 95 % Hausdorff distance of each label.

    Of each surface, 95 % lies within a distance of the other surface; the larger of the two
    distances (Huttenlocher et al. 1993). A voxel of a label is surface if one of its six
    neighbours is not of that label.

    Args:
        a: Labels, integer, shape (X, Y, Z).
        b: Labels, same shape.
        labels: The labels to compare.
        voxel_size: Edges of a voxel in mm, three.

    Returns:
        mm, float64, shape (len(labels),): 0 for a label that neither image has, and the diagonal of
        the volume for a label that only one of them has.

    Raises:
        InputError: The shapes differ.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise InputError(
            f"surfaces: label images of shapes {a.shape} and {b.shape}; compare them on one grid"
        )
    spacing = np.asarray(voxel_size, np.float64)
    boxes = [ndimage.find_objects(image.astype(np.uint8), max(labels)) for image in (a, b)]
    found = []
    for label in labels:
        here = [box for each in boxes if (box := each[label - 1]) is not None]
        if not here:
            found.append(0.0)
        elif len(here) == 1:
            found.append(float(np.linalg.norm(spacing * a.shape)))
        else:
            box = tuple(slice(min(s.start for s in axis), max(s.stop for s in axis))
                        for axis in zip(*here, strict=True))  # fmt: skip
            found.append(_distance(a[box] == label, b[box] == label, spacing))
    return np.array(found)


def _distance(a: np.ndarray, b: np.ndarray, spacing: np.ndarray) -> float:
    one, other = (inside & ~ndimage.binary_erosion(inside) for inside in (a, b))
    return max(_directed(one, other, spacing), _directed(other, one, spacing))


def _directed(surface: np.ndarray, other: np.ndarray, spacing: np.ndarray) -> float:
    """Return the distance within which a share of a surface lies of another."""
    count = int(surface.sum())
    apart = np.argwhere(surface & ~other) * spacing  # all others have the distance 0
    if np.ceil(QUANTILE / 100 * (count - 1)) < count - len(apart):
        return 0.0
    tree = cKDTree(np.argwhere(other) * spacing)
    distances = np.zeros(count)
    distances[: len(apart)] = tree.query(apart)[0]
    return float(np.percentile(distances, QUANTILE))
