r"""Tables as LaTeX for `\input`; they need only booktabs and graphicx.

Numbers line up at their decimal points. The S columns of siunitx would do this too, but they take
no underlined number, and put a number with marks or p in parentheses out of line.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from mrisr.tables.block import Block, Entry, second_lines, styled
from mrisr.tables.latex_text import escape

# More columns than this between labels and n do not fit a page's width.
TEX_COLUMNS = 6
# More lines than this, caption and notes included, do not fit a page's height.
TEX_LINES = 56
# Letters of a note in a line of a page's width.
TEX_LETTERS = 95

_STYLE = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "absent": r"\emph{{{}}}"}
# A number: what stands before its decimal point, and the rest with deviation and marks. A list of
# numbers is none.
_NUMBER = re.compile(r"([+\u2212-]?[\d,]+)(\.[^,]*|)")
# The widest parts of a column as empty space, and over it those of a cell: decimal points line up
# whatever follows them, also where a number is bold or underlined.
_AT_POINT = (
    r"\providecommand{\atpoint}[4]{\phantom{#1}\llap{#2}\rlap{#3}\phantom{#4}}"
    r" % widest left, left, right, widest right"
)
# Natural width, or the width of the text if the table is wider.
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"


def latex(blocks: Sequence[Block], footnotes: Sequence[str]) -> str:
    """Return one or more `table` for each block, with the notes in the last one.

    Notes that do not fit below it follow in floats of their own.
    """
    lines = [r"% Needs \usepackage{booktabs,graphicx}.", _AT_POINT]
    parts = [(block, part) for block in blocks for part in _parts(block)]
    used = sum(_lines(row) for _, rows in parts[-1][1][1] for row in rows) if parts else 0
    inside, apart = _notes(footnotes, TEX_LINES - used if parts else TEX_LINES)
    for number, (block, (columns, groups, place)) in enumerate(parts, start=1):
        lines += [
            *(r"\begin{table}[htbp]", r"\centering", r"\scriptsize"),
            r"\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{_sentence(escape(block.caption + place))}}}",
            *_tabular(block, columns, groups),
            *(["", r"\medskip", *inside] if number == len(parts) and inside else []),
            r"\end{table}",
        ]
    lines += [] if parts else inside
    for notes in apart:
        lines += [r"\begin{table}[htbp]", *notes, r"\end{table}"]
    return "\n".join(lines) + "\n"


def _notes(footnotes: Sequence[str], room: int) -> tuple[list[str], list[list[str]]]:
    """Return the notes below the last tabular, or those of floats of their own if it is too long.

    Args:
        footnotes: The notes.
        room: Lines that are left below the tabular.
    """
    counts = [-(-len(note) // TEX_LETTERS) for note in footnotes]
    if not footnotes or sum(counts) <= room:
        return (_minipage(footnotes) if footnotes else []), []
    pages: list[list[str]] = [[]]
    used = 0
    for note, count in zip(footnotes, counts, strict=True):
        if pages[-1] and used + count > TEX_LINES:
            pages.append([])
            used = 0
        pages[-1].append(note)
        used += count
    return [], [_minipage(notes) for notes in pages]


def _minipage(notes: Sequence[str]) -> list[str]:
    """Return notes as a block of text, each a paragraph."""
    return [
        r"\begin{minipage}{\linewidth}\raggedright\scriptsize",
        *(rf"{_sentence(escape(note))}\par" for note in notes),
        r"\end{minipage}",
    ]


def _parts(block: Block) -> list[tuple[list[int], list, str]]:
    """Return for each tabular of a block its columns, its groups, and which part it is."""
    columns = [list(range(len(block.header)))] if block.spans else _columns(block)
    groups = _groups(block)
    parts = [(chosen_columns, rows) for rows in groups for chosen_columns in columns]
    place = " (part {} of {})" if len(parts) > 1 else ""
    return [
        (chosen_columns, rows, place.format(number, len(parts)))
        for number, (chosen_columns, rows) in enumerate(parts, start=1)
    ]


def _columns(block: Block) -> list[list[int]]:
    """Return columns that fit the page, in few parts of widths as equal as possible."""
    last = len(block.header) - block.closing
    starts = block.starts or tuple(range(block.labels, last))
    units = [list(range(*ends)) for ends in pairwise([*starts, last])]

    def packed(limit: int) -> list[list[int]]:
        parts: list[list[int]] = [[]]
        for unit in units:
            if parts[-1] and len(parts[-1]) + len(unit) > limit:
                parts.append([])
            parts[-1] += unit
        return parts

    count = len(packed(TEX_COLUMNS))
    limit = next(k for k in range(1, TEX_COLUMNS + 1) if len(packed(k)) == count)
    around = list(range(block.labels)), list(range(last, len(block.header)))
    return [[*around[0], *columns, *around[1]] for columns in packed(limit)]


def _groups(block: Block) -> list[list]:
    """Return groups that fit the page's height, in few parts as equal as possible."""
    lines = [sum(map(_lines, rows)) for _, rows in block.groups]

    def packed(limit: int) -> list[list]:
        parts, used = [[]], 0
        for group, line_count in zip(block.groups, lines, strict=True):
            if parts[-1] and used + line_count > limit:
                parts.append([])
                used = 0
            parts[-1].append(group)
            used += line_count
        return parts

    count = len(packed(TEX_LINES))
    # A single group may be longer than a page.
    return next(parts for k in range(sum(lines) + 1) if len(parts := packed(k)) == count)


