"""A grid of images: one row a scale, one column a method, each image with panels below it."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from mrisr.figures.canvas import Canvas, column_width, detail, lines_of
from mrisr.figures.style import HEAD, SMALL, TEXT

GAP, LEFT = 0.03, 0.38  # inches
LINE = TEXT * 1.2 / 72  # height of a line of text in inches


class Grid(Canvas):
    """Panels of equal size.

    Attributes:
        wide: Width of a panel in inches.
        detail: Factor on the number of pixels, see `mrisr.figures.canvas.detail`.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[str],
        ratio: float,
        below: Sequence[float] = (),
        right: float = 0.05,
        foot: float = 0.05,
        above: bool = True,
    ):
        """Lay out a grid and write its headings.

        Args:
            title: Heading.
            columns: Names of the columns.
            rows: Names of the rows.
            ratio: Height of an image over its width.
            below: Ratios, height over width, of the panels below each image.
            right: Inches left free on the right.
            foot: Inches left free at the foot.
            above: Whether there is a line of text above each image.
        """
        self.wide = column_width(len(columns), LEFT + right, GAP)
        self.detail = detail(self.wide)
        self.talls = [self.wide * height_ratio for height_ratio in (ratio, *below)]
        self.above = 0.13 if above else 0.03
        # In narrow figures even a short title is wider than its columns.
        self.inner = len(columns) * (self.wide + GAP)
        width = max(LEFT + self.inner + right, LEFT + 0.6 * HEAD / 72 * len(title) + 0.1)
        self.head = 0.24 + LINE * lines_of(list(columns), self.wide)
        self.pitch = self.above + sum(self.talls) + GAP * len(self.talls) + 0.05
        super().__init__(width, self.head + len(rows) * self.pitch + foot)
        self.heading(LEFT, title)
        for column, name in enumerate(columns):
            self.label(self.x(column), self.head - 0.01, self.wide, name)
        for row, name in enumerate(rows):
            middle = self.y(row) + self.talls[0] / 2
            self.text(LEFT - 0.05, middle, name, TEXT + 1, ha="right", va="center", weight="bold")

    def x(self, column: int) -> float:
        """Left end of a column."""
        return LEFT + column * (self.wide + GAP)

    def y(self, row: int, below: int = 0) -> float:
        """Upper end of a row's image, or of a panel below it."""
        return self.head + row * self.pitch + self.above + sum(self.talls[:below]) + GAP * below

    def image(self, row: int, column: int, below: int = 0) -> Axes:
        """Return the axes of an image, or of a panel below it."""
        return self.panel(self.x(column), self.y(row, below), self.wide, self.talls[below])

    def plot(self, row: int, column: int, below: int, **more: object) -> Axes:
        """Return axes with a frame, in place of a panel."""
        return self.axes(self.x(column), self.y(row, below), self.wide, self.talls[below], **more)

    def note(self, row: int, column: int, text: str) -> None:
        """Write the line of text above an image."""
        self.text(
            self.x(column) + self.wide / 2, self.y(row) - 0.02, text, SMALL, ha="center",
            va="bottom",
        )  # fmt: skip
