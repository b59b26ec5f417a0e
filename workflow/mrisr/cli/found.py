"""The option `--plugins`, and the folder of `mrisr new`, which counts without the option."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mrisr.common.paths import is_plugin

#: Folder that `mrisr new` writes to.
MINE = Path("mine")

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of yours with methods/, datasets/ or metrics/; may be repeated. Default mine,"
        " if it is there.",
        exists=True,
        file_okay=False,
    ),
]


def plugin_folders(given: Sequence[Path] | None) -> list[Path]:
    """Return the given folders, else the folder that `mrisr new` wrote to, if any."""
    if given:
        return list(given)
    return [MINE] if is_plugin(MINE) else []


def each_once(folders: Iterable[str | Path]) -> list[Path]:
    """Return plugin folders without those that an earlier path leads to."""
    found: dict[Path, Path] = {}
    for folder in map(Path, folders):
        found.setdefault(folder.resolve(), folder)
    return list(found.values())
