"""Write docs/api-reference.md: every name of `mrisr.api` with its docstring.

Run it after a change of a docstring: `python docs/make_reference.py`. A test compares the page.
"""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import mrisr.api

PAGE = Path(__file__).with_name("api-reference.md")
HEAD = """\
# Reference of mrisr.api

Made of the docstrings by `docs/make_reference.py`; [from Python](api.md) shows the names in use.
Each is imported from `mrisr.api`.
"""
SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Note):")
ENTRY = re.compile(r"(\*{0,2}\w+)(?: \([^)]*\))?: (.*)")


def page() -> str:
    """Return the text of the page."""
    parts = [f"## {name}\n\n{_entry(name)}" for name in mrisr.api.__all__]
    return "\n\n".join([HEAD.strip(), *parts]) + "\n"


def _entry(name: str) -> str:
    found = getattr(mrisr.api, name)
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(found))).body
    return f"```text\n{_call(name, node)}\n```\n\n{_prose(inspect.getdoc(found) or '')}"


def _call(name: str, node: ast.stmt) -> str:
    """Return how a function or class is called, with its types as they are written."""
    if isinstance(node, ast.FunctionDef):
        arguments = [*map(ast.unparse, _split(node.args))]
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    elif isinstance(node, ast.ClassDef):
        arguments = [ast.unparse(line) for line in node.body if isinstance(line, ast.AnnAssign)]
        arguments = [re.sub(r" = field\(default=(\w+).*", r" = \1", one) for one in arguments]
        result = ""
    else:
        raise TypeError(f"{name}: neither a function nor a class")
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"


def _split(given: ast.arguments) -> list[ast.arguments]:
    """Return the arguments of a function one by one, each with its default."""
    empty = {"posonlyargs": [], "args": [], "kwonlyargs": [], "kw_defaults": [], "defaults": []}
    lacking = len(given.args) - len(given.defaults)
    defaults = [None] * lacking + given.defaults
    found = [
        ast.arguments(**{**empty, "args": [one], "defaults": [default] if default else []})
        for one, default in zip(given.args, defaults, strict=True)
    ]
    if given.vararg:
        found.append(ast.arguments(**empty, vararg=given.vararg))
    elif given.kwonlyargs:
        found.append(ast.arguments(**{**empty, "args": [ast.arg("*")]}))
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found.append(
            ast.arguments(**{**empty, "args": [one], "defaults": [default] if default else []})
        )
    if given.kwarg:
        found.append(ast.arguments(**empty, kwarg=given.kwarg))
    return found


def _prose(text: str) -> str:
    """Return a docstring in Google's style as Markdown."""
    blocks = []
    for block in text.split("\n\n"):
        first, *rest = block.splitlines()
        heading = SECTION.fullmatch(first)
        if heading is None:
            blocks.append(" ".join(line.strip() for line in block.splitlines()))
            continue
        items: list[str] = []
        for line in textwrap.dedent("\n".join(rest)).splitlines():
            entry = ENTRY.fullmatch(line)
            if entry and not line.startswith(" ") and heading[1] != "Returns":
                items.append(f"- `{entry[1]}`: {entry[2]}")
            elif items:
                items[-1] += f" {line.strip()}"
            else:
                items.append(line.strip())
        blocks.append(f"**{heading[1]}**\n\n" + "\n".join(items))
    return "\n\n".join(blocks)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
