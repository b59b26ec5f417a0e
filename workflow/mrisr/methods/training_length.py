"""Length of a supervised training: steps in all, and steps of an epoch."""

import math
from collections.abc import Mapping
from typing import Any


def steps_per_epoch(training: Mapping[str, Any], patches: int) -> int:
    """Return the optimiser steps after which a training validates and counts an epoch.

    Args:
        training: Training settings of the method. `steps_per_epoch` decides. Else `steps` in all
            are spread over `epochs`, so that events by epochs (halving of the learning rate) happen
            at the same steps for any number of subjects. Else an epoch is a pass over the patches.
        patches: Training patches, or slices in 2-D.
    """
    if training.get("steps_per_epoch"):
        return training["steps_per_epoch"]
    if training.get("steps"):
        return math.ceil(training["steps"] / training["epochs"])
    return max(1, patches // training["batch"])


def total_steps(training: Mapping[str, Any], per_epoch: int) -> int:
    """Return the steps of a whole training: those of `steps`, else those of `epochs`."""
    return training.get("steps") or training["epochs"] * per_epoch
