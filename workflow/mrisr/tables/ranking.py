"""The best and second best method in a column of a table."""

import math
from collections.abc import Hashable, Mapping


def ranks(means: Mapping[Hashable, float], better: str, floor: float = 0.0) -> dict[Hashable, str]:
    """Return `best` and `second` by key.

    All within the floor of the best are best; several best ones leave no second.

    Args:
        means: Means by key; NaN is not ranked.
        better: `higher` or `lower`; empty ranks nothing.
        floor: Least difference that counts, in the unit of the means.

    Returns:
        Ranks by key; empty if there are not two to compare.
    """
    means = {key: mean for key, mean in means.items() if not math.isnan(mean)}
    if len(means) < 2 or not better:
        return {}
    choose = max if better == "higher" else min
    found: dict[Hashable, str] = {}
    for name in ("best", "second"):
        top = choose(means.values())
        tied = [key for key, mean in means.items() if mean == top or abs(mean - top) <= floor]
        found |= dict.fromkeys(tied, name)
        means = {key: mean for key, mean in means.items() if key not in found}
        if len(tied) > 1 or not means:
            break
    return found
