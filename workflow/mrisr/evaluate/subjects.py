"""Evaluation: reconstructions against the ground truth, a tidy CSV a method and scale.

What concerns the ground truth alone (its own scores, its features for LPIPS) is made once a
dataset and shared by all methods and scales.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrisr import metrics as metric_modules
from mrisr.common.errors import InputError
from mrisr.common.files import Staging, atomic, write_text
from mrisr.common.progress import progress
from mrisr.evaluate import pieces
from mrisr.evaluate.pieces import Pair, Work
from mrisr.volumes.io import canonical, canonical_shape, check_grid
from mrisr.volumes.raw import load_mask, load_scan

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("subject", "metric", "region", "value")
# Pieces that each stack of slices is cut into: evens out what the processes have to do.
PIECES = 2
COUNTS = ("slices", "empty_slices")


@dataclass(frozen=True)
class Options:
    """How metrics are taken.

    Attributes:
        metrics: Names of metrics, see `mrisr.metrics.names`.
        regions: `volume`, `mask`.
        settings: Settings by metric.
        empty_slices: `exclude` or `include` slices without signal in the ground truth.
        device: Where metrics on slices are computed.
    """

    metrics: Sequence[str]
    regions: Sequence[str] = ("volume",)
    settings: Mapping[str, Mapping] = field(default_factory=dict)
    empty_slices: str = "exclude"
    device: str = "cpu"


def available(metrics: Sequence[str], fetched: Mapping[str, Mapping]) -> list[str]:
    """Return the metrics that can be taken.

    Args:
        metrics: Names.
        fetched: What the `fetch` of those that need a file said.
    """
    return [name for name in metrics if fetched.get(name, {}).get("available", True)]


def evaluate_subjects(
    references: Sequence[str | Path],
    images: Sequence[str | Path],
    masks: Sequence[str | Path],
    subjects: Sequence[str],
    options: Options,
    output: str | Path,
    *,
    scores: str | Path | None = None,
    features: Sequence[str | Path] | None = None,
    staging: Staging | None = None,
    workers: int = 1,
) -> None:
    """Evaluate all subjects of a method and scale, several at a time.

    Args:
        references: Ground truth of each subject.
        images: Reconstruction of each subject, on the grid and affine of the ground truth.
        masks: Mask of each subject, on the same grid; not read without the region `mask`.
        subjects: Their names, in the order of the rows.
        options: What is taken.
        output: CSV: subject, metric, region, value (9 significant digits; `inf` stays `inf`).
        scores: What `ground_truth_scores` wrote: stands for images that equal the ground truth.
        features: A folder for each subject, where features of the ground truth are kept for other
            calls; not used with a GPU, which is faster than reading them.
        staging: Where finished subjects wait, so that a killed job goes on after them.
        workers: Processes, of one thread each; with a GPU this process does all.

    Raises:
        InputError: A file is unusable, off the grid of its ground truth, or not finite; all such
            subjects are named, and no file is written.
        ConfigError: No such metric or region.
    """
    masked = "mask" in options.regions
    own = _scores(scores) if scores is not None else {}
    tasks = [
        _Task(
            subject,
            str(image),
            str(reference),
            str(mask) if masked else None,
            str(features[index]) if features and options.device == "cpu" else None,
            own.get(subject, {}),
        )
        for index, (subject, reference, image, mask) in enumerate(
            zip(subjects, references, images, masks, strict=True)
        )
    ]
    _write(output, _evaluate(tasks, options, staging, workers), staging)


def evaluate_files(
    image: str | Path,
    reference: str | Path | None,
    mask: str | Path | None,
    options: Options,
    *,
    workers: int = 1,
) -> "pd.DataFrame":
    """Take metrics of two volumes in files, or those without reference of one.

    Args:
        image: A volume, for example a reconstruction, in any orientation.
        reference: What it is compared with, on the same grid and affine, or None.
        mask: On the same grid, or None.
        options: What is taken.
        workers: Processes.

    Returns:
        Columns metric, region, value.

    Raises:
        InputError: As `evaluate_subjects`.
    """
    import pandas as pd

    files = [str(path) if path else None for path in (image, reference, mask)]
    lines = _evaluate([_Task(Path(image).name, *files)], options, None, workers)
    rows = [line.rsplit(",", 3)[1:] for line in lines]  # a file name may hold commas
    return pd.DataFrame(rows, columns=COLUMNS[1:]).astype({"value": float})


def ground_truth_scores(
    references: Sequence[str | Path],
    subjects: Sequence[str],
    options: Options,
    output: str | Path,
    *,
    staging: Staging | None = None,
    workers: int = 1,
) -> None:
    """Take the metrics without reference of the ground truth itself.

    Args:
        references: Ground truth of each subject.
        subjects: Their names.
        options: What is taken; metrics that compare are passed over.
        output: CSV as that of `evaluate_subjects`, with two rows more a subject: the number of
            `slices` in the three directions, and that of `empty_slices` among them.
        staging: As in `evaluate_subjects`.
        workers: Processes.

    Raises:
        InputError: As `evaluate_subjects`.
    """
    own = [name for name in options.metrics if not metric_modules.metadata(name).reference]
    tasks = [
        _Task(subject, str(reference))
        for subject, reference in zip(subjects, references, strict=True)
    ]
    lines = _evaluate(tasks, replace(options, metrics=own), staging, workers, counts=True)
    _write(output, lines, staging)


def score_subjects(
    images: Sequence[str | Path],
    foregrounds: Sequence[str | Path],
    subjects: Sequence[str],
    options: Options,
    output: str | Path,
    *,
    staging: Staging | None = None,
    workers: int = 1,
) -> None:
    """Take the metrics without reference of images that have no ground truth.

    Args:
        images: Reconstruction of a real LR scan (or its HR reference) of each subject.
        foregrounds: Where the scan has signal, on the grid of the image: slices that it does not
            meet are left out (see `Options.empty_slices`).
        subjects: Their names.
        options: What is taken; metrics that compare are passed over.
        output: CSV as that of `evaluate_subjects`.
        staging: As in `evaluate_subjects`.
        workers: Processes.

    Raises:
        InputError: As `evaluate_subjects`.
    """
    own = [name for name in options.metrics if not metric_modules.metadata(name).reference]
    tasks = [
        _Task(subject, str(image), foreground=str(foreground))
        for subject, image, foreground in zip(subjects, images, foregrounds, strict=True)
    ]
    _write(output, _evaluate(tasks, replace(options, metrics=own), staging, workers), staging)


@dataclass(frozen=True)
class _Task:
    """The files of a subject, and what is known of its ground truth."""

    subject: str
    image: str
    reference: str | None = None
    mask: str | None = None
    features: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    foreground: str | None = None


def _evaluate(
    tasks: Sequence[_Task],
    options: Options,
    staging: Staging | None,
    workers: int,
    counts: bool = False,
) -> list[str]:
    """Evaluate subjects in pieces of work; return the lines of a CSV, in the tasks' order."""
    lines: dict[str, list[str]] = {}
    problems: dict[str, None] = {}
    work_items: list[tuple[_Task, Work, Options]] = []
    plans: dict[str, list[Work]] = {}
    for task in tasks:
        staged = staging.path(f"{task.subject}.csv") if staging else None
        if staged and staged.exists():
            lines[task.subject] = staged.read_text(encoding="utf-8").splitlines()
            continue
        try:
            shape = canonical_shape(task.image)
        except InputError as error:
            problems[f"{task.subject}: {error}"] = None
            continue
        try:
            plan = pieces.plan(shape, options.metrics, options.regions, PIECES)
            plan = plan or [Work(())]  # no metric: the files are checked, and slices counted
        except InputError as error:
            problems[_problem(task, error)] = None
            continue
        plans[task.subject] = plan
        work_items += [(task, work, options) for work in plan]

    workers = 1 if options.device != "cpu" else min(workers, len(work_items))
    # With many subjects each stays with one process, which reads it once.
    chunk = len(work_items) // len(plans) if plans and len(plans) >= 2 * workers else 1
    parts: dict[str, list[dict]] = {subject: [] for subject in plans}
    with _pool(workers, chunk) as run:
        results = progress(run(_part, work_items), "evaluate", len(work_items))
        for (task, *_), (problem, part) in zip(work_items, results, strict=True):
            if problem:
                problems[problem] = None
                continue
            parts[task.subject].append(part)
            plan = plans[task.subject]
            if len(parts[task.subject]) < len(plan):
                continue
            try:
                its = parts.pop(task.subject)
                rows = pieces.combine(options.metrics, options.regions, plan, its, task.scores)
                if counts:
                    rows += [(name, "volume", its[0][name]) for name in COUNTS]
            except InputError as error:
                problems[_problem(task, error)] = None
                continue
            lines[task.subject] = [f"{task.subject},{m},{r},{v:.9g}" for m, r, v in rows]
            if staging:
                write_text(
                    staging.path(f"{task.subject}.csv"), "\n".join(lines[task.subject]) + "\n"
                )
    if problems:
        raise InputError("\n  ".join(["cannot be evaluated:", *problems]))
    return [line for task in tasks for line in lines[task.subject]]


