"""The look of methods in every figure of a study, and the size of text on paper."""

from dataclasses import dataclass

#: Width of a page's text in inches; figures are at most as wide, so fonts keep their size.
PAPER = 7.2
TEXT, SMALL, HEAD = 7.0, 6.0, 9.0  # points
GRAY, ERROR = "gray", "inferno"  # colour maps of increasing lightness, which work in gray too
# Controls are gray: an interpolation as the lower bound, and the ground truth as the upper.
CONTROL = {"lower": ("0.5", (0, (1.5, 1.5))), "upper": ("0.5", (0, (6, 1.5, 1, 1.5)))}

# Okabe and Ito's colours without yellow, from dark to light, then three of Tol's muted ones. Ten
# colours are too many to tell apart in gray or by the colour-blind, so markers and dashes differ
# too.
COLOURS = [
    *("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#882255", "#999933", "#332288"),
]
MARKERS = "osD^vPX<>*"
DASHES = ["-", (0, (5, 1.5)), (0, (1, 1)), (0, (7, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (9, 2)),
          (0, (4, 1, 1, 1, 1, 1))]  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of a method."""

    colour: str
    marker: str
    dashes: str | tuple

    @property
    def line(self) -> dict:
        """Arguments of a line."""
        return {"color": self.colour, "linestyle": self.dashes}

    @property
    def mark(self) -> dict:
        """Arguments of a marker."""
        edge = {"markeredgecolor": "black", "markeredgewidth": 0.5}
        return {"marker": self.marker, "markerfacecolor": self.colour, **edge}


def look(number: int | str) -> Look:
    """Return the look of a method.

    Args:
        number: The method's place among the study's methods without controls; for a control its
            bound, `lower` or `upper`.
    """
    if isinstance(number, str):
        colour, dashes = CONTROL[number]
        return Look(colour, "", dashes)
    return Look(
        COLOURS[number % len(COLOURS)],
        MARKERS[number % len(MARKERS)],
        DASHES[number % len(DASHES)],
    )
