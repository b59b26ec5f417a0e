"""Real stacks of thick slices: one gain and one space for a subject's stacks, and the SR grid.

What IREM calls spatial normalisation (2.1): each stack is registered rigidly to a fixed one. The
motion goes into its affine; no voxel is resampled. Motion between slices of a stack stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.common.files import Staging
from mrisr.common.progress import log
from mrisr.common.seeds import seed as derived_seed
from mrisr.data.fixed_stack import fixed_stack
from mrisr.prepare.ground_truth import given_mask
from mrisr.prepare.real_volumes import foreground, rigid_motion
from mrisr.prepare.subjects import Subject, each, source_paths
from mrisr.volumes.checks import affine_problems, hot_notes, refuse, voxel_problems
from mrisr.volumes.io import Volume, canonical, save
from mrisr.volumes.raw import load_scan
from mrisr.volumes.stacks import common_grid, sampled

# Margin in mm around the box of a stack's mask: slice profiles of masked voxels reach that far.
MARGIN = 5.0
# Registration compares stacks on isotropic voxels of this edge in mm, or of the in-plane spacing
# where that is longer: slices are too far apart for a pyramid.
WORKING = 1.5
# Registered stacks must share at least this part of the smaller mask.
SHARED = 0.4
# Stacks whose slices are less than this many degrees apart are parallel.
PARALLEL = 10


@dataclass(frozen=True)
class Prepared:
    """A subject's stacks in one space.

    Attributes:
        stacks: By name: canonical orientation, in [0, 1], float32, cropped to their masks.
        masks: Where their voxels are data, uint8, on the same grids.
        grid: The SR grid, uint8, 1 where at least half of the stacks that reach there are data.
        unit: The intensity that becomes 1, in the unit of the fixed stack.
    """

    stacks: Mapping[str, Volume]
    masks: Mapping[str, Volume]
    grid: Volume
    unit: float


def prepare_stacks(
    stacks: Mapping[str, Volume],
    masks: Mapping[str, Volume] | None,
    scale: float,
    *,
    register: str = "rigid",
    fixed: int = 1,
    seed: int = 0,
    name: str = "stacks",
) -> Prepared:
    """Bring the stacks of a subject into one space, and make the SR grid that covers them.

    Each stack is turned to RAS and cropped to the box of its mask and 5 mm around it. One gain
    gives it the mean of the fixed stack inside the mask. A rigid motion registers it to the fixed
    stack. Then all stacks are divided by the largest value in any mask, and clipped to [0, 1].

    Args:
        stacks: By name, in any orientation and unit.
        masks: Nonzero inside, by the same names, on the grids of the stacks; None for the
            foreground of each.
        scale: The SR voxels are cubes. Their edge is the fixed stack's slice thickness over the
            scale.
        register: `rigid`, or `none` to trust the positions that the scanner wrote.
        fixed: Number of the stack that stays where it is, counted from 1.
        seed: Not negative; the registration's random numbers derive from it.
        name: Subject, for messages.

    Raises:
        ScanError: `mrisr.volumes.checks` refuses the voxels or the affine of a stack.
        InputError: There are fewer stacks than `fixed`, two are the same, a mask is empty, or
            stacks do not overlap.
    """
    if not 1 <= fixed <= len(stacks):
        raise InputError(
            f"{name}: stacks.fixed is {fixed}, but it has {len(stacks)} stacks; name one of them"
        )
    _refuse_twins(stacks, name)
    between = _between_slices(stacks.values())
    if len(stacks) > 1 and between < PARALLEL:
        log.warning(
            "%s: the slices of all stacks are parallel (%.0f degrees apart at most): the direction"
            " across them is seen by no stack at high resolution; add a stack of another one",
            *(name, between),
        )
    ready, inside = {}, {}
    for stack, volume in stacks.items():
        refuse(f"{name}, {stack}", affine_problems(volume.affine) + voxel_problems(volume.data))
        for note in hot_notes(volume.data, stack=True):
            log.warning("%s, %s: %s", name, stack, note)
        volume = canonical(volume)
        mask = (
            canonical(masks[stack])
            if masks
            else Volume(foreground(volume.data).astype(np.uint8), volume.affine)
        )
        ready[stack], inside[stack] = _cropped(volume, mask)
    anchor = list(stacks)[fixed - 1]
    mean = {s: float(v.data[inside[s].data != 0].mean()) for s, v in ready.items()}
    gains = {s: mean[anchor] / value for s, value in mean.items()}
    if register == "rigid":
        for stack in ready:
            if stack != anchor:
                stack_seed = derived_seed(seed, "stacks", name, stack)
                affine = _moved(ready, inside, stack, anchor, stack_seed, name)
                ready[stack] = Volume(ready[stack].data, affine)
                inside[stack] = Volume(inside[stack].data, affine)
    top = max(float((gains[s] * v.data[inside[s].data != 0]).max()) for s, v in ready.items())
    for stack, volume in ready.items():
        data = np.clip(volume.data * np.float32(gains[stack] / top), 0, 1)
        ready[stack] = Volume(np.ascontiguousarray(data, np.float32), volume.affine)
    log.info(
        "%s: gains of %d stacks %.2f to %.2f",
        *(name, len(ready), min(gains.values()), max(gains.values())),
    )
    edge = float(ready[anchor].voxel_size.max()) / scale
    return Prepared(ready, inside, _grid(inside, edge, ready[anchor]), top)


def _refuse_twins(stacks: Mapping[str, Volume], name: str) -> None:
    """Raise InputError if two stacks have the same voxels: one would count twice."""
    for first, second in combinations(stacks, 2):
        if np.array_equal(stacks[first].data, stacks[second].data):
            raise InputError(
                f"{name}: {first} and {second} hold the same voxels; name each stack once"
            )


def _between_slices(stacks: Iterable[Volume]) -> float:
    """Return the largest angle between the thick axes of any two stacks, degrees, 0 to 90."""
    axes = [v.affine[:3, :3][:, int(np.argmax(v.voxel_size))] for v in stacks]
    units = np.array([axis / np.linalg.norm(axis) for axis in axes])
    return float(np.degrees(np.arccos(np.clip(np.abs(units @ units.T), 0, 1))).max())


@dataclass(frozen=True, kw_only=True)
class StackSubject(Subject):
    """A subject with stacks; `outputs` are the stacks, their masks, the SR grid.

    Attributes:
        paths: The raw stacks by name.
        given_masks: Their masks by name; None for their foregrounds.
    """

    paths: Mapping[str, str]
    given_masks: Mapping[str, str | Path] | None = None


def stack_subjects(
    sources: str | Path,
    stacks: Mapping[str, Sequence[str]],
    outputs: Mapping[str, Sequence[str | Path]],
    given_masks: Sequence[str | Path] = (),
) -> list[StackSubject]:
    """Return the subjects of a dataset of stacks, with their files.

    Args:
        sources: TSV with the columns subject (`<subject>_<stack>`) and path.
        stacks: The names of each subject's stacks.
        outputs: The files to write for each subject: its stacks, their masks, its SR grid.
        given_masks: The masks of all stacks, subject by subject; empty to take the foregrounds.

    Raises:
        InputError: `sources` lacks some of the stacks.
    """
    wanted = [(subject, stack) for subject, names in stacks.items() for stack in names]
    paths = source_paths(sources, [f"{subject}_{stack}" for subject, stack in wanted])
    masks = dict(zip(wanted, given_masks, strict=True)) if given_masks else None
    return [
        StackSubject(
            name=subject,
            outputs=tuple(outputs[subject]),
            paths={stack: paths[f"{subject}_{stack}"] for stack in names},
            given_masks=masks and {stack: masks[subject, stack] for stack in names},
        )
        for subject, names in stacks.items()
    ]


def prepare_stack_subjects(
    subjects: Sequence[StackSubject],
    *,
    scale: float,
    register: str,
    fixed: int | str,
    seed: int,
    staging: Staging,
) -> None:
    """Prepare the real stacks of all subjects at one scale.

    Args:
        subjects: From `stack_subjects`.
        scale: See `prepare_stacks`.
        register: See `prepare_stacks`.
        fixed: See `prepare_stacks`; or `drawn`, at random for each subject.
        seed: The study's seed.
        staging: Where finished subjects wait while others are still worked on.

    Raises:
        InputError: Some subjects cannot be used, a line each; no final file has been written.
    """

    def prepare(subject: StackSubject, staged: Sequence[Path]) -> None:
        stacks, masks = {}, {}
        for stack, path in subject.paths.items():
            stacks[stack] = load_scan(path)
            if subject.given_masks is not None:
                turned = canonical(stacks[stack])
                masks[stack] = given_mask(subject.given_masks[stack], turned, path)
        made = prepare_stacks(
            stacks,
            masks or None,
            scale,
            register=register,
            fixed=fixed_stack(fixed, len(stacks), seed, subject.name),
            seed=seed,
            name=subject.name,
        )
        volumes = [*made.stacks.values(), *made.masks.values(), made.grid]
        for volume, file in zip(volumes, staged, strict=True):
            save(volume, file)

    each(prepare, subjects, staging, "prepare stacks")


def _cropped(volume: Volume, mask: Volume) -> tuple[Volume, Volume]:
    """Return a stack and its mask, cropped to the mask's box and a margin."""
    box = ndimage.find_objects((mask.data != 0).view(np.uint8))[0]
    around = np.ceil(MARGIN / volume.voxel_size).astype(int)
    window = tuple(
        slice(max(side.start - more, 0), min(side.stop + more, n))
        for side, more, n in zip(box, around, mask.data.shape, strict=True)
    )
    affine = volume.affine @ nib.affines.from_matvec(np.eye(3), [side.start for side in window])
    inside = (mask.data[window] != 0).astype(np.uint8)
    return Volume(volume.data[window], affine), Volume(inside, affine)


