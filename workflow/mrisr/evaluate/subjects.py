"""Evaluation of reconstructions against the ground truth: a tidy CSV a method and scale.

The scores of the ground truth itself and its features for LPIPS are computed once a dataset, and
shared by all methods and scales.
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
from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.files import Staging, atomic, finish, is_whole, write_text
from mrisr.common.progress import log, progress
from mrisr.evaluate import pieces
from mrisr.evaluate.pieces import Pair, Work
from mrisr.volumes.checks import hot_notes
from mrisr.volumes.io import canonical, canonical_shape, check_grid
from mrisr.volumes.raw import load_mask, load_scan

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("subject", "metric", "region", "value")
# Number of pieces that each stack of slices is cut into, to spread the work over the processes.
PIECES = 2
COUNTS = ("slices", "empty_slices")


@dataclass(frozen=True)
class Options:
    """How metrics are computed.

    Attributes:
        metrics: Names of metrics, see `mrisr.metrics.names`.
        regions: `volume`, `mask`, `edges`, `through_plane`.
        settings: Settings by metric.
        empty_slices: `exclude` or `include` slices without signal in the ground truth.
        device: Where metrics on slices are computed.
        slice_axis: Axis of the canonical volume that ran through thick slices, for the region
            `through_plane`.
    """

    metrics: Sequence[str]
    regions: Sequence[str] = ("volume",)
    settings: Mapping[str, Mapping] = field(default_factory=dict)
    empty_slices: str = "exclude"
    device: str = "cpu"
    slice_axis: int | None = None


def available(metrics: Sequence[str], fetched: Mapping[str, Mapping]) -> list[str]:
    """Return the metrics that can be computed.

    Args:
        metrics: Names of metrics.
        fetched: Result of `fetch`, for each metric that needs a downloaded file.
    """
    return [name for name in metrics if fetched.get(name, {}).get("available", True)]


@dataclass(frozen=True)
class Subject:
    """The files of a subject, and known values of its ground truth.

    Attributes:
        name: Name in the rows.
        image: The reconstruction (or the ground truth itself, or an HR reference).
        reference: The ground truth to compare with, on the same grid, if any.
        mask: Mask on the same grid; read only for the regions `mask` and `edges`.
        foreground: For an image without ground truth: where the real LR scan has signal, on the
            grid of the image. Slices outside of it are left out, see `Options.empty_slices`.
        features: Folder that keeps features of the ground truth for other calls. It is not used
            with a GPU, which computes them faster than they are read.
        scores: Metrics of the ground truth itself by metric and region, used for an image that
            equals it.
    """

    name: str
    image: str | Path
    reference: str | Path | None = None
    mask: str | Path | None = None
    foreground: str | Path | None = None
    features: str | Path | None = None
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)


def evaluate_subjects(
    subjects: Sequence[Subject],
    options: Options,
    output: str | Path,
    *,
    scores: str | Path | None = None,
    staging: Staging | None = None,
    workers: int = 1,
) -> None:
    """Evaluate all subjects of a method and scale, several at a time.

    Args:
        subjects: Subjects with image, reference and mask, in the order of the rows.
        options: How metrics are computed.
        output: CSV: subject, metric, region, value (9 significant digits; `inf` stays `inf`).
        scores: CSV that `score_subjects` wrote of the ground truth, for `Subject.scores`.
        staging: Where finished subjects wait, so that a killed job continues after them.
        workers: Processes, of one thread each; with a GPU this process does all the work.

    Raises:
        InputError: A file is unusable, off the grid of its ground truth, or not finite. The message
            names all such subjects, and no file is written.
        ConfigError: No such metric or region.
    """
    known = _scores(scores) if scores is not None else {}
    subjects = [
        replace(
            subject,
            mask=subject.mask if {"mask", "edges"} & set(options.regions) else None,
            features=subject.features if options.device == "cpu" else None,
            scores=known.get(subject.name, {}),
        )
        for subject in subjects
    ]
    _write(output, _evaluate(subjects, options, staging, workers), staging)


def evaluate_files(
    image: str | Path,
    reference: str | Path | None,
    mask: str | Path | None,
    options: Options,
    *,
    workers: int = 1,
) -> "pd.DataFrame":
    """Compute metrics of two volumes in files, or those without reference of one.

    Args:
        image: A volume, for example a reconstruction, in any orientation.
        reference: The volume to compare with, on the same grid and affine, or None.
        mask: Mask on the same grid, or None.
        options: How metrics are computed.
        workers: Processes.

    Returns:
        Columns metric, region, value.

    Raises:
        InputError: As `evaluate_subjects`.
    """
    import pandas as pd

    for note in hot_notes(load_scan(reference).data) if reference else ():
        log.warning("%s: %s", reference, note)
    subject = Subject(Path(image).name, image, reference, mask)
    lines = _evaluate([subject], options, None, workers)
    rows = [line.rsplit(",", 3)[1:] for line in lines]  # a file name may hold commas
    return pd.DataFrame(rows, columns=COLUMNS[1:]).astype({"value": float})


def score_subjects(
    subjects: Sequence[Subject],
    options: Options,
    output: str | Path,
    *,
    counts: bool = False,
    staging: Staging | None = None,
    workers: int = 1,
) -> None:
    """Compute metrics without reference, of ground truths or of images that have none.

    Args:
        subjects: Subjects with an image; for real LR also with the foreground of the scan.
        options: How metrics are computed; metrics with a reference are left out.
        output: CSV like that of `evaluate_subjects`.
        counts: Whether a subject has two more rows: the number of `slices` in the three directions,
            and the number of `empty_slices` among them.
        staging: As in `evaluate_subjects`.
        workers: Processes.

    Raises:
        InputError: As `evaluate_subjects`.
    """
    alone = [name for name in options.metrics if not metric_modules.metadata(name).reference]
    options = replace(options, metrics=alone)
    _write(output, _evaluate(subjects, options, staging, workers, counts), staging)


@dataclass
class _Evaluation:
    """A subject on its way to the rows of a CSV.

    Attributes:
        subject: The subject.
        staged: Where the subject's rows wait, if they are staged.
        plan: Pieces of the subject's work.
        parts: Results of the finished pieces.
        lines: The subject's rows, once all pieces are done.
    """

    subject: Subject
    staged: Path | None = None
    plan: list[Work] = field(default_factory=list)
    parts: list[dict] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def begin(self, options: Options) -> None:
        """Load staged rows, or plan the work; raises InputError."""
        if self.staged and is_whole(self.staged):
            self.lines = self.staged.read_text(encoding="utf-8").splitlines()
            return
        shape = canonical_shape(self.subject.image)
        try:
            plan = pieces.plan(shape, options.metrics, options.regions, PIECES)
        except InputError as error:
            raise InputError(_about(self.subject, error)) from None
        # Without a metric, files are checked and slices counted all the same.
        self.plan = plan or [Work(())]

    def take(self, part: dict, options: Options, counts: bool) -> None:
        """Add the result of a piece; make the rows after the last one; raises InputError."""
        self.parts.append(part)
        if len(self.parts) < len(self.plan):
            return
        taken = (options.metrics, options.regions, self.plan, self.parts, self.subject.scores)
        try:
            rows = pieces.combine(*taken, options.slice_axis)
        except InputError as error:
            raise InputError(_about(self.subject, error)) from None
        if counts:
            rows += [(name, "volume", self.parts[0][name]) for name in COUNTS]
        self.parts = []
        self.lines = [f"{self.subject.name},{m},{r},{v:.9g}" for m, r, v in rows]
        if self.staged:
            write_text(self.staged, "\n".join(self.lines) + "\n")
            finish(self.staged)


def _evaluate(
    subjects: Sequence[Subject],
    options: Options,
    staging: Staging | None,
    workers: int,
    counts: bool = False,
) -> list[str]:
    """Evaluate subjects in pieces of work; return the lines of a CSV, in the subjects' order."""
    evaluations = [
        _Evaluation(subject, staging.path(f"{subject.name}.csv") if staging else None)
        for subject in subjects
    ]
    # Each problem once, in the order of discovery.
    problems: dict[str, None] = {}
    for evaluation in evaluations:
        try:
            evaluation.begin(options)
        except InputError as error:
            problems[f"{evaluation.subject.name}: {error}"] = None
    planned = [(evaluation, work) for evaluation in evaluations for work in evaluation.plan]

    workers = 1 if options.device != "cpu" else min(workers, len(planned))
    # With many subjects, each subject stays with one process, which reads it once.
    count = sum(bool(evaluation.plan) for evaluation in evaluations)
    chunk = len(planned) // count if count and count >= 2 * workers else 1
    with _pool(workers, chunk) as run:
        work_items = [(evaluation.subject, work, options) for evaluation, work in planned]
        results = progress(run(_part, work_items), "evaluate", len(work_items))
        for (evaluation, _), (problem, part) in zip(planned, results, strict=True):
            try:
                if problem:
                    raise InputError(problem)
                evaluation.take(part, options, counts)
            except InputError as error:
                problems[f"{evaluation.subject.name}: {error}"] = None
    if problems:
        raise InputError("\n  ".join(["cannot be evaluated:", *problems]))
    return [line for evaluation in evaluations for line in evaluation.lines]


