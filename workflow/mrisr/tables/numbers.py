"""Numbers as tables print them."""

import math

INTERVAL = "95 % interval"  # label of a line of intervals


def number(mean: float, std: float = math.nan, digits: int = 4) -> str:
    """Return mean ± standard deviation; empty if the mean is unknown, ∞ if it is infinite."""
    if math.isnan(mean):
        return ""
    parts = [mean] if math.isnan(std) else [mean, std]
    return " ± ".join(_plain(x, digits) for x in parts)


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".replace("-", "−").replace("inf", "∞")
    # A number that rounds to zero has no sign.
    return text if text.strip("−0.") else text.lstrip("−")


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign, as a true minus; one that rounds to zero has no sign."""
    text = f"{value:+.{digits}f}".replace("-", "−").replace("inf", "∞")
    return text if text.strip("+−0.") else text[1:]


def interval(low: float, high: float, digits: int = 4, *, sign: bool = False) -> str:
    """Return both ends of an interval in brackets, with signs if it is about a difference."""
    ends = (signed(end, digits) if sign else number(end, digits=digits) for end in (low, high))
    return f"[{', '.join(ends)}]"


def known(value: float) -> float | None:
    """Return a number, None if it is NaN."""
    return None if math.isnan(value) else float(value)
