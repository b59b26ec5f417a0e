"""Windows and matrices of down-sampling in the frequency domain; the width of Gaussians."""

from functools import lru_cache

import numpy as np

FWHM = 2 * np.sqrt(2 * np.log(2))
#: Windows over the acquired frequencies, against ringing.
WINDOWS = ("tukey", "hamming")
# Share of the half axis over which a Tukey window falls from 1 to 0; Hamming's share of the cosine.
TUKEY, HAMMING = 0.5, 0.46


@lru_cache(maxsize=256)
def kspace_matrix(n: int, m: int, window: str | None = None) -> np.ndarray:
    """Return the matrix that keeps the `m` lowest frequencies of `n` samples.

    This is a scanner with fewer phase encodings. The field of view is kept: sample j lies at
    (j + 1/2) n/m - 1/2 (`centres`).
    An image without higher frequencies is sampled exactly. Of an even m, half of the highest
    frequency counts on either side, so that the matrix is real. With m above n nothing is cut:
    that is zero filling.

    Args:
        n: Number of input samples; the axis is periodic.
        m: Number of output samples.
        window: Factor of the frequencies: None, `tukey` or `hamming`.

    Returns:
        float64, shape (m, n), rows of sum 1, read-only.

    Raises:
        ValueError: Another window.
    """
    if window is not None and window not in WINDOWS:
        raise ValueError(f"window {window!r}: one of {', '.join(WINDOWS)}")
    kept = min(n, m)
    frequency = np.arange(kept // 2 + 1)
    weight = np.full(len(frequency), 2.0)
    weight[0] = 1
    if kept % 2 == 0:
        weight[-1] = 1
    place = frequency / (kept / 2)
    if window == "hamming":
        weight *= 1 - HAMMING + HAMMING * np.cos(np.pi * place)
    elif window == "tukey":
        fall = np.clip((place - 1 + TUKEY) / TUKEY, 0, 1)
        weight *= 0.5 + 0.5 * np.cos(np.pi * fall)
    centres = (np.arange(m) + 0.5) * (n / m) - 0.5
    distance = centres[:, None] - np.arange(n)[None, :]
    matrix = (weight * np.cos(2 * np.pi * frequency * distance[..., None] / n)).sum(-1) / n
    matrix.setflags(write=False)
    return matrix
