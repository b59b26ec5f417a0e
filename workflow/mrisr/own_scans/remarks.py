"""Reasons to doubt the result of a trained model, told before the model is applied."""

from collections.abc import Iterator

import numpy as np

from mrisr.methods.budget import FEW_STEPS
from mrisr.own_scans.trained_model import TrainedModel
from mrisr.prepare.real_volumes import foreground
from mrisr.volumes.io import Volume

# More elongated voxels are not like the isotropic ones of training.
THICK = 2.5
# If less than this share of a scan's six outer planes is 0, it is not a brain on background 0.
EMPTY = 0.99
# No brain is larger, in ml: skull-stripped scans of adults have 1,100 to 1,600, heads from 2,700.
BRAIN_ML = 2200


def doubts(scan: Volume, model: TrainedModel) -> Iterator[str]:
    """Yield reasons to doubt a model's result on a scan, one sentence each.

    Args:
        scan: The scan as read.
        model: The model to apply.
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
    thick = (said.get("training", {}).get("thick_slices") or {}).get("share")
    if edges.max() > THICK * edges.min() and not thick:
        yield (
            f"slices every {edges.max():.3g} mm, {edges.max() / edges.min():.2g} times as far apart"
            " as pixels, whose profile the model was not trained for: look at the result beside"
            " --method cubic and --method smore, which learns from the scan itself; with several"
            " such stacks give all of them, and --voxel-size"
        )
    yield from _beyond_brain(scan)


def _beyond_brain(scan: Volume) -> Iterator[str]:
    """Yield measured reasons to doubt that a scan is skull-stripped; contrast is not judged."""
    voxel_ml = float(np.prod(scan.voxel_size)) / 1000
    found = voxel_ml * np.count_nonzero(foreground(scan.data))
    if found > BRAIN_ML:
        yield (
            f"its foreground is {found:,.0f} ml, where a brain has less than {BRAIN_ML:,}: skull,"
            " skin or neck are in it, of which models of skull-stripped scans have seen nothing;"
            " strip the skull before, unless the model was trained on heads (mrisr info names its"
            " dataset)"
        )
    planes = [np.take(scan.data, at, axis) for axis in range(3) for at in (0, -1)]
    outside = float(np.mean([np.mean(plane > 0) for plane in planes]))
    if outside > 1 - EMPTY:
        yield (
            f"{outside:.0%} of the outermost voxels are above 0: the background is not 0, or the"
            " head is cut by the field of view; models of skull-stripped scans have seen neither"
        )
