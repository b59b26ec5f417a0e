"""Numbers as tables print them."""

import math


def number(mean: float, std: float = math.nan, digits: int = 4) -> str:
    """Return mean ± standard deviation; empty if the mean is unknown, ∞ if it is infinite."""
    if math.isnan(mean):
        return ""
    parts = [mean] if math.isnan(std) else [mean, std]
    text = " ± ".join(f"{x:.{digits}f}" if math.isfinite(x) else f"{x}" for x in parts)
    return text.replace("inf", "∞")


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign, a minus being one; what rounds to zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−").replace("inf", "∞")
    return text if text.strip("+−0.") else text[1:]


def known(value: float) -> float | None:
    """Return a number, None if it is NaN."""
    return None if math.isnan(value) else float(value)
