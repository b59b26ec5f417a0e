"""Super-resolution of a scan of one's own: any orientation and intensity unit, true affine."""

import logging
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.common import devices
from mrisr.common.errors import ConfigError, InputError
from mrisr.methods import method as methods
from mrisr.own_scans.output import clipped, new_file, save_like
from mrisr.own_scans.remarks import doubts
from mrisr.own_scans.trained_model import open_model
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
    scale: float,
    model: str | Path | None = None,
    method: str | None = None,
    plugins: Sequence[str | Path] = (),
    any_scale: bool = False,
    keep_normalised: bool = False,
    device: str = "auto",
    threads: int = 1,
    memory_mb: float | None = None,
    force: bool = False,
    clip: str = "scan",
) -> Volume:
    """Super-resolve a scan from file to file.

    Inside, the scan is what a model was trained on: RAS, divided by its maximum, values below 0
    set to 0. The SR volume is in the scan's own orientation and unit, float32.

    Args:
        scan: A 3-D NIfTI file.
        output: The NIfTI file to be written.
        scale: Up-sampling scale k.
        model: See `mrisr.own_scans.trained_model.open_model`; or None, and give `method`.
        method: A method without a model, `cubic` or `nearest`.
        plugins: Further folders that hold `methods/<name>/`.
        any_scale: Also scales that the model was not made for.
        keep_normalised: Leave the intensities in [0,1], as the metrics of a study see them.
        device: `auto`, `cpu` or `cuda`.
        threads: Threads of the CPU.
        memory_mb: That the network may take, in MiB; default half of what is available.
        force: Replace an output that exists.
        clip: What becomes of intensities beyond the scan's own: `scan` clips them, `none` does not.

    Returns:
        What was written.

    Raises:
        InputError: The scan, the model or the scale is refused, or the output exists.
        ConfigError: An unknown method, or one that needs a model.
    """
    output = new_file(output, force)
    trained = open_model(model, plugins) if model is not None else None
    chosen = trained.method if trained else _without_model(method, plugins)
    reason = (trained or chosen).refuses(scale)
    if scale <= 1:
        raise InputError(f"scale {scale:g}: a scale above 1 is expected")
    if reason and not any_scale:
        raise InputError(f"{model or method}: {reason}; choose such a scale, or add --any-scale")
    volume = load_scan(scan)
    for note in header(scan).notes:
        log.warning("%s: %s", scan, note)
    for doubt in doubts(volume, trained) if trained else ():
        log.warning("%s: %s", scan, doubt)
    ready, _ = prepare_volume(volume, {"kind": "none"}, {"kind": "signal"}, str(scan), min_size=2)
    where = devices.pick(threads, device)
    network = trained.load(where) if trained else None
    grid = trained.grid if trained else "centres"
    log.info(
        "%s: %s at %gx, %s voxels to %s, on %s",
        *(scan, chosen.label, scale, _by(ready.data.shape)),
        *(_by(round(n * scale) for n in ready.data.shape), where),
    )
    made = reconstruct(
        chosen,
        network,
        ready,
        scale=scale,
        grid=grid,
        device=where,
        memory_mb=devices.memory_mb(where, memory_mb),
    )
    unit = np.float32(1 if keep_normalised else volume.data.max())
    made.data *= unit
    done = clipped(made, float(ready.data.min() * unit), float(ready.data.max() * unit), clip)
    made = _turned(made, volume.affine)
    save_like(made, volume, output, f"mrisr sr: {chosen.name}, scale {scale:g}, {done}")
    log.info("%s: written, %s", output, done)
    return made


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _without_model(name: str, plugins: Sequence[str | Path]) -> methods.Method:
    method = methods.get(name, search=plugins)
    if method.learned:
        raise ConfigError(f"method '{name}' is learned: give a trained model of it by --model")
    if method.kind == "external" or method.input != "volume":
        raise ConfigError(
            f"method '{name}' does not turn one volume into another; it runs in a study only"
        )
    return method


def _turned(volume: Volume, affine: np.ndarray) -> Volume:
    """Return a canonical volume in the orientation of another affine."""
    wanted = nib.orientations.io_orientation(affine)
    turn = nib.orientations.ornt_transform(CANONICAL, wanted)
    data = nib.orientations.apply_orientation(volume.data, turn)
    return Volume(
        np.ascontiguousarray(data),
        volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.data.shape),
    )
