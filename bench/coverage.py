"""How often 95 % intervals of a mean hold it: Student's t beside the percentile bootstrap.

`python bench/coverage.py` prints a table in Markdown: samples of n subjects are drawn from a
distribution of known mean, and the intervals that hold it are counted. Tables and figures use
`mrisr.common.statistics.mean_interval`, which gives none below five subjects.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from mrisr.common.statistics import FEWEST

SIZES = (2, 3, 5, 10, 20, 50)
#: Draws of a shape, and the mean that they have.
DISTRIBUTIONS: dict[str, tuple[Callable, float]] = {
    "normal": (lambda random, shape: random.normal(0, 1, shape), 0.0),
    "uniform": (lambda random, shape: random.uniform(-1, 1, shape), 0.0),
    "skewed (log-normal, sigma 0.5)": (
        lambda random, shape: random.lognormal(0, 0.5, shape),
        float(np.exp(0.125)),
    ),
}

Ends = tuple[np.ndarray, np.ndarray]


def student(samples: np.ndarray, confidence: float = 0.95) -> Ends:
    """Return t intervals of the means of samples, shape (samples, n), at any n."""
    n = samples.shape[1]
    half = stdtrit(n - 1, (1 + confidence) / 2) * samples.std(axis=1, ddof=1) / n**0.5
    return samples.mean(axis=1) - half, samples.mean(axis=1) + half


def percentile(samples: np.ndarray, confidence: float = 0.95, resamples: int = 1000) -> Ends:
    """Return percentile bootstrap intervals of the means of samples, shape (samples, n)."""
    count, n = samples.shape
    # All samples share their draws: how often each of the n values is drawn in each resample.
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples) / n
    tail = (1 - confidence) / 2
    parts = [
        np.quantile(part @ draws.T, [tail, 1 - tail], axis=1)
        for part in np.array_split(samples, max(1, count // 1000))
    ]
    low, high = np.concatenate(parts, axis=1)
    return low, high


def coverage(interval: Callable[[np.ndarray], Ends], name: str, n: int, samples: int) -> float:
    """Return the share of intervals that hold the mean of a distribution.

    Args:
        interval: `student` or `percentile`.
        name: Of `DISTRIBUTIONS`.
        n: Subjects a sample.
        samples: How many are drawn.
    """
    draw, mean = DISTRIBUTIONS[name]
    low, high = interval(draw(np.random.default_rng(n), (samples, n)))
    return float(((low <= mean) & (mean <= high)).mean())


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000, help="samples a distribution and n")
    samples = parser.parse_args().samples
    print("| values | interval |", " | ".join(f"n = {n}" for n in SIZES), "|")
    print("|---|---|", "|".join(["---:"] * len(SIZES)), "|", sep="")
    for name in DISTRIBUTIONS:
        for label, interval in (("percentile bootstrap", percentile), ("Student's t", student)):
            shares = [f"{100 * coverage(interval, name, n, samples):.1f} %" for n in SIZES]
            if interval is student:
                shares = [
                    text if n >= FEWEST else f"({text}, not shown)"
                    for n, text in zip(SIZES, shares, strict=True)
                ]
            print(f"| {name} | {label} |", " | ".join(shares), "|")


if __name__ == "__main__":
    main()
