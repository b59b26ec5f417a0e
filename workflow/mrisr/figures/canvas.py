"""Panels and text at positions in inches, with sizes that suit print."""

import textwrap

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mrisr.figures.style import GRAY, HEAD, PAPER, SMALL, TEXT
from mrisr.figures.view import Box, View, extent

LETTER = 0.56  # mean width of a letter, as a share of the font size
SHARE = 0.35  # longest scale bar, as a share of the width of an image
FULL = 1.4  # width of a panel on the screen in inches; narrower ones get more pixels


class Canvas:
    """A figure laid out in inches from its upper left corner.

    Attributes:
        figure: The figure to draw on.
        width: Width in inches.
        height: Height in inches.
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, wide: float, tall: float, **more: object) -> Axes:
        """Return axes whose upper left corner is at (x, y)."""
        place = (x / self.width, 1 - (y + tall) / self.height)
        return self.figure.add_axes((*place, wide / self.width, tall / self.height), **more)

    def panel(self, x: float, y: float, wide: float, tall: float) -> Axes:
        """Return axes for an image: without frame and ticks."""
        axes = self.axes(x, y, wide, tall, frame_on=False)
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def text(self, x: float, y: float, text: str, size: float = TEXT, **style: object) -> None:
        """Write text whose upper end is at y; a dollar sign does not start a formula."""
        style = {"va": "top", **style}
        self.figure.text(
            *(x / self.width, 1 - y / self.height, text), fontsize=size, parse_math=False, **style
        )

    def heading(self, x: float, text: str) -> None:
        """Write the figure's title."""
        self.text(x, 0.06, text, HEAD, weight="bold")

    def label(self, x: float, y: float, wide: float, name: str) -> None:
        """Write the name of a column `wide` inches across, broken into lines that end at y."""
        size, text = fitted(name, wide)
        self.text(x + wide / 2, y, text, size, ha="center", va="bottom", linespacing=1.0)


def fitted(name: str, wide: float, size: float = TEXT) -> tuple[float, str]:
    """Return a name broken into lines that fit, and the font size at which they fit."""
    most = max(3, int(wide * 72 / (LETTER * size)))
    lines = textwrap.wrap(name, most, break_long_words=False, break_on_hyphens=True) or [""]
    longest = max(map(len, lines))
    return min(size, wide * 72 / (LETTER * longest)), "\n".join(lines)


def lines_of(names: list[str], wide: float) -> int:
    """Return the number of lines of the column name with the most lines."""
    return max((fitted(name, wide)[1].count("\n") + 1 for name in names), default=1)


def column_width(count: int, around: float, gap: float, most: float = FULL) -> float:
    """Return how wide each of `count` columns can be on paper, with `around` inches beside them."""
    return min(most, (PAPER - around) / count - gap)


def detail(wide: float) -> float:
    """Return by what factor a figure with panels of `wide` inches needs more pixels."""
    return float(np.clip(np.ceil(2 * FULL / wide) / 2, 1, 2.5))


def show(axes: Axes, image: np.ndarray, aspect: float, top: float, cmap: str = GRAY) -> AxesImage:
    """Draw an image from black at 0 to white at `top`; every voxel stays a rectangle."""
    return axes.imshow(
        image, cmap=cmap, vmin=0, vmax=top, extent=extent(image, aspect), aspect=1,
        interpolation="nearest",
    )  # fmt: skip


def word(axes: Axes, text: str) -> None:
    """Write `n/a` or `missing` where an image or a line would be."""
    axes.text(
        *(0.5, 0.5, text), ha="center", va="center", color="0.4", fontsize=TEXT, style="italic",
        transform=axes.transAxes,
    )  # fmt: skip


def sides(axes: Axes, view: View) -> None:
    """Write which sides of the patient are left and right, and draw a scale bar between them."""
    scale_bar(axes, view)
    for letter, x, side in zip(view.sides, (0.02, 0.98), ("left", "right"), strict=True):
        axes.text(
            *(x, 0.01, letter), ha=side, va="bottom", color="white", fontsize=SMALL,
            path_effects=_halo(1.5), transform=axes.transAxes,
        )  # fmt: skip


def scale_bar(axes: Axes, view: View) -> None:
    """Draw a bar of a round number of millimetres at the lower end of what the axes show."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    length = round_length(SHARE * abs(right - left) * view.width)
    middle, half = (left + right) / 2, length / view.width / 2
    y = bottom + 0.03 * (top - bottom)
    stroke(axes, [middle - half, middle + half], [y, y])
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.text(
        middle, bottom + 0.04 * (top - bottom), f"{length:g} mm", ha="center", va="bottom",
        color="white", fontsize=SMALL - 1, path_effects=_halo(1.2),
    )  # fmt: skip


def round_length(most: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten that is not above `most`."""
    unit = 10.0 ** np.floor(np.log10(most))
    return float(max(step for step in (1, 2, 5) if step * unit <= most * (1 + 1e-9)) * unit)


def frame(axes: Axes, box: Box) -> None:
    """Draw a box on an image, visible on black and on white."""
    axes.add_patch(
        Rectangle((box.left, box.top), box.side, box.side, fill=False, edgecolor="white",
                  linewidth=0.6, path_effects=_halo(1.3))
    )  # fmt: skip


def stroke(axes: Axes, x: list[float], y: list[float]) -> None:
    """Draw a line on an image, visible on black and on white."""
    axes.plot(x, y, color="white", linewidth=0.7, path_effects=_halo(1.5), solid_capstyle="butt")


def enlarge(axes: Axes, box: Box) -> None:
    """Show only the part inside the box."""
    axes.set_xlim(box.left, box.left + box.side)
    axes.set_ylim(box.top + box.side, box.top)


def _halo(width: float) -> list:
    return [patheffects.withStroke(linewidth=width, foreground="black")]
