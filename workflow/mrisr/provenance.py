"""What made a result: a digest of the code that a stage uses, versions, commit, host."""

import ast
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
LIBRARIES = [
    "torch",
    "torchvision",
    "lpips",
    "numpy",
    "scipy",
    "nibabel",
    "h5py",
    "nilearn",
    "scikit-image",
    "antspyx",
    "pandas",
    "matplotlib",
    "snakemake",
    "pooch",
    "safetensors",
]

# Modules that cannot change a number: messages, paths, threads, transport of what is then checked.
NEUTRAL = {
    PACKAGE / f"{name}.py"
    for name in (
        "__init__",
        "download",
        "environment",
        "errors",
        "layout",
        "progress",
        "provenance",
        "schema",
    )
}


def code_digest(*roots: str | Path) -> str:
    """Return a digest of all code that `roots` use, 16 hexadecimal digits.

    Snakemake does not see imports. A rule that has this digest among its params is run again
    when, and only when, code that it uses has changed: the roots and every module of this
    package that they import, directly or not. Comments, docstrings and layout do not count,
    nor do modules that cannot change a number.

    Args:
        roots: Modules of this package (`mrisr.evaluate`) or paths of Python files.
    """
    seen: dict[Path, str] = {}
    waiting = [_module_file(root) if isinstance(root, str) else root for root in roots]
    while waiting:
        path = waiting.pop()
        if path in seen or path in NEUTRAL:
            continue
        seen[path], imports = _parse(path, path.stat().st_mtime_ns)
        waiting.extend(_module_file(name) for name in imports)
    digests = sorted(seen.values())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@cache
def _parse(path: Path, _mtime: int) -> tuple[str, tuple[str, ...]]:
    """Return the digest of one file's code and the modules of this package it imports."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    imports = tuple(sorted(set(_imports(tree))))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == PACKAGE.name)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module.split(".")[0] != PACKAGE.name:
                continue
            for alias in node.names:
                # `from mrisr import degrade` names a module, `from mrisr.io import load` does not.
                inner = f"{node.module}.{alias.name}"
                yield inner if _exists(inner) else node.module


def _exists(module: str) -> bool:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return base.with_suffix(".py").exists() or (base / "__init__.py").exists()


def _module_file(module: str) -> Path:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found


def commit() -> str:
    """Return the commit of this checkout, with `+changes` if files differ, or `unknown`."""
    git = ["git", "-C", str(PACKAGE)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "unknown"
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")
