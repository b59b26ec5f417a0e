"""Real stacks of thick slices that tests acquire: a head with texture, moved if asked."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrisr.volumes.io import Volume
from mrisr.volumes.stacks import sampled

SIZES = {"axial": (32, 34, 8), "coronal": (32, 34, 9), "sagittal": (34, 36, 8)}
ORDERS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


def head(shape=(40, 44, 42)):
    """An uneven ellipsoid with texture at 1.5 mm, around 0 mm."""
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = (0.62, 0.75, 0.68)
    inside = sum((axis / r) ** 2 for axis, r in zip(grid, radius, strict=True)) < 1
    texture = ndimage.gaussian_filter(np.random.default_rng(0).random(shape), 2)
    texture = (texture - texture.mean()) / texture.std()
    data = np.where(inside, 100 + 25 * texture + 20 * grid[0] + 15 * grid[1], 0)
    affine = np.diag([1.5, 1.5, 1.5, 1])
    affine[:3, 3] = -1.5 * (np.array(shape) - 1) / 2
    return Volume(data.astype(np.float32), affine), Volume(inside.astype(np.uint8), affine)


def motion(angles=(0, 0, 0), shift=(0, 0, 0)):
    found = np.eye(4)
    found[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    found[:3, 3] = shift
    return found


def acquired(kind, gain=1.0, moved=None):
    """Return a stack of the head, which lies at `moved` while the header does not know."""
    size, order = SIZES[kind], ORDERS[kind]
    edges = np.array([1.8, 1.8, 6.0])
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, along in enumerate(order):
        affine[along, axis] = edges[axis] * (-1 if kind == "coronal" and axis == 2 else 1)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(size) - 1) / 2)
    volume, inside = head()
    where = affine if moved is None else moved @ affine
    data, _ = sampled(
        Volume(ndimage.gaussian_filter(volume.data, 1), volume.affine), size, where, 1
    )
    mask, _ = sampled(inside, size, where, 0)
    return Volume(gain * data, affine), Volume(mask, affine)
