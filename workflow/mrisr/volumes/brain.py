"""The brain in a scan with skull: a template's brain mask, registered to it with ANTs."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.volumes.io import Volume
from mrisr.volumes.registration import corrected, placed, register, scratch, warped, working_grid

VOXEL_SIZE = 2.0  # mm of the grid that a scan is registered on, fine enough for an outline
# The head that a template's brain is put into, all in mm: dark fluid and skull, bright scalp, the
# latter above a height in MNI space, as face and neck differ.
FLUID, SKULL, SCALP, SCALP_FROM = 3.0, 8.0, 14.0, -20.0
FLUID_LEVEL, SKULL_LEVEL, SCALP_LEVEL = 0.15, 0.03, 0.5  # of the template's maximum
HEAD_HEIGHT = 150.0  # mm from the top of a head that hold its brain
HEAD_PART = 0.02  # of an axial slice at the top of the head
NEAR = 10.0  # mm around a brain where its outline is looked for


def find_brain(head: Volume, *, seed: int = 0, name: str = "image") -> Volume:
    """Find the brain in a T1-weighted scan with skull, without any file from outside.

    The template is the MNI152 brain that nilearn bundles (ICBM 2009a, symmetric), its mask the
    one that comes with it. Both are registered at 2 mm; the mask is then warped to the scan's
    own grid.

    Args:
        head: Shape (X, Y, Z), axes near RAS, any unit.
        seed: Not negative; decides which voxels the registration samples.
        name: Name of the subject or file, for messages.

    Returns:
        The mask on the grid of `head`, uint8, 1 inside.

    Raises:
        InputError: ANTs gave up, or no brain was found.
    """
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=2)
    affine = np.asarray(image.affine, np.float64)
    template = Volume(image.get_fdata(dtype=np.float32), affine)
    brain = datasets.load_mni152_brain_mask(resolution=2).get_fdata() > 0.5
    coarse = working_grid(head, VOXEL_SIZE)
    found = brain_mask(coarse, template, brain, seed=seed, name=name, grid=head)
    return Volume(found, head.affine)


def brain_mask(
    head: Volume,
    template: Volume,
    brain: np.ndarray,
    *,
    seed: int = 0,
    name: str = "image",
    grid: Volume | None = None,
) -> np.ndarray:
    """Register a template's brain to a head.

    The brain alone would be pulled to the scalp: it is registered with a skull and a scalp around
    it. A similarity to the upper part of the head finds where the brain is, a deformable
    registration to what lies there its outline.

    Args:
        head: A scan with skull, shape (X, Y, Z), axes near RAS.
        template: A brain without skull, in MNI space.
        brain: Its mask, true inside, on its grid.
        seed: Not negative; decides which voxels the registration samples.
        name: Name of the subject or file, for messages.
        grid: A volume of the same head on the grid that the mask is wanted on, default `head`.

    Returns:
        The mask, uint8, shape of `grid`, without holes.

    Raises:
        InputError: ANTs gave up, or no brain was found.
    """
    grid = head if grid is None else grid
    signal = _foreground(head.data)
    template, brain = _with_skull(template, brain)
    with scratch() as ants:

        def on_head(data: np.ndarray) -> object:
            return placed(ants, data, head.affine)

        fixed = on_head(corrected(ants, head, signal, name))
        moving = placed(ants, template.data, template.affine)
        outline = placed(ants, brain, template.affine)
        upper = on_head(_upper(signal, head.voxel_size[2]))
        found = register(ants, fixed, moving, "similarity", seed, name, where=upper)
        inside = warped(ants, fixed, outline, found) > 0.5
        if inside.any():
            distance = ndimage.distance_transform_edt(~inside, sampling=head.voxel_size)
            near = on_head(distance <= NEAR)
            found = register(ants, fixed, moving, "syn", seed, name, where=near, start=found[0])
            inside = warped(ants, placed(ants, grid.data, grid.affine), outline, found) > 0.5
    if not inside.any():
        raise InputError(
            f"{name}: no brain was found; look at the scan's orientation, or strip the skull before"
        )
    return ndimage.binary_fill_holes(inside).astype(np.uint8)


def _with_skull(template: Volume, brain: np.ndarray) -> tuple[Volume, np.ndarray]:
    """Return a template's brain with a skull and a scalp around it, and its mask."""
    spacing = template.voxel_size
    rim = [int(np.ceil((SCALP + 2 * edge) / edge)) for edge in spacing]
    data, brain = (np.pad(part, [(n, n) for n in rim]) for part in (template.data, brain))
    affine = template.affine @ nib.affines.from_matvec(np.eye(3), [-n for n in rim])
    distance = ndimage.distance_transform_edt(~brain, sampling=spacing)
    height = affine[2, 2] * np.arange(brain.shape[2]) + affine[2, 3]
    top = float(data.max())
    scalp = (distance > SKULL) & (height > SCALP_FROM)
    around = np.where(scalp, SCALP_LEVEL, np.where(distance > FLUID, SKULL_LEVEL, FLUID_LEVEL))
    data = np.where(brain, data, np.where(distance > SCALP, 0, around * top))
    data = ndimage.gaussian_filter(data.astype(np.float32), 0.5)
    return Volume(data, affine), brain


def _foreground(data: np.ndarray) -> np.ndarray:
    """Return where a head is, without the noise of the air around it."""
    from skimage.filters import threshold_otsu

    smooth = ndimage.gaussian_filter(data.astype(np.float32), 1)
    # Half of Otsu's threshold: dark tissue belongs to the head.
    return ndimage.binary_fill_holes(smooth > 0.5 * threshold_otsu(smooth))


def _upper(signal: np.ndarray, edge: float) -> np.ndarray:
    """Return the slab that holds the brain: from the top of the head down."""
    slices = np.flatnonzero(signal.mean(axis=(0, 1)) > HEAD_PART)
    top = slices[-1] if slices.size else signal.shape[2] - 1
    slab = np.zeros(signal.shape, np.float32)
    slab[:, :, max(0, int(top - HEAD_HEIGHT / edge)) :] = 1
    return slab
