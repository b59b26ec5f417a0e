"""What makes the result of a trained model doubtful: said before it is applied."""

from collections.abc import Iterator

import numpy as np

from mrisr.methods.budget import FEW_STEPS
from mrisr.own_scans.trained_model import TrainedModel
from mrisr.volumes.io import Volume

# Voxels more elongated than this are no longer like the isotropic ones of training.
THICK = 2.5
# A scan whose six outer planes are 0 to a smaller part has skull, neck or the noise of air.
EMPTY = 0.99


def doubts(scan: Volume, model: TrainedModel) -> Iterator[str]:
    """Yield what speaks against a model's result on a scan, a sentence each.

    Args:
        scan: As it was read.
        model: The one to be applied.
    """
    said = model.description
    steps, goal = said.get("steps"), model.method.spec.get("published_steps")
    if said.get("collapsed"):
        yield "the model's output is constant (it collapsed in training); train it again"
    elif steps is not None and goal and steps < FEW_STEPS * goal:
        yield (
            f"the model is undertrained: {steps:,} of {goal:,} published steps; train it longer"
            " before its result counts"
        )
    edges = scan.voxel_size
    if edges.max() > THICK * edges.min():
        yield (
            f"slices of {edges.max():.3g} mm, {edges.max() / edges.min():.2g} times as thick as"
            " wide, where models learn from nearly isotropic voxels; with several such stacks give"
            " all of them, and --voxel-size"
        )
    planes = [np.take(scan.data, at, axis) for axis in range(3) for at in (0, -1)]
    outside = float(np.mean([np.mean(plane > 0) for plane in planes]))
    if outside > 1 - EMPTY:
        yield (
            f"{outside:.0%} of the outermost voxels have signal: a head with skull or noise, where"
            " models of skull-stripped scans have seen neither; strip the skull before, unless the"
            " model was trained on such heads (mrisr info names its dataset)"
        )
