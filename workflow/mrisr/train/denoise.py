"""Slices denoised by BM3D: targets of the denoising term of a loss (Van Veen et al. 2022, 3.1).

BM3D (Dabov et al. 2007) is the authors' package `bm3d`, free for non-commercial use only. It is an
optional extra, imported only here. Results are cached by content: the same slice is denoised once,
for all studies.
"""

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from mrisr.common.errors import ConfigError
from mrisr.common.files import atomic
from mrisr.common.optional_packages import BM3D, BM3D_LACKING, has_bm3d
from mrisr.common.progress import progress
from mrisr.volumes.io import Volume, load, save
from mrisr.volumes.slices import plane

log = logging.getLogger("mrisr")


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return an image denoised by BM3D.

    Args:
        image: Shape (rows, columns), in [0,1].
        sigma: Standard deviation of the noise, in the image's unit.

    Returns:
        float32, the same shape.

    Raises:
        ConfigError: The package bm3d is not installed.
    """
    if not has_bm3d():
        raise ConfigError(BM3D_LACKING)
    from bm3d import bm3d as denoise

    return np.asarray(denoise(image.astype(np.float64), sigma), dtype=np.float32)


def denoise_slices(
    files: Sequence[str | Path],
    outputs: Sequence[str | Path],
    sigma: float,
    cache: str | Path,
    workers: int = 1,
) -> None:
    """Denoise slices, several at a time.

    Args:
        files: Slices one voxel thick, in [0,1].
        outputs: Where the denoised ones go, on the same grid.
        sigma: See `bm3d`.
        cache: Folder of all slices that were ever denoised. The name of a file there is the digest
            of the slice's numbers, `sigma` and the package's versions.
        workers: Processes, of one thread each.

    Raises:
        ConfigError: The package bm3d is not installed.
        InputError: A file is unusable, or is not a slice.
    """
    if not has_bm3d():
        raise ConfigError(BM3D_LACKING)
    pairs = zip(files, outputs, strict=True)
    tasks = [(file, output, sigma, Path(cache)) for file, output in pairs]
    if workers > 1:
        with ProcessPoolExecutor(min(workers, len(tasks))) as pool:
            done = list(progress(pool.map(_denoise, tasks), "denoise", len(tasks)))
    else:
        done = list(map(_denoise, progress(tasks, "denoise")))
    log.info("%d slices denoised, %d taken from %s", done.count(False), done.count(True), cache)


def _denoise(task: tuple[str | Path, str | Path, float, Path]) -> bool:
    """Denoise one slice; return whether the cache had it."""
    file, output, sigma, cache = task
    volume = load(file)
    image = np.ascontiguousarray(plane(volume, file), dtype=np.float32)
    kept = cache / f"{_name(image, sigma)}.npy"
    found = kept.exists()
    if found:
        made = np.load(kept, allow_pickle=False)
    else:
        made = bm3d(image, sigma)
        with atomic(kept) as temporary, temporary.open("wb") as opened:
            np.save(opened, made, allow_pickle=False)
    save(Volume(made.reshape(volume.data.shape), volume.affine), output)
    return found


def _name(image: np.ndarray, sigma: float) -> str:
    versions = [f"{name} {metadata.version(name)}" for name in BM3D]
    about = "\n".join([*versions, f"{sigma:.9g}", str(image.shape)])
    return hashlib.sha256(about.encode() + image.tobytes()).hexdigest()
