"""What a Python file's own code is, without comments, docstrings and layout, and what it imports.

To parse the package takes a second, and every start of Snakemake needs it. So the result is kept
beside Python's own compiled files.
"""

import ast
import contextlib
import hashlib
import json
import secrets
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: Statements of these fields are left out of the digest where they only import from the package.
BLOCKS = ("body", "orelse", "finalbody")

#: The name that an import gives here, the module, and what is taken out of it; None for all.
Name = tuple[str, str, str | None]


def parsed(path: Path, package: Path) -> tuple[str, list[Name]]:
    """Return the digest of one file's own code, and its imports from a package.

    Args:
        path: A Python file.
        package: Folder of the package. Of a file in it the result is kept on disk.

    Raises:
        SyntaxError: The file is no Python.
    """
    source = path.read_bytes()
    if not path.is_relative_to(package):
        return _read(source, path, package.name)
    kept = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.code.json"
    # Other rules give another digest.
    stands_for = hashlib.sha256(_rules() + source).hexdigest()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["stands_for"] == stands_for:
            return known["code"], [(here, module, part) for here, module, part in known["names"]]
    code, names = _read(source, path, package.name)
    if not sys.dont_write_bytecode:
        _keep(kept, json.dumps({"stands_for": stands_for, "code": code, "names": names}))
    return code, names


@cache
def _rules() -> bytes:
    return hashlib.sha256(Path(__file__).read_bytes()).digest()


def _keep(file: Path, text: str) -> None:
    """Write a file whole, or not at all where that is not allowed; it can be made again."""
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)


def _read(source: bytes, path: Path, package: str) -> tuple[str, list[Name]]:
    tree = ast.parse(source, filename=str(path))
    names: list[Name] = []
    for node in ast.walk(tree):
        names += _imported(node, package)
        for field in BLOCKS:
            lines = getattr(node, field, None)
            if isinstance(lines, list):
                own = [line for line in lines if not any(_imported(line, package))]
                setattr(node, field, own[1:] if own and _is_docstring(own[0]) else own)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), names


def _imported(node: ast.AST, package: str) -> Iterator[Name]:
    """Yield the names that a statement gives to parts of a package."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == package:
                yield alias.asname or alias.name, alias.name, None
    elif (
        isinstance(node, ast.ImportFrom)
        and node.module
        and node.level == 0
        and node.module.split(".")[0] == package
    ):
        for alias in node.names:
            yield alias.asname or alias.name, node.module, alias.name


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
