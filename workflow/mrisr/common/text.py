"""Text for people: sizes, times, lists of names, columns, wrapped lines."""

import textwrap
from collections.abc import Sequence

WIDTH = 100


def wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Return text as lines of at most 100 characters; only longer words make longer lines.

    Args:
        text: One paragraph.
        first: Start of the first line.
        rest: Start of the other lines.
    """
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def size(count: int) -> str:
    """Return a number of bytes as text, e.g. `3.4 MB`."""
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def columns(rows: Sequence[Sequence[str]], words: bool = False) -> str:
    """Return rows as lines of aligned columns: the first to the left, others to the right.

    Args:
        rows: Each with as many cells.
        words: Whether other columns hold words, so that all go to the left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if words or i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def duration(seconds: float) -> str:
    """Return a time in words: seconds, minutes, hours or days."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}" if unit != "h" else f"{seconds / length:.1f} h"
    return f"{seconds:.0f} s"


def listed(items: Sequence[str]) -> str:
    """Return names as a sentence has them: `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
