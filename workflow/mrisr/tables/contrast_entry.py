"""How tables print the comparison of two methods."""

import math
from collections.abc import Mapping

from mrisr.tables.contrasts import EQUIVALENT
from mrisr.tables.numbers import interval, signed
from mrisr.tables.table import Entry


def contrast_entry(record: Mapping | None, digits: int, *, brief: bool = False) -> Entry:
    """Return what is printed of a comparison.

    Args:
        record: One of `mrisr.tables.contrasts.contrasts`, adjusted; None if there is none.
        digits: Decimals of the difference.
        brief: Whether the difference and its marks are all.
    """
    if record is None:
        return Entry("–", "absent")
    if math.isnan(record["p"]):
        return Entry("∞", "absent", record["note"])
    hint = f"p = {_p(record['p'])}, adjusted {_p(record['p_holm'])}"
    if not math.isnan(record["p_equivalence"]):
        hint += f"; equivalence: adjusted p = {_p(record['p_equivalence'])}"
    hint += f"; {record['conclusion']}"
    mark = "*" if record["p_holm"] < 0.05 else ""
    mark += "≈" if EQUIVALENT in record["conclusion"] else ""
    text, below = signed(record["difference"], digits), ""
    if not brief:
        text += f" ({_p(record['p_holm'])})"
        if not math.isnan(record["ci_low"]):
            ends = record["ci_low"], record["ci_high"]
            size = record["effect_size"]
            parts = [interval(*ends, digits, sign=True)]
            parts += [] if math.isnan(size) else [signed(size, 1)]
            below = "; ".join([*parts, f"{record['superiority']:.2f}"])
    about = {key: str(record[key]) for key in ("metric", "region")}
    return Entry(text + mark, "", hint, below, value=record["difference"], data=about)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
