"""Tables in all their forms: tidy CSV, and printed as Markdown, LaTeX and HTML."""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

from mrisr.files import write_text
from mrisr.layout import scale_name

# More columns between the method and n than this do not fit a page's width in LaTeX.
TEX_COLUMNS = 6


@dataclass(frozen=True)
class Entry:
    """One printed cell.

    Attributes:
        text: What is printed.
        style: `best`, `second`, `absent`, `published` or empty.
        hint: What HTML shows under the pointer.
    """

    text: str
    style: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Block:
    """A printed table: for each scale, its rows.

    Attributes:
        title: Heading.
        header: What the entries of a row are: method, a heading a column, n.
        groups: Scale as printed, and its rows.
        caption: Of the LaTeX table, without full stop.
        starts: Indices of the header at which LaTeX may begin a further tabular; default any
            between method and n, which all of them repeat.
    """

    title: str
    header: list[str]
    groups: list[tuple[str, list[list[Entry]]]]
    caption: str
    starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table in all its forms; the same content gives the same bytes.

    Attributes:
        frame: Tidy, in full precision, with a column `scale`.
        blocks: The printed form.
        footnotes: Sentences without which the numbers must not be read.
    """

    frame: pd.DataFrame
    blocks: list[Block]
    footnotes: list[str]

    def csv(self) -> str:
        """Return the tidy frame as CSV: floats in full precision, unknown values empty."""
        frame = self.frame.assign(scale=self.frame["scale"].map(scale_name))
        return frame.to_csv(index=False, lineterminator="\n")

    def markdown(self) -> str:
        """Return the printed form as Markdown, best bold and second best in `<u>`."""
        style = {"best": "**{}**", "second": "<u>{}</u>", "absent": "*{}*"}
        lines = []
        for block in self.blocks:
            lines += [f"### {_markdown(block.title)}", ""]
            header = ["Scale", *map(_markdown, block.header)]
            lines += [_piped(header), _piped(["---", "---", *["---:"] * (len(header) - 2)])]
            for scale, rows in block.groups:
                lines += [_piped([scale, *_styled(row, style, _markdown)]) for row in rows]
            lines.append("")
        lines += [f"- {_markdown(note)}" for note in self.footnotes]
        return "\n".join(lines) + "\n"

    def tex(self) -> str:
        r"""Return LaTeX that needs only booktabs: one `table` or more a block, then the notes."""
        lines = [r"% Needs \usepackage{booktabs}."]
        notes = [r"\begin{minipage}{\linewidth}", r"\raggedright"]
        notes += [*(rf"{_tex(note)}\par" for note in self.footnotes), r"\end{minipage}"]
        parts = [(block, part) for block in self.blocks for part in _tex_parts(block)]
        for number, (block, (columns, place)) in enumerate(parts, start=1):
            lines += [
                *(r"\begin{table}[htbp]", r"\centering", r"\scriptsize"),
                r"\setlength{\tabcolsep}{3pt}",
                rf"\caption{{{_tex(block.caption + place)}.}}",
                *_tabular(block, columns),
                *(["", r"\medskip", *notes] if number == len(parts) else []),
                r"\end{table}",
            ]
        return "\n".join(lines if parts else [*lines, *notes]) + "\n"

    def html(self) -> str:
        """Return a fragment to be set in a page; pure ASCII, so that it reads alone too."""
        style = {
            "best": "<b>{}</b>",
            "second": "<u>{}</u>",
            "absent": '<i class="absent">{}</i>',
            "published": '<span class="published">{}</span>',
        }
        lines = []
        for block in self.blocks:
            head = "".join(f'<th scope="col">{_html(t)}</th>' for t in ["Scale", *block.header])
            lines += [
                *(f"<h3>{_html(block.title)}</h3>", '<div class="scroll">', "<table>"),
                f"<thead><tr>{head}</tr></thead>",
            ]
            for scale, rows in block.groups:
                lines.append("<tbody>")
                first = f'<th scope="rowgroup" rowspan="{len(rows)}">{_html(scale)}</th>'
                for row in rows:
                    method, *values = _styled(row, style, _html)
                    hints = [f' title="{_html(e.hint)}"' if e.hint else "" for e in row[1:]]
                    cells = "".join(
                        f"<td{hint}>{value}</td>" for hint, value in zip(hints, values, strict=True)
                    )
                    lines.append(f'<tr>{first}<th scope="row">{method}</th>{cells}</tr>')
                    first = ""
                lines.append("</tbody>")
            lines += ["</table>", "</div>"]
        lines += ['<ul class="notes">', *(f"<li>{_html(t)}</li>" for t in self.footnotes), "</ul>"]
        return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode() + "\n"

    def write(self, stem: str | Path) -> None:
        """Write `<stem>.csv`, `.md`, `.tex` and `.html`."""
        for suffix, text in (
            ("csv", self.csv()),
            ("md", self.markdown()),
            ("tex", self.tex()),
            ("html", self.html()),
        ):
            write_text(f"{stem}.{suffix}", text)


def _styled(
    row: Sequence[Entry], style: Mapping[str, str], escape: Callable[[str], str]
) -> list[str]:
    return [style.get(e.style, "{}").format(escape(e.text)) if e.text else "" for e in row]


def _tex_parts(block: Block) -> list[tuple[list[int], str]]:
    """Return for each tabular of a block its columns, and which part it is.

    As few parts as fit the page, of widths as equal as they can be.
    """
    last = len(block.header) - 1
    starts = block.starts or tuple(range(1, last))
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
    return [
        ([0, *columns, last], f" (part {number} of {count})" if count > 1 else "")
        for number, columns in enumerate(packed(limit), start=1)
    ]


def _tabular(block: Block, columns: Sequence[int]) -> list[str]:
    """Return the lines of a LaTeX tabular of some columns of a block."""
    style = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "absent": r"\emph{{{}}}"}
    header = ["Scale", *(_tex(block.header[i]) for i in columns)]
    lines = [rf"\begin{{tabular}}{{ll{'r' * (len(columns) - 1)}}}", r"\toprule"]
    lines.append(" & ".join(header) + r" \\")
    for scale, rows in block.groups:
        lines.append(r"\midrule")
        for index, row in enumerate(rows):
            first = _tex(scale) if index == 0 else ""
            entries = _styled([row[i] for i in columns], style, _tex)
            lines.append(" & ".join([first, *entries]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _html(text: str) -> str:
    return html.escape(text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(text.split()))


_TEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "↑": r"$\uparrow$"},
    **{"↓": r"$\downarrow$", "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "≤": r"$\leq$"},
    **{"≥": r"$\geq$", "µ": r"$\mu$", "μ": r"$\mu$", "λ": r"$\lambda$", "σ": r"$\sigma$"},
    **{
        "°": r"$^\circ$",
        "−": "$-$",
        "²": "$^2$",
        "³": "$^3$",
        "–": "--",
        "—": "---",
        "→": r"$\to$",
    },
}


def _tex(text: str) -> str:
    return " ".join(text.split()).translate(str.maketrans(_TEX))
