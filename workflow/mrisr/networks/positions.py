"""A network of positions in mm, applied to the voxels of a grid."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mrisr.networks.tiles import GPU_CHUNK
from mrisr.volumes.stacks import positions

# Number of positions that a CPU decodes at once, so that activations stay in its caches.
CPU_CHUNK = 2**12


@torch.inference_mode()
def query(
    network: nn.Module, shape: Sequence[int], affine: np.ndarray, device: torch.device
) -> np.ndarray:
    """Compute a network's intensities on a grid, plane by plane.

    Args:
        network: Maps positions in mm (N, 3) to intensities (N,).
        shape: Shape of the grid.
        affine: Affine of the grid, in the space of the stacks that the network was trained on.
        device: Device to compute on.

    Returns:
        float32, shape `shape`.
    """
    output = np.empty(tuple(shape), np.float32)
    chunk = GPU_CHUNK if device.type == "cuda" else CPU_CHUNK * torch.get_num_threads()
    planes = max(1, GPU_CHUNK // (shape[1] * shape[2]))
    for start in range(0, shape[0], planes):
        count = min(planes, shape[0] - start)
        shifted = affine.copy()
        shifted[:3, 3] += start * affine[:3, 0]
        where = positions((count, *shape[1:]), shifted, device).view(-1, 3)
        intensities = torch.cat([network(part) for part in where.split(chunk)])
        output[start : start + count] = intensities.view(count, *shape[1:]).cpu().numpy()
    return output
