"""Fidelity by spatial frequency."""

import numpy as np

from mrisr.metrics._metadata import Metadata
from mrisr.metrics._pair import checked, data_range

METADATA = Metadata(
    label="Fourier fidelity",
    unit="",
    better="higher",
    range=(-1.0, 1.0),
    reference=True,
    regions=("volume",),
    doi="10.1016/j.jsb.2005.05.009",
    digits=4,
    margin=0.005,
)
#: A shell with less than this part of all power is rounding, and is left out.
NOTHING = 1e-10
SLAB = 16
#: Part of an axis along which volumes fade to their mean at each end.
FADE = 1 / 8


def fourier(reference: np.ndarray, image: np.ndarray) -> float:
    """Return how much of the reference is there at each spatial frequency, averaged over all.

    Frequencies are divided into shells (rings, for slices) of equal width, from 0 to the Nyquist
    frequency of each axis. In each shell, fidelity is 2 Re sum(F G*) / sum(|F|^2 + |G|^2): the
    Fourier shell correlation (van Heel and Schatz 2005), times the agreement of amplitudes, which
    that correlation does not see and blur lowers. The mean is left out: `offset` tells it. All
    shells count alike, so detail counts as much as shape. Volumes fade to their mean at their
    faces: what is cut there would be an edge, and stand for detail in every shell.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.

    Returns:
        -1 to 1; 1 for equal images, about 0 for what is missing or unrelated.

    Raises:
        InputError: Shapes differ, a value is not finite, or the reference is constant while the
            image differs from it.
    """
    reference, image, _ = checked(reference, image)
    if np.array_equal(reference, image):
        return 1.0
    data_range(reference, METADATA.label)
    common, power = shells(_faded(reference), _faded(image))
    there = power > NOTHING * power.sum()
    return float((common[there] / power[there]).mean())


def _faded(data: np.ndarray) -> np.ndarray:
    """Return a volume without its mean, multiplied by a Tukey window along each axis."""
    from scipy.signal.windows import tukey

    faded = data - data.mean(dtype=np.float64).astype(data.dtype)
    for axis, length in enumerate(data.shape):
        window = tukey(length + 2, 2 * FADE)[1:-1].astype(data.dtype)
        faded *= window.reshape([-1 if i == axis else 1 for i in range(data.ndim)])
    return faded


def shells(reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 2 Re sum(F G*) and sum(|F|^2 + |G|^2) of each shell, from low to high frequency.

    Args:
        reference: Shape (X, Y, Z) or (H, W), floating point.
        image: Same shape.

    Returns:
        Two arrays, float64, shape (n,), n half of the shortest axis.
    """
    from scipy import fft

    shape, count = reference.shape, max(1, min(reference.shape) // 2)
    ours, theirs = fft.rfftn(image), fft.rfftn(reference)
    # In parts of the Nyquist frequency, squared.
    axes = [(2 * fft.fftfreq(n)) ** 2 for n in shape[:-1]] + [(2 * fft.rfftfreq(shape[-1])) ** 2]
    # The other half of the last axis is the mirror image of this one.
    twice = np.full(len(axes[-1]), 2.0)
    twice[0] = 1.0
    if shape[-1] % 2 == 0:
        twice[-1] = 1.0
    common, power = np.zeros(count), np.zeros(count)
    for start in range(0, shape[0], SLAB):
        part = slice(start, start + SLAB)
        squared = np.add.outer(axes[0][part], axes[1])
        squared = squared if len(shape) == 2 else np.add.outer(squared, axes[2])
        shell = (np.sqrt(squared) * count).astype(np.intp)
        inside = (squared < 1) & (squared > 0)
        weight = np.broadcast_to(twice, squared.shape)[inside]
        f, g = ours[part][inside], theirs[part][inside]
        for total, values in (
            (common, 2 * (f * g.conj()).real),
            (power, np.abs(f) ** 2 + np.abs(g) ** 2),
        ):
            total += np.bincount(shell[inside], weight * values, count)
    return common, power
