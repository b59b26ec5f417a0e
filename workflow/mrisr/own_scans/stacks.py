"""Super-resolution of a user's own stacks: several thick-slice scans to one isotropic volume."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrisr.common import devices
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.progress import log
from mrisr.methods import method as methods
from mrisr.own_scans.method_choice import named_method
from mrisr.own_scans.output import clipped, new_file, save_like
from mrisr.own_scans.train_here import content_seed, trained_here
from mrisr.prepare.ground_truth import given_mask
from mrisr.prepare.real_stacks import prepare_stacks
from mrisr.reconstruct.apply import reconstruct
from mrisr.volumes.io import Volume, canonical
from mrisr.volumes.raw import load_scan

DEGRADATION = {"kind": "stacks", "kernel": "slice_profile", "grid": "centres", "antialias": None}


def super_resolve_stacks(
    scans: Sequence[str | Path],
    output: str | Path,
    voxel_size: float,
    method: str,
    masks: Sequence[str | Path] = (),
    plugins: Sequence[str | Path] = (),
    register: bool = True,
    minutes: float | None = None,
    seed: int = 0,
    keep_normalised: bool = False,
    device: str = "auto",
    threads: int = 1,
    memory_mb: float | None = None,
    force: bool = False,
    clip: str = "scan",
) -> Volume:
    """Reconstruct one isotropic volume from several stacks, from file to file.

    Inside, the stacks are like those of a study, see `mrisr.prepare.real_stacks.prepare_stacks`;
    the first one stays where it is. A method that is optimised per subject is trained first.

    Args:
        scans: 3-D files, two or more, in any orientation.
        output: NIfTI file to write, along the first stack's axes and in its unit.
        voxel_size: Edge of the SR voxels in mm.
        method: A method whose input is stacks.
        masks: One for each stack, nonzero inside; default the foreground of each.
        plugins: Further folders with `methods/<name>/`.
        register: Register all other stacks to the first one.
        minutes: Time limit of a training; default that of the method.
        seed: Seed of registration and training.
        keep_normalised: Leave the intensities in [0,1].
        device: `auto`, `cpu` or `cuda`.
        threads: Threads of the CPU.
        memory_mb: Memory that the work may use, in MiB; default half of the available memory.
        force: Replace an output that exists.
        clip: As in `mrisr.own_scans.scan.super_resolve`, with the range of all stacks.

    Returns:
        The SR volume.

    Raises:
        InputError: A stack or mask is refused, or the output exists.
        ConfigError: An unknown method, or one that does not take stacks.
    """
    output = new_file(output, force)
    if masks and len(masks) != len(scans):
        raise InputError(
            f"{len(masks)} masks of {len(scans)} stacks; give one for each, in the same order"
        )
    training = {"training": {"minutes": minutes}} if minutes is not None else {}
    chosen = named_method(method, plugins, _usable)
    if chosen.per_subject:
        chosen = methods.get(method, training, search=plugins)
    if not _usable(chosen):
        raise ConfigError(
            f"method '{method}': takes {chosen.input}, not stacks; give one scan to it, or one of"
            " bspline, srr and irem to several"
        )
    names = [f"stack-{n}" for n, _ in enumerate(scans, start=1)]
    stacks = dict(zip(names, map(load_scan, scans), strict=True))
    given = {
        name: given_mask(mask, canonical(stacks[name]), str(scan))
        for name, mask, scan in zip(names, masks, scans, strict=False)
    }
    made = prepare_stacks(
        stacks,
        given or None,
        float(stacks[names[0]].voxel_size.max()) / voxel_size,
        register="rigid" if register else "none",
        seed=content_seed(seed, stacks.values()),
        name=f"{len(scans)} stacks",
    )
    where = devices.pick(threads, device)
    model = None
    if chosen.per_subject:
        model = trained_here(chosen, made.stacks, made.masks, DEGRADATION, 1, seed, where)
    found = reconstruct(
        chosen,
        model,
        dict(made.stacks),
        made.grid.data.shape,
        affine=made.grid.affine,
        grid="centres",
        device=where,
        memory_mb=devices.memory_mb(where, memory_mb),
        masks={name: mask.data for name, mask in made.masks.items()},
    )
    found.data[made.grid.data == 0] = 0
    unit = np.float32(1 if keep_normalised else made.unit)
    found.data *= unit
    low = min(float(stack.data.min()) for stack in made.stacks.values()) * unit
    high = max(float(stack.data.max()) for stack in made.stacks.values()) * unit
    done = clipped(found, low, high, clip)
    about = f"mrisr sr: {chosen.name} of {len(scans)} stacks, {done}"
    save_like(found, stacks[names[0]], output, about, grid="other")
    shape = " x ".join(map(str, found.data.shape))
    log.info("%s: written, %s voxels of %g mm, %s", output, shape, voxel_size, done)
    return found


def _usable(method: methods.Method) -> bool:
    """Say whether a method turns stacks into a volume here."""
    return method.input == "stacks" and method.kind != "external"
