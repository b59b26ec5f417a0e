"""What a printed table is made of; the formats draw it, see `mrisr.tables.table`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One printed cell.

    Attributes:
        text: What is printed.
        style: `best`, `second`, `absent`, `published` or empty.
        hint: What HTML shows under the pointer.
        below: A second, smaller line: what a paper published.
        value: The number behind the text, for sorting; None if there is none.
        data: Further `data-` attributes in HTML; those of a row's first cell are the row's.
        joined: Cells that share this one, printed with a stroke between them, in place of text.
    """

    text: str
    style: str = ""
    hint: str = ""
    below: str = ""
    value: float | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    joined: tuple["Entry", ...] = ()


@dataclass(frozen=True)
class Block:
    """A printed table: groups of rows.

    Attributes:
        title: Heading.
        header: What the entries of a row are: label(s), a heading a column, what closes a row (n).
        groups: What a group is called (its scale), and its rows.
        caption: Caption of the LaTeX table, without full stop.
        starts: Indices of the header at which LaTeX may begin a further tabular; default any
            between labels and what closes a row, which all of them repeat.
        corner: What the groups are, may be empty; None if they have no column.
        labels: How many entries begin a row that are labels.
        closing: How many entries close a row in every tabular.
        spans: Headings above those of columns, each with the number of columns it spans; they
            begin after the labels. A block with spans is never split.
        below: What the second lines of cells are called; empty if there are none. A row whose
            first entry has a second line of its own calls them by that.
    """

    title: str
    header: list[str]
    groups: list[tuple[str, list[list[Entry]]]]
    caption: str
    starts: tuple[int, ...] = ()
    corner: str | None = "Scale"
    labels: int = 1
    closing: int = 1
    spans: tuple[tuple[str, int], ...] = ()
    below: str = ""

    @property
    def ranked(self) -> bool:
        """Whether any entry is best, which takes two that are ranked."""
        rows = [row for _, rows in self.groups for row in rows]
        return any(entry.style == "best" for row in rows for entry in row)


def second_lines(block: Block, row: list[Entry]) -> str:
    """Return what the second lines of a row's cells are called."""
    return row[0].below or block.below


def styled(entry: Entry, style: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Return a cell's first line, escaped and set in its style."""
    if entry.joined:
        return "/".join(styled(part, style, escape) for part in entry.joined)
    return style.get(entry.style, "{}").format(escape(entry.text)) if entry.text else ""