def _lines(row: Sequence[Entry]) -> int:
    return 2 if any(entry.below for entry in row) else 1


def _tabular(block: Block, columns: Sequence[int], groups: Sequence) -> list[str]:
    """Return the lines of a LaTeX tabular of some columns and groups of a block."""
    corner = [] if block.corner is None else [block.corner]
    left = len(corner) + block.labels
    wide = len(corner) + len(columns)
    kinds = "l" * left + "c" * (wide - left)
    ends = {i: _widest(row[i] for _, rows in groups for row in rows) for i in columns}
    lines = [rf"{_FIT}\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    if block.spans:
        lines += _spans(block, left)
    header = [*corner, *(block.header[i] for i in columns)]
    lines.append(_row([*map(escape, header[:left]), *(_centred(text) for text in header[left:])]))
    for name, rows in groups:
        lines.append(r"\midrule")
        for index, row in enumerate(rows):
            first = [escape(name) if index == 0 else ""] if corner else []
            names, numbers = columns[: block.labels], columns[block.labels :]
            lines.append(
                _row(
                    [
                        *first,
                        *(styled(row[i], _STYLE, escape) for i in names),
                        *(_aligned(row[i], ends[i]) for i in numbers),
                    ]
                )
            )
            if _lines(row) > 1:
                below = [_small(second_lines(block, row)), *[""] * (block.labels - 1)]
                below += [_at_point(row[i].below, ends[i], _small) for i in numbers]
                lines.append(_row([*[""] * len(corner), *below]))
                lines += [r"\addlinespace[2pt]"] if index + 1 < len(rows) else []
    return [*lines, r"\bottomrule", r"\end{tabular}}"]


def _widest(entries: Iterable[Entry]) -> tuple[str, str]:
    """Return the longest left and right parts of a column's numbers, as LaTeX."""
    entries = list(entries)
    lines = [(entry.text, entry.style) for entry in entries if not entry.joined]
    lines += [(entry.below, "") for entry in entries]
    parts = [(m.groups(), style) for text, style in lines if (m := _NUMBER.fullmatch(text))]
    left, right = (
        max(((part[i], style) for part, style in parts), key=_width, default=("", ""))
        for i in (0, 1)
    )
    return _set(*left), _set(*right)


def _width(part: tuple[str, str]) -> float:
    """Return about how wide a text is; bold letters are wider."""
    text, style = part
    return len(text) * (1.2 if style == "best" else 1)


def _set(text: str, style: str) -> str:
    # At one depth, whatever is underlined.
    if style == "second" and text:
        return rf"\underline{{\smash{{{escape(text)}}}}}"
    return styled(Entry(text, style), _STYLE, escape)


def _aligned(entry: Entry, ends: tuple[str, str]) -> str:
    """Return a cell's first line, its decimal point at the same place in the whole column."""
    if entry.joined or not _NUMBER.fullmatch(entry.text):
        return styled(entry, _STYLE, escape)
    return _at_point(entry.text, ends, lambda part: _set(part, entry.style))


def _at_point(text: str, ends: tuple[str, str], set_part: Callable[[str], str]) -> str:
    """Return a text, its decimal point at the column's if it is a number."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return set_part(text)
    left, right = map(set_part, match.groups())
    return rf"\atpoint{{{ends[0]}}}{{{left}}}{{{right}}}{{{ends[1]}}}"


def _spans(block: Block, left: int) -> list[str]:
    """Return the headings above the column headings, with rules below them."""
    cells, rules, at = [], [], left
    for text, count in block.spans:
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(text)}}}")
        rules += [rf"\cmidrule(lr){{{at + 1}-{at + count}}}"] if text else []
        at += count
    return [_row([*[""] * left, *cells]), "".join(rules)]


def _centred(text: str) -> str:
    return rf"\multicolumn{{1}}{{c}}{{{escape(text)}}}"


def _small(text: str) -> str:
    return rf"{{\tiny {escape(text)}}}" if text else ""


def _sentence(text: str) -> str:
    """Return a note so that another one can follow in the same paragraph."""
    return text if text.endswith((".", ":", "!", "?")) else f"{text}."


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
