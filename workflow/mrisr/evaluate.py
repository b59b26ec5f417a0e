"""Evaluation: reconstructions against the ground truth, a tidy CSV a method and scale."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from mrisr import metrics as metric_modules
from mrisr.errors import InputError
from mrisr.files import write_text
from mrisr.io import load
from mrisr.progress import progress

AFFINE_TOLERANCE = 1e-4
COLUMNS = ("subject", "metric", "region", "value")


def evaluate_subjects(
    references: Sequence[str | Path],
    images: Sequence[str | Path],
    masks: Sequence[str | Path],
    subjects: Sequence[str],
    metrics: Sequence[str],
    regions: Sequence[str],
    output: str | Path,
    workers: int = 1,
) -> None:
    """Evaluate all subjects of a method and scale, several at a time.

    Args:
        references: Ground truth of each subject.
        images: Reconstruction of each subject, on the grid and affine of the ground truth.
        masks: Mask of each subject, on the same grid.
        subjects: Their names, in the order of the rows.
        metrics: Names of metrics, see `mrisr.metrics.names`.
        regions: `volume`, `mask`.
        output: CSV: subject, metric, region, value (9 significant digits; `inf` stays `inf`).
        workers: Processes; each uses one thread.

    Raises:
        InputError: A file is unusable, off the grid of its ground truth, or not finite; all such
            subjects are named, and no file is written.
        ConfigError: No such metric or region.
    """
    tasks = [
        (subject, reference, image, mask, list(metrics), list(regions))
        for subject, reference, image, mask in zip(subjects, references, images, masks, strict=True)
    ]
    count = min(workers, len(tasks))
    if count > 1:
        with ProcessPoolExecutor(count) as pool:
            done = list(progress(pool.map(_evaluate, tasks), "evaluate", len(tasks)))
    else:
        done = [_evaluate(task) for task in progress(tasks, "evaluate")]
    problems = [problem for problem, _ in done if problem]
    if problems:
        raise InputError("\n  ".join(["cannot be evaluated:", *problems]))
    lines = [",".join(COLUMNS), *(line for _, lines in done for line in lines)]
    write_text(output, "\n".join(lines) + "\n")


def _evaluate(task: tuple) -> tuple[str | None, list[str]]:
    """Return what is wrong with a subject, or None, and its lines of the CSV."""
    subject, reference_path, image_path, mask_path, metrics, regions = task
    try:
        reference, image = load(reference_path), load(image_path)
        mask = load(mask_path) if "mask" in regions else None
        for path, volume in ((image_path, image), (mask_path, mask)):
            if volume is None:
                continue
            if volume.data.shape != reference.data.shape:
                raise InputError(
                    f"{path}: shape {volume.data.shape}, but the ground truth {reference_path}"
                    f" has {reference.data.shape}; write it on the grid of the ground truth"
                )
            off = float(np.abs(volume.affine - reference.affine).max())
            if not off <= AFFINE_TOLERANCE:
                raise InputError(
                    f"{path}: affine differs from the ground truth {reference_path} by {off:.3g};"
                    " copy the ground truth's affine when saving"
                )
        if not np.isfinite(image.data).all():
            raise InputError(
                f"{image_path}: holds NaN or infinite values; reconstruct the subject again, and"
                " if they stay, train the model again"
            )
        try:
            table = metric_modules.evaluate(
                reference.data, image.data, mask.data if mask else None, metrics, regions
            )
        except InputError as error:
            raise InputError(f"{image_path} against {reference_path}: {error}") from None
    except InputError as error:
        return f"{subject}: {error}", []
    return None, [f"{subject},{m},{r},{v:.9g}" for m, r, v in table.itertuples(index=False)]
