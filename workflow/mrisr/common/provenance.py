"""Origin of a result: a digest of the code of a stage, versions, commit, host."""

import hashlib
import importlib.metadata
import platform
import subprocess
import tomllib
from functools import cache
from pathlib import Path

from mrisr.common.parsed_code import parsed
from mrisr.common.paths import IS_WHEEL, PACKAGE, ROOT

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
NEUTRAL = (
    "__init__",
    "common/environment",
    "common/errors",
    "common/http",
    "common/layout",
    "common/parsed_code",
    "common/paths",
    "common/progress",
    "common/provenance",
    "common/redact",
    "common/schema",
    "common/seals",
)


def version() -> str:
    """Return the version of this package: the installed one, else that of the checkout."""
    try:
        return importlib.metadata.version("mrisr")
    except importlib.metadata.PackageNotFoundError:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])


def code_digest(*roots: str | Path) -> str:
    """Return a digest of all code that `roots` use, 16 hexadecimal digits.

    Snakemake does not see imports. A rule with this digest among its params runs again if, and only
    if, code that it uses has changed: the roots and every module of this package that they import,
    directly or not. Comments, docstrings and layout do not count, nor do modules that cannot change
    a number. The place of a module does not count either: an import stands for the code that it
    brings, so that a move runs nothing again.

    Args:
        roots: Modules of this package (`mrisr.evaluate.subjects`) or paths of Python files.
    """
    known: dict[Path, str] = {path: "neutral" for path in neutral()}
    paths = {_module_file(root) if isinstance(root, str) else root for root in roots}
    digests = sorted(_digest(path, known) for path in paths)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def neutral() -> list[Path]:
    """Return the files of the modules that cannot change a number."""
    return [PACKAGE / f"{name}.py" for name in NEUTRAL]


def _digest(path: Path, known: dict[Path, str]) -> str:
    """Return the digest of a file's code and of all code that it imports."""
    if path not in known:
        known[path] = "circle"  # this package has no circle; plugins may have one
        code, imports = _parse(path, path.stat().st_mtime_ns)
        used = [(name, _digest(_module_file(module), known)) for name, module in imports]
        known[path] = hashlib.sha256(f"{code}{sorted(used)}".encode()).hexdigest()
    return known[path]


@cache
def _parse(path: Path, _mtime: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the digest of one file's own code, and its imports from this package.

    Returns:
        The digest; and for each import, its name here and the module it comes from.
    """
    code, names = parsed(path, PACKAGE)
    return code, tuple(sorted({_resolved(*name) for name in names}))


def _resolved(here: str, module: str, part: str | None) -> tuple[str, str]:
    """Return the name of an import, and the module that it comes from."""
    if part is None:
        return here, module
    # `from mrisr.volumes import io` names a module, `... import Volume` does not.
    inner = f"{module}.{part}"
    return (here, inner) if _exists(inner) else (f"{here}={part}", module)


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
    """Return the commit of this checkout, with `+changes` if files differ, or `unknown`.

    Of an installed wheel it is the commit that the wheel was built from.
    """
    if IS_WHEEL:
        return (ROOT / "COMMIT").read_text(encoding="utf-8").strip()
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
