"""The report as one HTML file, with template, style and scripts inside."""

import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mrisr.common.assets import PAGE
from mrisr.common.files import write_text


def write_page(output: str | Path, **content: Any) -> None:
    """Write the page.

    Args:
        output: `report.html`.
        content: Variables of the template `report.html.j2`; text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_json"] = _script_json
    viewer = content.get("viewer")
    page = environment.get_template("report.html.j2").render(
        **content,
        style=_inner("style.css"),
        script=_inner("page.js"),
        viewer_script=_inner("viewer.js") if viewer else "",
    )
    write_text(output, page)


def _inner(name: str) -> Markup:
    return Markup((PAGE / name).read_text(encoding="utf-8"))


def _script_json(content: Any) -> Markup:
    """Return JSON in which nothing can end the script element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
