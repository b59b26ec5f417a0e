"""The contract of metrics."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import ndimage

from mrisr import metrics
from mrisr.common.errors import require
from mrisr.evaluate.pieces import evaluate

SHAPE, SMALL = (96, 100, 98), (64, 64, 64)


def clauses(name: str) -> list[tuple[str, Callable[[str], None]]]:
    """Return the clauses of a metric: a sentence, and a function that takes the metric's name."""
    about = metrics.metadata(name)
    found = [
        ("says what it is", says_what_it_is),
        ("leaves its arguments alone", leaves_its_arguments_alone),
    ]
    if about.better:
        found.append(
            ("prefers the ground truth to a blurred copy, twice the same", prefers_the_truth)
        )
    if "mask" in about.regions:
        found.append(("does not see what lies outside of a mask", keeps_to_the_mask))
    return found


def says_what_it_is(name: str) -> None:
    """Check the description and the docstring."""
    about, where = metrics.metadata(name), metrics.source(name)
    require(about.label.strip(), f"{where}: METADATA.label is empty")
    ways = ("higher", "lower", "")
    require(about.better in ways, f"{where}: METADATA.better: {about.better!r}, not one of {ways}")
    require(about.range[0] < about.range[1], f"{where}: METADATA.range is empty")
    regions = set(about.regions)
    require(
        regions and regions <= set(metrics.REGIONS),
        f"{where}: METADATA.regions: some of {', '.join(metrics.REGIONS)}",
    )
    said = metrics.get(name).__doc__ or ""
    require("Args:" in said, f"{where}: {name}() has no docstring with Args and Returns")


def leaves_its_arguments_alone(name: str) -> None:
    """Check that a metric changes neither of its volumes."""
    truth, image = _volume(0, SMALL).copy(), _volume(1, SMALL).copy()
    value(name, truth, image)
    kept = np.array_equal(truth, _volume(0, SMALL)) and np.array_equal(image, _volume(1, SMALL))
    require(kept, f"{metrics.source(name)}: {name}() changes its arguments; copy them first")


def prefers_the_truth(name: str) -> None:
    """Check direction, range, and that equal volumes give equal values."""
    about, where = metrics.metadata(name), metrics.source(name)
    truth = _volume(0, SHAPE)
    blurred = ndimage.gaussian_filter(truth, 1.5)
    best, worse = value(name, truth, truth), value(name, truth, blurred)
    require(
        (best > worse) == (about.better == "higher") and best != worse,
        f"{where}: {best:g} for the ground truth itself and {worse:g} for a blurred copy, but"
        f" METADATA.better says {about.better}",
    )
    again = value(name, truth, blurred)
    require(worse == again, f"{where}: {worse} and {again} for the same volumes")
    low, high = about.range
    for found in (best, worse):
        require(low <= found <= high, f"{where}: {found:g} is outside of METADATA.range")


def keeps_to_the_mask(name: str) -> None:
    """Check that voxels far outside of a mask do not matter inside it, and matter without it."""
    truth, where = _volume(0, SHAPE), metrics.source(name)
    image = ndimage.gaussian_filter(truth, 1.0)
    mask = np.zeros(truth.shape, bool)
    mask[:40] = True
    inside, everywhere = value(name, truth, image, mask=mask), value(name, truth, image)
    image[80:] = 0
    other = value(name, truth, image, mask=mask)
    require(
        np.isclose(other, inside, rtol=1e-6, atol=0),
        f"{where}: {inside:g} inside a mask becomes {other:g} by what lies far outside",
    )
    require(
        not np.isclose(value(name, truth, image), everywhere, rtol=1e-6, atol=0),
        f"{where}: a plane set to 0 does not change the value of the whole volume",
    )


def value(name: str, reference: np.ndarray, image: np.ndarray, **options: object) -> float:
    """Return a metric of a pair of volumes; on slices the mean, as in an evaluation."""
    if metrics.metadata(name).slices:
        return evaluate(reference, image, metrics=[name])["value"].item()
    pair = (reference, image) if metrics.metadata(name).reference else (image,)
    return metrics.get(name)(*pair, **options)


@lru_cache(maxsize=4)
def _volume(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    data = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.0)
    made = ((data - data.min()) / np.ptp(data)).astype(np.float32)
    made.setflags(write=False)
    return made