def _moved(
    stacks: Mapping[str, Volume],
    masks: Mapping[str, Volume],
    stack: str,
    anchor: str,
    seed: int,
    name: str,
) -> np.ndarray:
    """Return the affine that brings a stack into the space of the anchor."""
    pair = [_isotropic(stacks[one], masks[one]) for one in (stack, anchor)]
    motion = rigid_motion(*pair, seed=seed, name=f"{name}, {stack}")
    moving = stacks[stack]
    affine = np.linalg.inv(motion) @ moving.affine
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in moving.data.shape])).reshape(3, -1).T
    before, after = (nib.affines.apply_affine(place, corners) for place in (moving.affine, affine))
    log.info(
        "%s, %s: moved to %s, its corners by %.1f mm at most",
        *(name, stack, anchor, np.linalg.norm(after - before, axis=1).max()),
    )
    fixed = masks[anchor]
    there, _ = sampled(Volume(masks[stack].data, affine), fixed.data.shape, fixed.affine, 0)
    both = np.count_nonzero((there != 0) & (fixed.data != 0)) * np.prod(fixed.voxel_size)
    smaller = min(np.count_nonzero(m.data) * np.prod(m.voxel_size) for m in (masks[stack], fixed))
    if both < SHARED * smaller:
        raise InputError(
            f"{name}, {stack}: after the registration its mask shares {100 * both / smaller:.0f} %"
            f" with that of {anchor}; are both of the same subject? Look at the masks, name another"
            " stacks.fixed, or set stacks.register: none"
        )
    return affine


def _isotropic(stack: Volume, mask: Volume) -> Volume:
    """Return a stack on isotropic voxels, 0 outside of its mask."""
    edge = max(WORKING, float(stack.voxel_size.min()))
    shape, affine = common_grid([Volume(np.ones_like(mask.data), mask.affine)], edge, stack)
    data, _ = sampled(stack, shape, affine, 1)
    inside, reached = sampled(Volume(mask.data.astype(np.float32), mask.affine), shape, affine, 1)
    return Volume(np.where(reached & (inside >= 0.5), data, 0).astype(np.float32), affine)


def _grid(masks: Mapping[str, Volume], edge: float, like: Volume) -> Volume:
    """Return the SR grid with its foreground."""
    shape, affine = common_grid(list(masks.values()), edge, like)
    share, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for mask in masks.values():
        inside, reached = sampled(
            Volume(mask.data.astype(np.float32), mask.affine), shape, affine, 1
        )
        share += np.where(reached, inside, 0)
        count += reached
    inside = (share >= 0.5 * np.maximum(count, 1)).astype(np.uint8)
    return Volume(inside, affine)
