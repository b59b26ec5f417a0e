"""How long a supervised training is: steps in all, and steps of an epoch."""

import math
from collections.abc import Mapping
from typing import Any


def steps_per_epoch(training: Mapping[str, Any], patches: int) -> int:
    """Return the optimiser steps after which a training validates and counts an epoch.

    Args:
        training: Its settings. `steps_per_epoch` decides; else `steps` in all are spread over
            `epochs`, so that what happens by epochs (halving of the learning rate) happens at the
            same steps whatever the number of subjects; else an epoch is a pass over the patches.
        patches: Training patches, or slices in 2-D.
    """
    if training.get("steps_per_epoch"):
        return training["steps_per_epoch"]
    if training.get("steps"):
        return math.ceil(training["steps"] / training["epochs"])
    return max(1, patches // training["batch"])


def total_steps(training: Mapping[str, Any], per_epoch: int) -> int:
    """Return the steps of a whole training: its `steps`, else its `epochs`."""
    return training.get("steps") or training["epochs"] * per_epoch
