"""Super-resolution of a user's own scan: any orientation and intensity unit, true affine."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from mrisr.common import devices
from mrisr.common.errors import ConfigError, InputError
from mrisr.methods import method as methods
from mrisr.methods import shipped
from mrisr.own_scans.ensemble import over_flips
from mrisr.own_scans.method_choice import named_method
from mrisr.own_scans.output import clipped, new_file, save_like
from mrisr.own_scans.remarks import doubts
from mrisr.own_scans.target import Target, by_scale, by_voxel_size
from mrisr.own_scans.thick import LONGER, Slices, edges, in_plane, slices_of
from mrisr.own_scans.train_here import content_seed, trained_here
from mrisr.own_scans.trained_model import TrainedModel, open_model
from mrisr.prepare.ground_truth import prepare_volume
from mrisr.reconstruct.apply import reconstruct
from mrisr.volumes.checks import header
from mrisr.volumes.io import Volume
from mrisr.volumes.raw import load_scan

log = logging.getLogger("mrisr")
CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])


def super_resolve(
    scan: str | Path,
    output: str | Path,
    scale: float | None = None,
    model: str | Path | None = None,
    method: str | None = None,
    voxel_size: float | None = None,
    ensemble: bool = False,
    plugins: Sequence[str | Path] = (),
    any_scale: bool = False,
    keep_normalised: bool = False,
    device: str = "auto",
    threads: int = 1,
    memory_mb: float | None = None,
    force: bool = False,
    clip: str = "scan",
    thickness: float | None = None,
    gap: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    precision: str = "float32",
) -> Volume:
    """Super-resolve a scan from file to file.

    Inside, the scan is like those that a model was trained on: RAS, divided by its maximum, values
    below 0 set to 0. The SR volume has the scan's own orientation and unit, float32.

    Args:
        scan: A 3-D NIfTI file.
        output: NIfTI file to write.
        scale: Up-sampling scale k, the same along all axes.
        model: See `mrisr.own_scans.trained_model.open_model`. Without it and without `method` the
            model that comes with mrisr is applied.
        method: A method without a model, `cubic` or `nearest`, or one that is trained on the scan
            itself, `smore`.
        voxel_size: Voxel size of the SR volume in mm, as near as whole voxels come to it. Each axis
            has its own scale, if the model allows that. Without it and without `scale` the scan's
            finest edge, which for thick slices is that in the plane.
        ensemble: Average the model's results for the scan's eight mirror images.
        plugins: Further folders with `methods/<name>/`.
        any_scale: Allow scales that the model was not made for.
        keep_normalised: Leave the intensities in [0,1], as the metrics of a study see them.
        device: `auto`, `cpu` or `cuda`.
        threads: Threads of the CPU.
        memory_mb: Memory that the network may use, in MiB; default half of the available memory.
        force: Replace an output that exists.
        clip: For intensities beyond the scan's own range: `scan` clips them, `none` does not.
        thickness: Of thick slices in mm; default what the scan's BIDS sidecar says, else the
            distance between them.
        gap: Between thick slices in mm.
        minutes: Time limit of a training on the scan; default that of the method.
        seed: Seed of such a training.
        precision: Of the products of a model's layers: `float32`, or `bfloat16`, which differs
            hardly and is faster on devices that have it; others stay with `float32`.

    Returns:
        The SR volume.

    Raises:
        InputError: The scan, the model, the scale or the voxel size is refused, or the output
            exists.
        ConfigError: An unknown method, or one that needs a model.
    """
    output = new_file(output, force)
    trained = None
    if method is None:
        trained = open_model(model or shipped.weights_file(shipped.DEFAULT, "mrisr sr"), plugins)
    chosen = trained.method if trained else _without_model(method, plugins, minutes)
    for option, given in {"ensemble": ensemble, "precision": precision != "float32"}.items():
        if given and trained is None:
            raise InputError(f"{method}: --{option} is for trained models; leave it out")
    named = model or chosen.name
    if scale is not None:
        _refuse(trained or chosen, by_scale((), scale), named, any_scale)
    volume = load_scan(scan)
    for note in header(scan).notes:
        log.warning("%s: %s", scan, note)
    ready, _ = prepare_volume(volume, {"kind": "none"}, {"kind": "signal"}, str(scan), min_size=2)
    stack = slices_of(scan, ready, thickness, gap)
    if stack is not None:
        log.info("%s: %s", scan, stack)
        if trained and model is None and scale is None and _thick(stack, ready, voxel_size):
            trained = open_model(shipped.weights_file(shipped.THICK, "mrisr sr"), plugins)
            chosen, named = trained.method, trained.method.name
    elif scale is None and voxel_size is None:
        log.warning(
            "%s: voxels of %s mm are nearly isotropic already; there are no thick slices to refine",
            *(scan, edges(ready)),
        )
    for doubt in doubts(volume, trained) if trained else ():
        log.warning("%s: %s", scan, doubt)
    grid = trained.grid if trained else "centres"
    if scale is not None:
        target = by_scale(ready.data.shape, scale)
    else:
        edge = in_plane(ready) if voxel_size is None else voxel_size
        target = by_voxel_size(ready.data.shape, ready.voxel_size, edge, grid, str(scan))
        if voxel_size is None and (reason := _refused(trained or chosen, target)):
            log.warning("%s: %s; done all the same, look at it beside cubic", named, reason)
        elif voxel_size is not None:
            _refuse(trained or chosen, target, named, any_scale)
    if trained and model is None:
        log.info("%s: the model that comes with mrisr, %s", chosen.name, trained.limits(target))
    where = devices.pick(threads, device)
    network = trained.load(where) if trained else None
    if precision == "bfloat16" and not devices.has_bfloat16(where):
        log.warning("%s has no bfloat16; computing in float32", devices.this(where))
        precision = "float32"
    if chosen.per_subject:
        network = _on_the_scan(chosen, ready, stack, target, str(scan), seed, where)
    log.info(
        "%s: %s at %s, %s voxels to %s, on %s",
        *(scan, chosen.label, target, _by(ready.data.shape), _by(target.shape), where),
    )
    apply = partial(
        reconstruct,
        chosen,
        network,
        shape=target.shape,
        scale=max(target.scales),
        grid=grid,
        device=where,
        memory_mb=devices.memory_mb(where, memory_mb),
        precision=precision,
    )
    made = over_flips(apply, ready) if ensemble else apply(ready)
    unit = np.float32(1 if keep_normalised else volume.data.max())
    made.data *= unit
    done = clipped(made, float(ready.data.min() * unit), float(ready.data.max() * unit), clip)
    made = _turned(made, volume.affine)
    rounded = "" if precision == "float32" else f", {precision}"
    save_like(made, volume, output, f"mrisr sr: {chosen.name}, {target}{rounded}, {done}")
    sizes = " x ".join(f"{size:.4g}" for size in made.voxel_size)
    log.info("%s: written, voxels of %s mm, %s", output, sizes, done)
    return made


def _thick(stack: Slices, volume: Volume, voxel_size: float | None) -> bool:
    """Say whether slices alone are to be refined, and by how much the model for them was made."""
    edge = in_plane(volume) if voxel_size is None else voxel_size
    finer = sorted(volume.voxel_size / edge)[:2]
    return stack.spacing / edge >= shipped.THICK_FROM and max(finer) < LONGER


def _refused(chosen: TrainedModel | methods.Method, target: Target) -> str | None:
    """Return why a model or method is not made for a target, or None."""
    reason = target.refused(chosen.refuses)
    if not reason and not target.isotropic and not getattr(chosen, "scale_per_axis", True):
        reason = f"scales {target}: it was trained for one scale along all axes"
    return reason


def _refuse(
    chosen: TrainedModel | methods.Method, target: Target, name: str | Path, any_scale: bool
) -> None:
    """Refuse scales that a model or method is not made for, unless `any_scale` allows them."""
    reason = _refused(chosen, target)
    if reason and not any_scale:
        raise InputError(f"{name}: {reason}; choose such a scale, or add --any-scale")


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _usable(method: methods.Method) -> bool:
    """Say whether a method turns one volume into another without a model, or trains one on it."""
    if method.per_subject:
        return method.input == "through_plane"
    return not method.learned and method.kind != "external" and method.input == "volume"


def _without_model(
    name: str, plugins: Sequence[str | Path], minutes: float | None
) -> methods.Method:
    method = named_method(name, plugins, _usable)
    if minutes is not None:
        if not method.per_subject:
            raise ConfigError(f"method '{name}' trains nothing on the scan: leave --minutes out")
        method = methods.get(name, {"training": {"minutes": minutes}}, search=plugins)
    if method.learned and not _usable(method):
        raise ConfigError(f"method '{name}' is learned: give a trained model of it by --model")
    if not _usable(method):
        raise ConfigError(
            f"method '{name}' does not turn one volume into another; it runs in a study only"
        )
    return method


def _on_the_scan(
    method: methods.Method,
    lr: Volume,
    stack: Slices | None,
    target: Target,
    name: str,
    seed: int,
    device: torch.device,
) -> torch.nn.Module:
    """Return the network of a method that learns from the scan itself."""
    if stack is None:
        raise InputError(
            f"{name}: voxels of {edges(lr)} mm, so no axis has thick slices, which method"
            f" '{method.name}' needs; apply a model or --method cubic"
        )
    n, m = target.shape[stack.axis], lr.data.shape[stack.axis]
    degradation, scale = stack.degradation(stack.spacing * m / n)
    seed = content_seed(seed, [lr])
    return trained_here(method, {"scan": lr}, {}, degradation, scale, seed, device)


def _turned(volume: Volume, affine: np.ndarray) -> Volume:
    """Return a canonical volume in the orientation of another affine."""
    wanted = nib.orientations.io_orientation(affine)
    turn = nib.orientations.ornt_transform(CANONICAL, wanted)
    data = nib.orientations.apply_orientation(volume.data, turn)
    return Volume(
        np.ascontiguousarray(data),
        volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.data.shape),
    )
