"""Tables as GitHub's Markdown."""

import re
from collections.abc import Iterable, Sequence

from mrisr.tables.block import Block, Entry, second_lines, styled

_STYLE = {"best": "**{}**", "second": "<u>{}</u>", "absent": "*{}*"}


def markdown(blocks: Sequence[Block], footnotes: Sequence[str]) -> str:
    """Return tables as Markdown, best in bold and second best in `<u>`.

    Second lines become rows. Markdown has no cells that span columns, so the headings above the
    column headings are left out.
    """
    lines = []
    for block in blocks:
        lines += [f"### {_escape(block.title)}", ""]
        header = [*([] if block.corner is None else [block.corner]), *block.header]
        left = len(header) - len(block.header) + block.labels
        lines += [_piped(map(_escape, header))]
        lines += [_piped(["---"] * left + ["---:"] * (len(header) - left))]
        for name, rows in block.groups:
            first = [] if block.corner is None else [_escape(name)]
            for row in rows:
                lines.append(_piped([*first, *(styled(e, _STYLE, _escape) for e in row)]))
                if any(entry.below for entry in row):
                    lines.append(_piped([*first, *_second(block, row)]))
        lines.append("")
    lines += [f"- {_escape(note)}" for note in footnotes]
    return "\n".join(lines) + "\n"


def _second(block: Block, row: list[Entry]) -> list[str]:
    labels = [""] * (block.labels - 1)
    below = [f"*{_escape(e.below)}*" if e.below else "" for e in row[block.labels :]]
    return [f"*{_escape(second_lines(block, row))}*", *labels, *below]


def _piped(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(text.split()))
