"""Footnotes that several tables share, told once, to which each table refers."""

import re
from collections.abc import Mapping

_LIST = re.compile(r'<ul class="notes">\n?(.*?)</ul>', re.DOTALL)
_ITEM = re.compile(r"<li>(.*?)</li>", re.DOTALL)


def shared(sections: Mapping[str, str]) -> tuple[dict[str, str], list[dict]]:
    """Move the footnotes that several tables have into one list.

    Args:
        sections: By name of the table, its HTML as `mrisr.tables.html.section` returns it.

    Returns:
        The sections, each with its remaining footnotes and links to the shared ones, and the shared
        footnotes in the order of the tables: number, html, and tables (the names of those that
        refer to it).
    """
    lists = {
        name: [item for part in _LIST.findall(text) for item in _ITEM.findall(part)]
        for name, text in sections.items()
    }
    users: dict[str, list[str]] = {}
    for name, items in lists.items():
        for item in dict.fromkeys(items):
            users.setdefault(item, []).append(name)
    several = [item for item, names in users.items() if len(names) > 1]
    numbers = {item: number for number, item in enumerate(several, start=1)}
    found = {
        name: _LIST.sub(lambda match: _list(match[1], numbers), text)
        for name, text in sections.items()
    }
    notes = [{"number": numbers[item], "html": item, "tables": users[item]} for item in several]
    return found, notes


def _list(inner: str, numbers: Mapping[str, int]) -> str:
    """Return a table's list of footnotes without the shared ones, and links to these."""
    items = list(dict.fromkeys(_ITEM.findall(inner)))
    alone = [f"<li>{item}</li>" for item in items if item not in numbers]
    parts = ['<ul class="notes">', *alone, "</ul>"] if alone else []
    links = [
        f'<a href="#note-{numbers[item]}">{numbers[item]}</a>' for item in items if item in numbers
    ]
    if links:
        parts.append(f'<p class="notes">Notes to several tables: {", ".join(links)}.</p>')
    return "\n".join(parts)