def _write(output: str | Path, lines: Sequence[str], staging: Staging | None) -> None:
    """Write a CSV, and forget what was staged for it."""
    write_text(output, "\n".join([",".join(COLUMNS), *lines]) + "\n")
    if staging:
        staging.commit([])


def _part(piece: tuple[_Task, Work, Options]) -> tuple[str | None, dict]:
    """Return what is wrong with a subject, or None, and the values of a piece of work."""
    task, work, options = piece
    try:
        pair, equal = _pair(task.image, task.reference, task.mask, task.foreground)
    except InputError as error:
        return f"{task.subject}: {error}", {}
    try:
        if work.stack is not None and equal and task.scores:
            needed = [name for name in work.metrics if name not in task.scores]
            work = replace(work, metrics=tuple(needed))
        features = None
        if task.features and work.stack is not None and not equal:
            features = _features(task.features, work, pair, options)
        part = pieces.run(
            work,
            pair,
            options.settings,
            empty_slices=options.empty_slices,
            device=options.device,
            features=features,
        )
        if task.reference is None:
            part.update(zip(COUNTS, pieces.slice_counts(pair), strict=True))
    except InputError as error:
        return _problem(task, error), {}
    return None, part


def _problem(task: _Task, error: InputError) -> str:
    against = f" against {task.reference}" if task.reference else ""
    return f"{task.subject}: {task.image}{against}: {error}"


