"""PSI, LPC-SI and VIF of one slice, written as their definitions read, without regard to speed.

What the fast versions in `mrisr.metrics` are held against, for equality (tests) and time
(`make bench`).
"""

import math

import numpy as np
from scipy import ndimage, signal


def psi(image: np.ndarray) -> float:
    """Return the PSI of a slice (H, W) in 0..255; see `mrisr.metrics.psi`."""
    image = image.astype(np.float64)
    height, width = image.shape
    eps = np.finfo(np.float64).eps
    kernel = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 8
    by = ndimage.correlate(image, kernel, mode="nearest")
    bx = ndimage.correlate(image, kernel.T, mode="nearest")
    strength = bx**2 + by**2
    cutoff = 4 * strength.mean()
    unit = image / 255
    gy, gx = np.gradient(unit)
    angle = np.degrees(np.arctan2(gy, gx))
    widths = np.zeros_like(image)
    around = np.pad(strength, 1, constant_values=-np.inf)
    for y, x in np.argwhere(strength > cutoff):
        here = strength[y, x]
        left, right = around[y + 1, x], around[y + 1, x + 2]
        up, down = around[y, x + 1], around[y + 2, x + 1]
        # Neighbours outside the image pass, and -inf is below everything.
        across = abs(bx[y, x]) >= abs(by[y, x]) - 100 * eps and left <= here > right
        along = abs(by[y, x]) >= abs(bx[y, x]) - 100 * eps and up <= here > down
        if not (across or along):
            continue
        if abs(angle[y, x] - 90) < 8:
            sign = 1
        elif abs(angle[y, x] + 90) < 8:
            sign = -1
        else:
            continue
        column = sign * unit[:, x]
        top, bottom = y, y
        while top > 0 and column[top - 1] < column[top]:
            top -= 1
        while bottom < height - 1 and column[bottom + 1] > column[bottom]:
            bottom += 1
        if top == 0 or bottom == height - 1:
            continue
        edge = (bottom - top) / math.cos(math.radians(angle[y, x] - sign * 90))
        if edge >= 3:
            edge -= (column[bottom] - column[top]) / edge
        widths[y, x] = edge
    means = []
    for row in range(1, height // 32 - 1):
        for column in range(1, width // 32 - 1):
            block = widths[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
            if block.sum() >= 2:
                means.append(block.sum() / np.count_nonzero(block))
    taken = math.ceil(0.22 * len(means))
    return taken / sum(sorted(means)[:taken]) if taken else 0.0


def lpc_si(image: np.ndarray, sigma: float = 0.33) -> float:
    """Return the LPC-SI of a slice (H, W) in 0..255; see `mrisr.metrics.lpc_si`."""

    def axis(n: int) -> np.ndarray:
        if n % 2:
            return np.arange(-(n - 1) / 2, (n - 1) / 2 + 1) / (n - 1)
        return np.arange(-n / 2, n / 2) / n

    height, width = image.shape
    x, y = np.meshgrid(axis(width), axis(height))
    radius = np.fft.ifftshift(np.sqrt(x**2 + y**2))
    theta = np.fft.ifftshift(np.arctan2(-y, x))
    radius[0, 0] = 1
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    spectrum = np.fft.fft2(image)
    border = math.floor(min(height, width) / 16 + 0.5)
    inner = (slice(border, height - border), slice(border, width - border))
    weighted, energies = 0, 0
    for o in range(8):
        angle = o * np.pi / 8
        sine = np.sin(theta) * np.cos(angle) - np.cos(theta) * np.sin(angle)
        cosine = np.cos(theta) * np.cos(angle) + np.sin(theta) * np.sin(angle)
        spread = np.exp(-(np.abs(np.arctan2(sine, cosine)) ** 2) / (2 * (np.pi / 12) ** 2))
        phase = 1
        for scale, power in ((1, 1), (1.5, -3), (2, 2)):
            radial = np.exp(-(np.log(radius * 4 * scale) ** 2) / (2 * np.log(sigma) ** 2))
            radial = radial * low_pass
            radial[0, 0] = 0
            response = np.fft.ifft2(spectrum * radial * spread)
            phase = phase * np.exp(1j * power * np.angle(response))
            if scale == 1:
                modulus = np.abs(response)
                threshold = modulus[inner].mean() + 2 * modulus[inner].std(ddof=1)
                energy = np.maximum(0, modulus - threshold)
        weighted = weighted + np.maximum(0, np.cos(np.angle(phase))) * energy
        energies = energies + energy
    values = np.sort((weighted / (energies + 2))[inner].ravel())[::-1]
    weights = np.exp(-(np.arange(len(values)) / (len(values) - 1)) / 1e-4)
    return float((values * weights).sum() / weights.sum())


def vif(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the VIF of a pair of slices (H, W) in 0..255; see `mrisr.metrics.vif`."""
    r, d = reference.astype(np.float64), image.astype(np.float64)
    shared, held = 0.0, 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        at = np.arange(size) - size // 2
        window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (size / 5) ** 2))
        window /= window.sum()

        def smooth(a: np.ndarray, window: np.ndarray = window) -> np.ndarray:
            return signal.convolve2d(a, window, mode="valid")

        if scale > 1:
            r, d = smooth(r)[::2, ::2], smooth(d)[::2, ::2]
        mean_r, mean_d = smooth(r), smooth(d)
        var_r = np.maximum(smooth(r * r) - mean_r**2, 0)
        var_d = np.maximum(smooth(d * d) - mean_d**2, 0)
        cov = smooth(r * d) - mean_r * mean_d
        gain = cov / (var_r + 1e-10)
        left = var_d - gain * cov
        flat = var_r < 1e-10
        gain[flat], left[flat], var_r[flat] = 0, var_d[flat], 0
        flat = var_d < 1e-10
        gain[flat], left[flat] = 0, 0
        inverted = gain < 0
        left[inverted], gain[inverted] = var_d[inverted], 0
        left = np.maximum(left, 1e-10)
        shared += np.log10(1 + gain**2 * var_r / (left + 2)).sum()
        held += np.log10(1 + var_r / 2).sum()
    return float(shared / held)
