"""Who is best and second best in a column of a table."""

import math
from collections.abc import Hashable, Mapping


def ranks(means: Mapping[Hashable, float], better: str, floor: float = 0.0) -> dict[Hashable, str]:
    """Return `best` and `second` by key.

    Those within the floor of the best are all best; several best ones leave no second.

    Args:
        means: By key; NaN takes no part.
        better: `higher` or `lower`; empty ranks nobody.
        floor: Least difference that means something, in the unit of the means.

    Returns:
        Empty if there are not two to compare.
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
