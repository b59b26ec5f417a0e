"""Where the package and the folders beside it lie; no other module works this out."""

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).parents[1]
#: Methods, datasets, rules, scripts, schemas, templates.
WORKFLOW = PACKAGE.parent
#: The checkout.
ROOT = WORKFLOW.parent
#: Folders in a plugin folder, as in `WORKFLOW`.
PLUGIN_PARTS = ("methods", "datasets", "metrics")


def is_plugin(folder: Path) -> bool:
    """Say whether a folder holds methods, datasets or metrics."""
    return any((folder / part).is_dir() for part in PLUGIN_PARTS)
