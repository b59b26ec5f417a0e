"""The data path of ArSSR's training as its definition reads: one patch at a time, with scipy."""

import numpy as np
from scipy import ndimage


def query_batch(
    patches: np.ndarray, random: np.random.Generator, batch: int, lr_patch: int, queries: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return LR patches, coordinates and intensities of one batch (ArSSR 4.1.1 and 4.1.3).

    Args:
        patches: HR patches, shape (P, s, s, s).
        random: Draws patches, scales and voxels.
        batch: Patches a batch.
        lr_patch: Edge of an LR patch in voxels.
        queries: Voxels drawn from a patch.
    """
    lrs, coordinates, intensities = [], [], []
    for index in random.integers(len(patches), size=batch):
        scale = round(random.uniform(2, 4), 1)
        n = round(lr_patch * scale)
        hr = patches[index][:n, :n, :n]
        lrs.append(ndimage.zoom(hr, lr_patch / n, order=3))
        axis = (2 * np.arange(n) + 1) / n - 1
        places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        drawn = random.choice(n**3, queries, replace=False)
        coordinates.append(places[drawn])
        intensities.append(hr.reshape(-1)[drawn])
    return np.stack(lrs), np.stack(coordinates), np.stack(intensities)
