"""The LR input of all subjects of a dataset, from file to file."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mrisr.common.files import write_text
from mrisr.common.progress import progress
from mrisr.degrade.acquisition import AXIS, of_scale
from mrisr.degrade.noise import noisy
from mrisr.degrade.resample import STACK_AXES, degrade
from mrisr.degrade.through_plane import fitted, sidecar
from mrisr.volumes.io import Volume, load, save


def degrade_subjects(
    hr: Sequence[str],
    lr: Mapping[str, Sequence[str]],
    scale: float,
    degradation: Mapping,
    workers: int = 1,
    *,
    masks: Sequence[str] = (),
    sidecars: Sequence[str] = (),
    seed_parts: Sequence[object] = (),
) -> None:
    """Simulate and save the LR input of several subjects.

    Args:
        hr: Ground-truth files, one for each subject.
        lr: For each name that `degrade` returns, the files to write, one for each subject.
        scale: Down-sampling scale k.
        degradation: See `mrisr.degrade.resample.degrade`; `noise: {snr}` adds noise.
        workers: Threads (compression and matrix products release the interpreter's lock).
        masks: With noise, the mask of each subject.
        sidecars: JSON files to write for thick slices, one for each subject.
        seed_parts: What seeds the noise, besides subject and scale: the study's seed and dataset.
    """
    noise = degradation.get("noise")

    def one(index: int) -> None:
        truth = load(hr[index])
        for name, volume in degrade(truth, scale, dict(degradation)).items():
            if noise:
                subject = Path(hr[index]).name
                parts = (*seed_parts, subject, scale, name)
                volume = noisy(volume, truth, load(masks[index]).data, noise["snr"], *parts)
            save(volume, lr[name][index])
        if sidecars:
            about = _sidecar(truth, scale, degradation)
            write_text(sidecars[index], json.dumps(about, indent=2) + "\n")

    with ThreadPoolExecutor(workers) as pool:
        list(progress(pool.map(one, range(len(hr))), f"degrade x{scale:g}", len(hr)))


def _sidecar(truth: Volume, scale: float, degradation: Mapping) -> dict[str, float]:
    axis = STACK_AXES[degradation.get("axis", AXIS)]
    made = fitted(truth.data.shape[axis], of_scale(degradation, scale))
    return sidecar(made, float(np.linalg.norm(truth.affine[:3, axis])))
