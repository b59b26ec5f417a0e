"""All metrics of a pair of volumes, as pieces of work that may run in different processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mrisr import metrics as found
from mrisr.common.errors import ConfigError, InputError
from mrisr.evaluate.edges import edges
from mrisr.metrics import _slices

if TYPE_CHECKING:
    import pandas as pd

# Number of slices that are scaled and handed to a metric at a time: limits the memory of copies.
CHUNK = 32
# Two of 255 gray levels. A slice with less is black to the eye, and the ringing of an interpolation
# beside it has many times its contrast (a VIF of 40 in one slice has been seen).
FAINT = 2 / 255
# Region of metrics on slices: those of the two views that thick slices are cut in.
THROUGH = "through_plane"


class Pair:
    """A ground truth and an image, with the intensities that slices are scaled by.

    Attributes:
        reference: Ground truth, or None.
        image: The image that is compared with it.
        mask: Nonzero inside, or None.
        low: Least intensity of the ground truth (of the image, if there is none).
        extent: Greatest intensity of the ground truth minus the least.
        foreground: Where a real LR scan has signal, or None; see `__init__`.
    """

    def __init__(
        self,
        reference: np.ndarray | None,
        image: np.ndarray,
        mask: np.ndarray | None = None,
        foreground: np.ndarray | None = None,
    ):
        """Take arrays as they are; raises InputError if the shapes differ.

        Args:
            reference: Ground truth, or None.
            image: The image that is compared with it.
            mask: Nonzero inside, or None.
            foreground: Where a real LR scan has signal, for its reconstruction. It replaces the
                ground truth in the choice of slices. The intensities of slices are scaled from 0 to
                1, the range of a normalised scan. So all methods are scored on the same slices.
        """
        self.reference = None if reference is None else np.asarray(reference)
        self.image = np.asarray(image)
        self.mask = mask
        if self.reference is not None and self.reference.shape != self.image.shape:
            raise InputError(
                f"image: shape {self.image.shape}, but the reference has {self.reference.shape};"
                " reconstruct on the grid of the ground truth"
            )
        self._base = self.image if self.reference is None else self.reference
        self.foreground = foreground
        self.low, high = 0.0, 1.0
        if foreground is None:
            self.low, high = float(self._base.min()), float(self._base.max())
        self.extent = high - self.low

    @cached_property
    def signal(self) -> list[np.ndarray]:
        """Which slices of each stack have a range above FAINT of the range of all intensities.

        For a real LR scan: which slices meet its foreground.
        """
        if self.foreground is not None:
            return [slices.any(axis=(1, 2)) for slices in _slices.stacks(self.foreground)]
        least = FAINT * self.extent
        return [_slices.signal(slices, least) for slices in _slices.stacks(self._base)]

    @cached_property
    def edges(self) -> np.ndarray:
        """Where the ground truth has its edges, inside the mask if there is one."""
        if self.reference is None:
            raise InputError("reference: none given for the region 'edges'; leave the region out")
        return edges(self.reference, self.mask, self.low + FAINT * self.extent)

    def kept(self, stack: int, empty_slices: str) -> np.ndarray:
        """Return which slices of a stack count, if empty ones are to `exclude` or `include`."""
        signal = self.signal[stack]
        return np.flatnonzero(signal) if empty_slices == "exclude" else np.arange(len(signal))

    def scaled(self, slices: np.ndarray) -> np.ndarray:
        """Return slices with the range of the ground truth scaled to 0..255."""
        if slices.dtype not in (np.float32, np.float64):
            slices = slices.astype(np.float64)
        gain = 255 / self.extent if self.extent else 1.0
        return (slices - slices.dtype.type(self.low)) * slices.dtype.type(gain)


@dataclass(frozen=True)
class Work:
    """One piece of an evaluation.

    Attributes:
        metrics: Names of metrics.
        regions: Regions of the metrics on volumes.
        stack: Which stack of slices; None for metrics on volumes.
        start: First slice.
        stop: Slice after the last.
    """

    metrics: tuple[str, ...]
    regions: tuple[str, ...] = ()
    stack: int | None = None
    start: int = 0
    stop: int = 0


def possible(pair: Pair, settings: Mapping[str, Mapping]) -> list[str]:
    """Return the metrics that a pair allows."""
    chosen = []
    least = min(min(slices.shape[1:]) for slices in _slices.stacks(pair.image))
    for name in found.names():
        about = found.metadata(name)
        if (about.reference and pair.reference is None) or (
            about.slices and least < about.min_size
        ):
            continue
        lacking = getattr(found.module(name), "lacking", None)
        if not lacking or not lacking(**found.parameters(name, settings.get(name))):
            chosen.append(name)
    return chosen


def plan(
    shape: tuple[int, ...], metrics: Sequence[str], regions: Sequence[str], pieces: int = 1
) -> list[Work]:
    """Divide an evaluation into pieces.

    Args:
        shape: Shape of the volume.
        metrics: Names of metrics.
        regions: `volume`, `mask`, `edges`, `through_plane`.
        pieces: Number of parts that each stack of slices is cut into.

    Raises:
        ConfigError: No such metric or region.
        InputError: The slices are too small for a metric.
    """
    for region in regions:
        if region not in found.REGIONS:
            raise ConfigError(f"regions: no region '{region}'; known: {', '.join(found.REGIONS)}")
    about = {name: found.metadata(name) for name in metrics}
    works = []
    on_slices = tuple(name for name in metrics if about[name].slices)
    if on_slices and not {"volume", THROUGH}.isdisjoint(regions):
        for index, slices in enumerate(_slices.stacks(np.broadcast_to(0, shape))):
            count, height, width = slices.shape
            for name in on_slices:
                if min(height, width) < about[name].min_size:
                    raise InputError(
                        f"image: slices of {height} x {width}; {about[name].label} needs"
                        f" {about[name].min_size} x {about[name].min_size} at least: crop less, or"
                        " leave the metric out"
                    )
            cuts = np.linspace(0, count, min(pieces, count) + 1).astype(int)
            works += [Work(on_slices, (), index, int(a), int(b)) for a, b in pairwise(cuts)]
    on_volumes = tuple(name for name in metrics if not about[name].slices)
    return [*works, Work(on_volumes, tuple(regions))] if on_volumes else works


def run(
    work: Work,
    pair: Pair,
    settings: Mapping[str, Mapping],
    *,
    empty_slices: str = "exclude",
    device: str = "cpu",
    features: Mapping[str, Sequence] | None = None,
) -> dict:
    """Do a piece of work.

    Args:
        work: From `plan`.
        pair: The volumes.
        settings: Settings by metric.
        empty_slices: `exclude` or `include`.
        device: Device for metrics on slices.
        features: By metric, what `reference_features` gave for this work.

    Returns:
        For volumes, values by (metric, region); for slices, arrays of scores by metric.

    Raises:
        InputError: A metric has no value.
    """
    if work.stack is None:
        return _on_volumes(work, pair)
    scores: dict[str, list[np.ndarray]] = {name: [] for name in work.metrics}
    images = _slices.stacks(pair.image)[work.stack]
    references = None if pair.reference is None else _slices.stacks(pair.reference)[work.stack]
    kept = _kept(work, pair, empty_slices)
    for first in range(0, len(kept), CHUNK):
        at = kept[first : first + CHUNK]
        image = pair.scaled(images[at])
        reference = None if references is None else pair.scaled(references[at])
        for name in work.metrics:
            extra = found.parameters(name, settings.get(name))
            if features and name in features:
                extra["features"] = [layer[first : first + CHUNK] for layer in features[name]]
            scores[name].append(
                found.get(name)(*_arguments(name, reference, image), device=device, **extra)
            )
    every = {name: np.concatenate([*batches, np.empty(0)]) for name, batches in scores.items()}
    if empty_slices == "include":
        return every
    # No value compares equal to None.
    return {name: s[s != found.metadata(name).unmeasured] for name, s in every.items()}


def reference_features(
    work: Work,
    pair: Pair,
    name: str,
    settings: Mapping[str, Mapping],
    *,
    empty_slices: str = "exclude",
) -> list[np.ndarray]:
    """Return the output of a metric's `features` for the ground truth of a piece of work.

    Returns:
        By layer, float16, first axis the slices that count; empty if no slice counts.
    """
    extra = found.parameters(name, settings.get(name))
    extra.pop("features", None)
    slices, kept = _slices.stacks(pair.reference)[work.stack], _kept(work, pair, empty_slices)
    parts = [
        found.module(name).features(pair.scaled(slices[kept[first : first + CHUNK]]), **extra)
        for first in range(0, len(kept), CHUNK)
    ]
    return [np.concatenate(batches).astype(np.float16) for batches in zip(*parts, strict=True)]


def slice_counts(pair: Pair) -> tuple[int, int]:
    """Return how many slices a volume has in all directions, and how many have no signal."""
    signal = np.concatenate(pair.signal)
    return len(signal), int((~signal).sum())


def combine(
    metrics: Sequence[str],
    regions: Sequence[str],
    plan: Sequence[Work],
    parts: Sequence[dict],
    known: Mapping[tuple[str, str], float] | None = None,
    slice_axis: int | None = None,
) -> list[tuple[str, str, float]]:
    """Return (metric, region, value) of a divided evaluation, in the order of the metrics.

    Args:
        metrics: Names of metrics.
        regions: `volume`, `mask`, `edges`, `through_plane`.
        plan: Pieces of work.
        parts: Result of `run` for each piece.
        known: Values of metrics on slices that were left out of the work, by metric and region.
        slice_axis: Axis through the thick slices, for the region `through_plane`.

    Raises:
        ConfigError: The region `through_plane`, and no `slice_axis`.
        InputError: A value is NaN, or a metric has no slice left. A metric that could not measure
            any slice is NaN, see `Metadata.unmeasured`.
    """
    if THROUGH in regions and slice_axis is None:
        raise ConfigError(f"regions: {THROUGH}: is for scans with thick slices; leave it out")
    rows = []
    for name in metrics:
        about = found.metadata(name)
        for region in filter(about.takes, regions):
            if about.slices:
                scores = [
                    part[name]
                    for work, part in zip(plan, parts, strict=True)
                    if work.stack is not None
                    and name in part
                    and (region != THROUGH or work.stack != slice_axis)
                ]
                if not scores and known and (name, region) in known:
                    value = known[name, region]
                elif sum(map(len, scores)) or about.unmeasured is not None:
                    value = _mean(np.concatenate([*scores, np.empty(0)]), about.unmeasured)
                else:
                    raise InputError(f"image: no slice has signal, so {name} has no value")
            else:
                value = float(parts[-1][name, region])
            if np.isnan(value) and about.unmeasured is None:
                raise InputError(f"image: {name} in region '{region}' is NaN; look at the volume")
            rows.append((name, region, value))
    return rows


def _mean(scores: np.ndarray, unmeasured: float | None) -> float:
    """Return the mean over the measured slices; NaN if there are none."""
    return float(scores.mean()) if (scores != unmeasured).any() else float("nan")


def _kept(work: Work, pair: Pair, empty_slices: str) -> np.ndarray:
    """Return which slices of a piece of work count."""
    every = pair.kept(work.stack, empty_slices)
    return every[(every >= work.start) & (every < work.stop)]


def _arguments(name: str, reference: np.ndarray | None, image: np.ndarray) -> tuple:
    """Return the arrays that a metric takes."""
    if not found.metadata(name).reference:
        return (image,)
    if reference is None:
        raise InputError(f"reference: {name} needs one; give it, or leave the metric out")
    return reference, image


def _on_volumes(work: Work, pair: Pair) -> dict[tuple[str, str], float]:
    if "mask" in work.regions and pair.mask is None:
        raise InputError("mask: none given for the region 'mask'; give one, or leave the region")
    by_metric = {}
    for name in work.metrics:
        module, about = found.module(name), found.metadata(name)
        both = _arguments(name, pair.reference, pair.image)
        regions = [region for region in filter(about.takes, work.regions) if region != "edges"]
        if hasattr(module, "by_region"):
            by_region = module.by_region(*both, pair.mask, regions)
        else:
            by_region = {
                region: found.get(name)(*both, **({"mask": pair.mask} if region == "mask" else {}))
                for region in regions
            }
        if "edges" in work.regions and about.takes("edges"):
            regions.append("edges")
            by_region["edges"] = found.get(name)(*both, mask=pair.edges)
        by_metric.update({(name, region): by_region[region] for region in regions})
    return by_metric


def evaluate(
    reference: np.ndarray | None,
    image: np.ndarray,
    mask: np.ndarray | None = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    *,
    settings: Mapping[str, Mapping] | None = None,
    empty_slices: str = "exclude",
    device: str = "cpu",
) -> "pd.DataFrame":
    """Compute metrics of a pair of volumes, or those without reference of one volume.

    Args:
        reference: Ground truth, shape (X, Y, Z) canonical RAS, or (H, W), any intensity unit; None
            if there is none.
        image: The image that is compared with it, same shape and unit.
        mask: Nonzero inside, same shape; without it there is no region `mask`.
        metrics: Names; default all that are possible: without a ground truth only those that need
            none, and LPIPS only where its backbone is at hand.
        regions: `volume`, `mask`, `edges`; default the first two, if there is a mask.
        settings: Settings by metric, for example `{"lpc_si": {"sigma": 0.75}}`.
        empty_slices: `exclude` leaves nearly constant slices of the ground truth (or of the image,
            if there is none) out of metrics on slices; `include` averages over all slices.
        device: `cpu` or `cuda`, for metrics on slices.

    Returns:
        Tidy frame, one row for each metric and region where the metric exists: metric, region,
        value.
        Metrics on slices see intensities that take the ground truth's range to 0..255.

    Raises:
        ConfigError: No such metric or region.
        InputError: A metric has no value for this pair. Only a metric that could not measure any
            slice is NaN, see `Metadata.unmeasured`.
    """
    import pandas as pd  # jobs write rows without it

    pair = Pair(reference, image, mask)
    if metrics is None:
        metrics = possible(pair, settings or {})
    if regions is None:
        regions = found.USUAL if mask is not None else found.USUAL[:1]
    works = plan(pair.image.shape, metrics, regions)
    parts = [
        run(work, pair, settings or {}, empty_slices=empty_slices, device=device) for work in works
    ]
    rows = combine(metrics, regions, works, parts)
    return pd.DataFrame(rows, columns=["metric", "region", "value"])
