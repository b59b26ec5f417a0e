"""Tables as HTML: each a small page, whose `<section>` another page can use."""

import html
import re
from collections.abc import Sequence

from mrisr.tables.block import Block, Entry, styled

_STYLE = {
    "best": "<b>{}</b>",
    "second": "<u>{}</u>",
    "absent": '<i class="absent">{}</i>',
    "published": '<span class="published">{}</span>',
}
_CSS = """
body { margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem; color: #1c1c1c; background: #fff;
  font: 15px/1.45 system-ui, sans-serif; }
.scroll { overflow-x: auto; }
caption { text-align: left; color: #595959; padding-bottom: .3rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; vertical-align: top; }
th { font-weight: 600; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
thead th.span { text-align: center; border-bottom: 1px solid #bdbdbd; }
tbody { border-bottom: 1px solid #bdbdbd; }
tbody th { font-weight: normal; }
tbody th, thead th.label { text-align: left; }
tbody th[scope="rowgroup"] { font-weight: 600; }
.published, .absent { color: #595959; }
.below { font-size: .8em; color: #595959; }
.paired td, .paired thead th { text-align: left; }
.notes { font-size: .85rem; max-width: 60rem; padding-left: 1.2rem; }
"""
_SECTION = re.compile(r'<section class="mrisr-table".*?</section>\n?', re.DOTALL)


def page(blocks: Sequence[Block], footnotes: Sequence[str], name: str) -> str:
    """Return a complete page with one section; pure ASCII.

    A row has `data-dataset`, `data-scale` and `data-method`, where they apply. A cell has them too,
    if they depend on the column; its `data-value` is the number behind its text.

    Args:
        blocks: Blocks to print.
        footnotes: Footnotes under all blocks.
        name: Name of the table, for `data-table` of the section.
    """
    title = blocks[0].title if blocks else name
    lines = [
        *("<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">'),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        *(f"<title>{_escape(title)}</title>", f"<style>{_CSS}</style>", "</head>", "<body>"),
        f'<section class="mrisr-table" data-table="{_escape(name)}">',
    ]
    for block in blocks:
        lines += _block(block)
    lines += ['<ul class="notes">', *(f"<li>{_escape(t)}</li>" for t in footnotes), "</ul>"]
    lines += ["</section>", "</body>", "</html>"]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode() + "\n"


def section(text: str) -> str:
    """Return the section of a page that `page` made, for use in another; else the text itself."""
    found = _SECTION.search(text)
    return found[0] if found else text


def _block(block: Block) -> list[str]:
    kind = ' class="paired"' if block.below else ""
    lines = [
        f"<h3>{_escape(block.title)}</h3>",
        '<div class="scroll">',
        f"<table{kind}>",
        f"<caption>{_escape(_sentence(block.caption))}</caption>",
        "<thead>",
    ]
    corner = [] if block.corner is None else [block.corner]
    left = len(corner) + block.labels
    if block.spans:
        above = [f'<th class="span" scope="colgroup" colspan="{n}">{_escape(t)}</th>' for t, n in
                 block.spans]  # fmt: skip
        lines.append(f'<tr class="spans"><td colspan="{left}"></td>{"".join(above)}</tr>')
    header = [*corner, *block.header]
    kinds = [' class="label"'] * left + [""] * (len(header) - left)
    head = [
        f'<th scope="col"{kind}>{_escape(text)}</th>'
        for kind, text in zip(kinds, header, strict=True)
    ]
    lines += [f"<tr>{''.join(head)}</tr>", "</thead>"]
    for name, rows in block.groups:
        lines.append("<tbody>")
        first = f'<th scope="rowgroup" rowspan="{len(rows)}">{_escape(name)}</th>' if corner else ""
        for row in rows:
            lines.append(f"<tr{_data(row[0])}>{first}{_row(block, row)}</tr>")
            first = ""
        lines.append("</tbody>")
    return [*lines, "</table>", "</div>"]


def _row(block: Block, row: Sequence[Entry]) -> str:
    below = any(entry.below for entry in row)
    found = []
    for index, entry in enumerate(row):
        text = styled(entry, _STYLE, _escape)
        small = entry.below or (block.below if below and index == 0 else "")
        text += f'<br><small class="below">{_escape(small)}</small>' if small else ""
        if index < block.labels:
            found.append(f'<th scope="row">{text}</th>')
            continue
        hint = f' title="{_escape(entry.hint)}"' if entry.hint else ""
        value = "" if entry.value is None else f' data-value="{_number(entry.value)}"'
        found.append(f"<td{_data(entry)}{value}{hint}>{text}</td>")
    return "".join(found)


def _number(value: float) -> str:
    """Return a number as JavaScript reads it."""
    return repr(value).replace("inf", "Infinity")


def _data(entry: Entry) -> str:
    return "".join(f' data-{key}="{_escape(value)}"' for key, value in entry.data.items())


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _escape(text: str) -> str:
    return html.escape(text)
