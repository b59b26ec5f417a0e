"""Metrics at log-spaced steps of a training that continues after the step whose weights are kept.

Figures 3 and A1 of Van Veen et al. 2022. The training starts with the same seed as the method's own
training, so it passes through the same weights. Only its metrics are kept.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mrisr.common.files import Staging, atomic, digest, sha256, write_json, write_text
from mrisr.common.progress import log
from mrisr.degrade.resample import degrade
from mrisr.evaluate.pieces import evaluate
from mrisr.methods.training_length import steps_per_epoch, total_steps
from mrisr.reconstruct.apply import reconstruct
from mrisr.train.engine import Interruption, TrainingJob, train
from mrisr.volumes.io import Volume, load
from mrisr.volumes.slices import plane

if TYPE_CHECKING:
    from mrisr.methods.method import Method

METRICS = ("vif", "psnr")
COLUMNS = ("step", "metric", "mean", "std", "n", "kept")


def steps_of(last: int, points: int, kept: int, each: int = 0) -> list[int]:
    """Return the steps at which metrics are computed.

    Args:
        last: Steps of the whole training.
        points: Number of steps, from step 1 to the last, evenly spaced on a log scale and rounded
            (some coincide at the beginning).
        kept: The step whose weights are kept; it is added.
        each: Number of first steps that are all added.
    """
    spaced = np.geomspace(1, last, points).round().astype(int).tolist()
    found = {*spaced, *range(1, min(each, last) + 1)}
    return sorted({*found, kept} if kept <= last else found)


def kept_step(training: dict, slices: int) -> int:
    """Return the number of steps of a method's own training."""
    return total_steps(training, steps_per_epoch(training, slices))


def early_stopping(
    job: TrainingJob,
    method: "Method",
    scale: float,
    last: int,
    points: int,
    folder: str | Path,
    each: int = 0,
) -> None:
    """Train on, and write `curve.csv` and `images.npz`.

    `curve.csv` has the columns step, metric, mean, std and n over the validation slices, each
    reconstructed at `scale`. Its column kept is 1 at the step whose weights the method's own
    training keeps. `images.npz` has the first slice's ground truth and its reconstructions, by
    step, at `points`. An interrupted training continues from the last checkpoint.

    Args:
        job: The method's own training, but with another folder in `checkpoints`.
        method: The method.
        scale: Scale at which validation slices are reconstructed.
        last: Steps of the whole training.
        points: See `steps_of`.
        folder: Folder for the files.
        each: See `steps_of`; these steps have metrics, but no image.

    Raises:
        TrainingError: Ended by a signal, or the loss is not finite.
    """
    training = job.spec["training"]
    kept = kept_step(training, len(job.train))
    per_epoch = steps_per_epoch(training, len(job.train))
    fixed = {"steps": None, "steps_per_epoch": per_epoch}
    longer = {**training, **fixed, "epochs": -(-last // per_epoch), "keep": "last"}
    wanted, pictured = steps_of(last, points, kept, each), steps_of(last, points, kept)
    truths = [load(file) for file in job.val]
    lows = [degrade(truth, scale, job.degradation)[""] for truth in truths]
    # A checkpoint needs the observations that were made before it, so both share one fingerprint.
    inputs = [*job.train, *job.val, *job.train_denoised, *job.val_denoised]
    fingerprint = [wanted, scale, job.seed, job.code, job.spec, [sha256(file) for file in inputs]]
    staged = Staging(f"{job.checkpoints}/observed", fingerprint)

    def observe(step: int, network: torch.nn.Module, _: float) -> None:
        if step not in wanted:
            return
        network.eval()
        images = [
            reconstruct(
                *(method, network, low, truth.data.shape, scale, truth.affine),
                *(job.degradation["grid"], job.device),
            ).data
            for low, truth in zip(lows, truths, strict=True)
        ]
        rows = _measure(step, int(step == kept), truths, images)
        if step in pictured:
            with atomic(staged.path(f"{step}.npy")) as temporary, temporary.open("wb") as opened:
                np.save(opened, images[0].reshape(plane(truths[0]).shape), allow_pickle=False)
        write_json(staged.path(f"{step}.json"), rows)
        means = ", ".join(f"{row[1]} {row[2]:.4f}" for row in rows)
        log.info("%s: step %d, validation slices at %gx: %s", job.name, step, scale, means)

    if staged.pending([f"{step}.json" for step in wanted]):
        interruption = Interruption()
        longer_job = replace(job, spec={**job.spec, "training": longer}, code=digest(fingerprint))
        train(longer_job, lambda step: step >= last or interruption(step), observe)
        interruption.check(job.name)
    _write(staged, wanted, pictured, truths[0], Path(folder))
    shutil.rmtree(job.checkpoints, ignore_errors=True)


def _measure(
    step: int, kept: int, truths: Sequence[Volume], images: Sequence[np.ndarray]
) -> list[tuple]:
    rows = []
    for name in METRICS:
        scores = []
        for truth, image in zip(truths, images, strict=True):
            table = evaluate(truth.data, image, metrics=[name])
            scores.append(float(table["value"].iloc[0]))
        std = float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
        rows.append((step, name, float(np.mean(scores)), std, len(scores), kept))
    return rows


def _write(
    staged: Staging, steps: Sequence[int], pictured: Sequence[int], truth: Volume, folder: Path
) -> None:
    rows = [row for step in steps for row in json.loads(staged.path(f"{step}.json").read_text())]
    table = pd.DataFrame(rows, columns=COLUMNS)
    images = {
        f"step_{step}": np.load(staged.path(f"{step}.npy"), allow_pickle=False) for step in pictured
    }
    with atomic(folder / "images.npz") as temporary, temporary.open("wb") as opened:
        size = [mm for mm, n in zip(truth.voxel_size, truth.data.shape, strict=True) if n > 1]
        np.savez_compressed(opened, truth=plane(truth), voxel_size=size, **images)
    write_text(folder / "curve.csv", table.to_csv(index=False, float_format="%.9g"))