def _write(output: str | Path, lines: Sequence[str], staging: Staging | None) -> None:
    """Write a CSV, and delete what was staged for it."""
    seals.write(output, "\n".join([",".join(COLUMNS), *lines]) + "\n")
    if staging:
        staging.commit([])


def _part(piece: tuple[Subject, Work, Options]) -> tuple[str | None, dict]:
    """Return a subject's problem, or None, and the values of a piece of work."""
    subject, work, options = piece
    try:
        pair, equal = _pair(subject.image, subject.reference, subject.mask, subject.foreground)
    except InputError as error:
        return str(error), {}
    try:
        if work.stack is not None and equal and subject.scores:
            known = {metric for metric, _ in subject.scores}
            needed = [name for name in work.metrics if name not in known]
            work = replace(work, metrics=tuple(needed))
        features = None
        if subject.features and work.stack is not None and not equal:
            features = _features(subject.features, work, pair, options)
        part = pieces.run(
            work,
            pair,
            options.settings,
            empty_slices=options.empty_slices,
            device=options.device,
            features=features,
        )
        if subject.reference is None:
            part.update(zip(COUNTS, pieces.slice_counts(pair), strict=True))
    except InputError as error:
        return _about(subject, error), {}
    return None, part


def _about(subject: Subject, error: InputError) -> str:
    """Return a problem together with the files that it concerns."""
    against = f" against {subject.reference}" if subject.reference else ""
    return f"{subject.image}{against}: {error}"


@lru_cache(maxsize=1)
def _pair(
    image_path: str | Path,
    reference_path: str | Path | None,
    mask_path: str | Path | None,
    foreground_path: str | Path | None,
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


def _scores(path: str | Path) -> dict[str, dict[tuple[str, str], float]]:
    """Return the scores that `score_subjects` wrote, by subject, then by metric and region."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]:
        subject, metric, region, value = line.split(",")
        if metric not in COUNTS:
            found.setdefault(subject, {})[metric, region] = float(value)
    return found


def _features(folder: str | Path, work: Work, pair: Pair, options: Options) -> dict[str, list]:
    """Return the ground truth's features for a piece of work, from the folder or computed now.

    They are always rounded to float16, so that a computed one equals a stored one.
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
    """Yield a function like `map`; with several workers it runs in processes."""
    if workers > 1:
        with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
            yield lambda function, tasks: pool.map(function, tasks, chunksize=chunk)
    else:
        yield map
    _pair.cache_clear()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