@lru_cache(maxsize=1)
def _pair(
    image_path: str,
    reference_path: str | None,
    mask_path: str | None,
    foreground_path: str | None = None,
) -> tuple[Pair, bool]:
    """Return the volumes of a subject, checked, and whether image and ground truth are equal.

    Raises:
        InputError: See `evaluate_subjects`.
    """
    image = load_scan(image_path)
    reference = load_scan(reference_path) if reference_path else None
    mask = load_mask(mask_path) if mask_path else None
    foreground = load_mask(foreground_path) if foreground_path else None
    if foreground is not None:
        check_grid(image, image_path, foreground, foreground_path)
    for path, volume in ((image_path, image), (mask_path, mask)):
        if volume is not None and reference is not None:
            check_grid(volume, path, reference, reference_path)
    if not np.isfinite(image.data).all():
        raise InputError(
            f"{image_path}: holds NaN or infinite values; reconstruct the subject again, and if"
            " they stay, train the model again"
        )
    equal = reference is not None and np.array_equal(reference.data, image.data)
    volumes = (reference, image, mask, foreground)
    data = [None if volume is None else canonical(volume).data for volume in volumes]
    return Pair(*data), equal


def _scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Return what `ground_truth_scores` wrote, by subject and metric."""
    found: dict[str, dict[str, float]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]:
        subject, metric, _, value = line.split(",")
        if metric not in COUNTS:
            found.setdefault(subject, {})[metric] = float(value)
    return found


def _features(folder: str, work: Work, pair: Pair, options: Options) -> dict[str, list]:
    """Return features of the ground truth for a piece of work, kept by an earlier call or now.

    They are rounded to float16 in any case, so that it does not matter who came first.
    """
    from safetensors.numpy import load_file, save_file

    names = [n for n in work.metrics if hasattr(metric_modules.module(n), "features")]
    if not names:
        return {}
    file = Path(folder) / f"{work.stack}-{work.start}-{work.stop}.safetensors"
    if file.exists():
        layers = load_file(file)
    else:
        layers = {
            f"{name}.{index}": layer
            for name in names
            for index, layer in enumerate(
                pieces.reference_features(
                    work, pair, name, options.settings, empty_slices=options.empty_slices
                )
            )
        }
        with atomic(file) as temporary:
            save_file(layers, temporary)
    return {
        name: [layers[key] for key in sorted(layers) if key.startswith(f"{name}.")]
        for name in names
    }


@contextmanager
def _pool(workers: int, chunk: int = 1) -> Iterator[Callable]:
    """Yield a function like `map`, over processes if there are several workers."""
    if workers > 1:
        with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
            yield lambda function, tasks: pool.map(function, tasks, chunksize=chunk)
    else:
        yield map
    _pair.cache_clear()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
