"""Skull stripping by a program that is installed: SynthStrip or HD-BET."""

import logging
import shutil
import subprocess
from pathlib import Path

from mrisr.common.errors import ConfigError, InputError
from mrisr.volumes.io import farthest
from mrisr.volumes.raw import load_scan

log = logging.getLogger("mrisr")
SAME_PART = 0.01  # of a voxel: error of 32-bit numbers in a header
SYNTHSTRIP, HD_BET = "mri_synthstrip", "hd-bet"


def program() -> str:
    """Return the program that strips skulls.

    Raises:
        ConfigError: None is installed.
    """
    found = next((name for name in (SYNTHSTRIP, HD_BET) if shutil.which(name)), None)
    if found is None:
        raise ConfigError(
            f"--strip: neither SynthStrip ({SYNTHSTRIP}, of FreeSurfer) nor HD-BET ({HD_BET}) is"
            f" installed; install one (pip install {HD_BET}), or strip the skull yourself"
        )
    return found


def strip(scan: Path, folder: Path, device: str, threads: int) -> Path:
    """Strip the skull of a scan.

    Args:
        scan: A 3-D NIfTI file.
        folder: Folder for the result, which gets the name of the scan.
        device: `auto`, `cpu` or `cuda`.
        threads: Threads of the CPU.

    Returns:
        The stripped scan, on the scan's own grid.

    Raises:
        ConfigError: No program is installed.
        InputError: The program failed, or changed the grid.
    """
    name = program()
    made = folder / (scan.name.removesuffix(".gz").removesuffix(".nii") + ".nii.gz")
    command = [name, "-i", str(scan), "-o", str(made)]
    if name == SYNTHSTRIP:
        command += ["--threads", str(threads), *(["--gpu"] if device == "cuda" else [])]
    elif device != "auto":
        command += ["-device", device]
    log.info("%s: the skull is stripped by %s", scan, name)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not made.exists():
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise InputError(
            f"{scan}: {name} failed ({said}); try it by itself: {' '.join(command[:3])} -o OUT"
        )
    before, after = load_scan(scan), load_scan(made)
    shape = before.data.shape
    near = SAME_PART * before.voxel_size.min()
    if shape != after.data.shape or farthest(before.affine, after.affine, shape) > near:
        raise InputError(f"{scan}: {name} wrote it on another grid; strip the skull yourself")
    sidecar = scan.with_name(scan.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if sidecar.is_file():  # has the thickness of slices
        shutil.copy(sidecar, folder)
    return made
