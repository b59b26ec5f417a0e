"""Parts of a printed table, which the formats draw; see `mrisr.tables.table`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One printed cell.

    Attributes:
        text: Printed text.
        style: `best`, `second`, `absent`, `published` or empty.
        hint: Text that HTML shows under the pointer.
        below: A second, smaller line, for example a published value.
        value: The number behind the text, for sorting; None if there is none.
        data: Further `data-` attributes in HTML; those of a row's first cell describe the row.
        joined: Cells that share this cell, printed with a stroke between them, in place of text.
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
        header: Headings of a row's entries: label(s), one for each column, and a last one (n).
        groups: Each group's name (its scale) and its rows.
        caption: Caption of the LaTeX table, without full stop.
        starts: Indices of the header at which LaTeX may begin another tabular; default any index
            between the labels and the closing entries, which every tabular repeats.
        corner: Heading of the column of groups, may be empty; None if groups have no column.
        labels: Number of labels that begin a row.
        closing: Number of entries that close a row in every tabular.
        spans: Headings above the column headings, each with the number of columns that it spans.
            They begin after the labels. A block with spans is never split.
        below: Label of the second lines of cells; empty if there are none. If a row's first entry
            has a second line, that is the label in this row.
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
        """Whether any entry is best; there is one only if two entries are ranked."""
        rows = [row for _, rows in self.groups for row in rows]
        return any(entry.style == "best" for row in rows for entry in row)


def second_lines(block: Block, row: list[Entry]) -> str:
    """Return the label of the second lines of a row's cells."""
    return row[0].below or block.below


def styled(entry: Entry, style: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Return a cell's first line, escaped and set in its style."""
    if entry.joined:
        return "/".join(styled(part, style, escape) for part in entry.joined)
    return style.get(entry.style, "{}").format(escape(entry.text)) if entry.text else ""
