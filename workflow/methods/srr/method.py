"""Super-resolution reconstruction with a Gaussian slice profile and Tikhonov regularisation.

Variants by config: `{base: srr, label: "SRR (TK0)", model: {regularisation: tk0}}`.
"""

from collections.abc import Mapping

import numpy as np

from mrisr.reconstruct.apply import Query
from mrisr.reconstruct.least_squares import super_resolve
from mrisr.volumes.io import Volume


def reconstruct(lr: Mapping[str, Volume], query: Query, model: None = None) -> np.ndarray:
    """Find the volume on the SR grid that explains the stacks."""
    return super_resolve(
        lr,
        query.shape,
        query.affine,
        masks=query.masks,
        device=query.device,
        **query.hyperparameters,
    )
