"""Learned perceptual image patch similarity, by the features of AlexNet."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrisr.common.errors import InputError
from mrisr.metrics._backbone import (
    ALEXNET_SHA256,
    SETTINGS,
    candidates,
    fetch,
    full_precision,
    network,
    resolve,
)
from mrisr.metrics._metadata import Metadata
from mrisr.metrics._pair import checked

if TYPE_CHECKING:
    import torch

__all__ = [
    "ALEXNET_SHA256",
    "METADATA",
    "SETTINGS",
    "candidates",
    "features",
    "fetch",
    "lacking",
    "lpips",
]

METADATA = Metadata(
    label="LPIPS",
    unit="",
    better="lower",
    range=(0.0, float("inf")),
    reference=True,
    regions=("volume", "through_plane"),
    doi="10.1109/CVPR.2018.00068",
    slices=True,
    min_size=31,
    margin=0.002,
)
CPU_SLICES = 8
# Pixels at a time. Fixed, not taken from the free memory, so that
# a score does not depend on what else runs.
GPU_PIXELS = 8_000_000


def lpips(
    reference: np.ndarray,
    image: np.ndarray,
    data_range: float = 255.0,
    *,
    device: "str | torch.device" = "cpu",
    backbone: str | Path | None = None,
    sha256: str = ALEXNET_SHA256,
    folder: str | Path = "resources",
    features: Sequence[np.ndarray] | None = None,
) -> float | np.ndarray:
    """Return the LPIPS of slices: the weighted squared distance of their AlexNet features.

    Zhang et al. 2018, eq. 1, version 0.1 of the authors' package: activations of five layers,
    normalised to unit length over channels, squared differences weighted by channel (weights
    learned from human judgements), averaged over positions, summed over layers. Gray values are
    mapped from 0..data_range to -1..1, unclipped, and stand for all three colours.

    Args:
        reference: Ground truth, shape (H, W) or a stack (N, H, W), values 0..data_range.
        image: What is compared with it, same shape and unit.
        data_range: The value that maps to 1.
        device: Where the network computes.
        backbone: File of the AlexNet weights; None looks in torch's hub cache and in
            `<folder>/lpips/`. Nothing is downloaded; see `fetch`.
        sha256: Checksum of that file; no other is used.
        folder: The downloads folder.
        features: What the function `features` returned for the same reference and data_range, of
            any floating point type; saves half the work.

    Returns:
        0 or more, exactly 0 for equal slices: a float for one slice, shape (N,) float64 for a
        stack.

    Raises:
        InputError: Shapes differ, a slice is smaller than 31 x 31, a value is not finite,
            `features` are of other slices, or there is no backbone with this checksum.
        ConfigError: `backbone` does not exist or has another checksum.
    """
    import torch

    shape = np.shape(reference)
    reference, image = _stacks(reference, image, data_range)
    extractor = _extractor(resolve(backbone, sha256, folder), sha256, str(device))
    if features is not None:
        _check_features(features, len(reference), extractor.channels)
    scores = np.zeros(len(reference))
    for part in _batches(reference.shape, extractor.device):
        # Equal slices score 0 also against features that were rounded for storage.
        differs = (reference[part] != image[part]).any(axis=(1, 2))
        if not differs.any():
            continue
        if features is None:
            of_reference = extractor(reference[part], data_range)
        else:
            of_reference = [
                torch.tensor(layer[part], device=extractor.device).float() for layer in features
            ]
        total = torch.zeros((), dtype=torch.float64, device=extractor.device)
        for a, b in zip(of_reference, extractor(image[part], data_range), strict=True):
            if a.shape != b.shape:
                raise InputError(
                    f"features: a layer of shape {tuple(a.shape[1:])} a slice where these slices"
                    f" have {tuple(b.shape[1:])}; make them of the same reference"
                )
            total = total + (a - b).square().sum(1).mean((1, 2), dtype=torch.float64)
        scores[part] = np.where(differs, total.cpu().numpy(), 0.0)
    return float(scores[0]) if len(shape) == 2 else scores


def features(
    reference: np.ndarray,
    data_range: float = 255.0,
    *,
    device: "str | torch.device" = "cpu",
    backbone: str | Path | None = None,
    sha256: str = ALEXNET_SHA256,
    folder: str | Path = "resources",
) -> list[np.ndarray]:
    """Return what `lpips` needs to know of a ground truth, to be shared by all its images.

    The LPIPS of two slices is the squared distance of these, averaged over positions and summed
    over layers: the root of each channel's weight is multiplied in, and channels without weight
    are left out.

    Args:
        reference: Ground truth, shape (H, W) or a stack (N, H, W), values 0..data_range.
        data_range: The value that maps to 1.
        device: Where the network computes.
        backbone: See `lpips`.
        sha256: See `lpips`.
        folder: See `lpips`.

    Returns:
        Five arrays, one a layer, float32, shape (N, channels, rows, columns), N = 1 for a slice;
        values 0 to 1.

    Raises:
        InputError: A slice is smaller than 31 x 31, a value is not finite, or there is no backbone
            with this checksum.
        ConfigError: `backbone` does not exist or has another checksum.
    """
    reference, _ = _stacks(reference, reference, data_range)
    extractor = _extractor(resolve(backbone, sha256, folder), sha256, str(device))
    parts = [
        [layer.cpu().numpy() for layer in extractor(reference[part], data_range)]
        for part in _batches(reference.shape, extractor.device)
    ]
    return [np.concatenate(layers) for layers in zip(*parts, strict=True)]


def lacking(
    *,
    backbone: str | Path | None = None,
    sha256: str = ALEXNET_SHA256,
    folder: str | Path = "resources",
) -> str:
    """Return why LPIPS cannot be taken here, empty if it can.

    Args:
        backbone: See `lpips`.
        sha256: See `lpips`.
        folder: See `lpips`.

    Raises:
        ConfigError: `backbone` does not exist or has another checksum.
    """
    try:
        resolve(backbone, sha256, folder)
    except InputError as error:
        return str(error)
    return ""


class _Extractor:
    """AlexNet up to the distance: slices to their weighted features."""

    def __init__(self, file: Path, sha256: str, device: str):
        import torch

        self.device = torch.device(device)
        self.model = network(file, sha256, self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weights = [layer.model[-1].weight.flatten() for layer in self.model.lins]
        self.kept = [weight.nonzero().flatten() for weight in weights]
        self.roots = [
            weight[kept].sqrt()[:, None, None]
            for weight, kept in zip(weights, self.kept, strict=True)
        ]
        self.channels = [len(kept) for kept in self.kept]

    def __call__(self, slices: np.ndarray, data_range: float) -> list["torch.Tensor"]:
        """Return the features of slices, shape (N, H, W), a tensor (N, C, h, w) a layer."""
        import torch
        from lpips import normalize_tensor

        with torch.inference_mode(), full_precision(self.device):
            scaled = slices.astype(np.float64) * (2 / data_range) - 1
            gray = torch.from_numpy(scaled.astype(np.float32)[:, None]).to(self.device)
            # The scaling layer has an offset and a gain for each colour: one channel becomes three.
            colours = self.model.scaling_layer(gray)
            # Channels last: AlexNet's pooling is faster so on a CPU.
            layers = self.model.net(colours.contiguous(memory_format=torch.channels_last))
            return [
                normalize_tensor(layer)[:, kept] * root
                for layer, kept, root in zip(layers, self.kept, self.roots, strict=True)
            ]


@cache
def _extractor(file: Path, sha256: str, device: str) -> _Extractor:
    return _Extractor(file, sha256, device)


def _stacks(
    reference: np.ndarray, image: np.ndarray, data_range: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as stacks (N, H, W) fit for LPIPS."""
    shape = np.shape(reference)
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(f"reference: shape {shape}; give a slice (H, W) or a stack (N, H, W)")
    if min(shape[-2:]) < METADATA.min_size:
        raise InputError(
            f"reference: slices of {shape[-2]} x {shape[-1]} pixels; LPIPS needs at least"
            f" {METADATA.min_size} x {METADATA.min_size}: crop less, or leave the metric out"
        )
    if not 0 < data_range < float("inf"):
        raise InputError(f"data_range: {data_range} is not above 0; give the greatest gray value")
    reference, image, _ = checked(reference, image)
    stack = (-1, *shape[-2:])
    return reference.reshape(stack), image.reshape(stack)


def _check_features(features: Sequence[np.ndarray], count: int, channels: Sequence[int]) -> None:
    shapes = [np.shape(layer) for layer in features]
    if [shape[:2] for shape in shapes] != [(count, of_layer) for of_layer in channels]:
        raise InputError(
            f"features: shapes {shapes} where {len(channels)} layers of {count} slices with"
            f" {list(channels)} channels are expected; make them of the same reference"
        )


def _batches(shape: tuple[int, ...], device: "torch.device") -> Iterator[slice]:
    """Yield which slices of a stack (N, H, W) the network takes at a time."""
    count, height, width = shape
    size = CPU_SLICES if device.type == "cpu" else max(1, GPU_PIXELS // (height * width))
    for start in range(0, count, size):
        yield slice(start, start + size)
