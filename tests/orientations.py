"""All 48 orientations that the axes of a scan's file can have, and volumes stored so."""

from itertools import permutations, product

import nibabel as nib
import numpy as np

from mrisr.volumes.io import Volume

ORIENTATIONS = [
    "".join(pair[turned] for pair, turned in zip(axes, flips, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for flips in product((0, 1), repeat=3)
]


def stored_as(codes, shape=(3, 4, 5)):
    """A volume as a file of this orientation has it."""
    data = np.random.default_rng(0).random(shape, dtype=np.float32)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    affine = np.diag([0.9, 1, 1.1, 1])
    return Volume(
        np.ascontiguousarray(nib.orientations.apply_orientation(data, turn)),
        affine @ nib.orientations.inv_ornt_aff(turn, shape),
    )
