"""Checksums of results with numbers: the writer records them, the reader compares them.

`.x2.csv.sha256`, in the form of `sha256sum`, lies beside `x2.csv`. A file without a checksum is
accepted: it was made by an older version, or elsewhere.
"""

from functools import lru_cache
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.files import sha256, write_text


def path_of(path: str | Path) -> Path:
    """Return the path of a file's checksum."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def write(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, and its checksum beside it."""
    unseal(path)
    write_text(path, text)
    seal(path)


def seal(path: str | Path) -> None:
    """Record the size and the checksum of a complete file."""
    path = Path(path)
    write_text(path_of(path), f"{sha256(path)}  {path.name}\n# {path.stat().st_size} bytes\n")


def unseal(path: str | Path) -> None:
    """Delete a file's checksum before the file is replaced, so that it never fits another file."""
    path_of(path).unlink(missing_ok=True)


def check(path: str | Path) -> None:
    """Refuse a file that changed since it was sealed.

    The size is compared first. A process reads the bytes once, as long as size and time stay.

    Raises:
        InputError: The file changed.
    """
    path = Path(path)
    try:
        lines = path_of(path).read_text(encoding="utf-8").splitlines()
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    recorded = lines[0].split(" ")[0] if lines else ""
    size = lines[1].split(" ")[1] if len(lines) > 1 else ""
    if size != str(about.st_size) or recorded != _digest(
        path.absolute(), about.st_size, about.st_mtime_ns, about.st_ctime_ns
    ):
        raise InputError(
            f"{path}: changed since it was made: its checksum is not that in {path_of(path)};"
            f" delete it, then run snakemake as before with {path} as its target, which makes it"
            " again"
        )


@lru_cache(4096)
def _digest(path: Path, _size: int, _modified: int, _changed: int) -> str:
    return sha256(path)
