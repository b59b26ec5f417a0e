"""Where the package and the folders beside it lie; no other module works this out."""

from pathlib import Path

#: The package itself.
PACKAGE = Path(__file__).parents[1]
#: The files of the checkout that a wheel brings inside the package, see setup.py.
WHEEL_FILES = PACKAGE / "_files"
IS_WHEEL = WHEEL_FILES.is_dir()
#: The checkout, or what a wheel has of it: Snakefile, config, profiles, docs.
ROOT = WHEEL_FILES if IS_WHEEL else PACKAGE.parents[1]
#: Methods, datasets, rules, scripts, schemas, templates.
WORKFLOW = ROOT / "workflow"
#: The workflow itself.
SNAKEFILE = ROOT / "Snakefile"
#: Folders in a plugin folder, as in `WORKFLOW`.
PLUGIN_PARTS = ("methods", "datasets", "metrics")


def is_plugin(folder: Path) -> bool:
    """Say whether a folder holds methods, datasets or metrics."""
    return any((folder / part).is_dir() for part in PLUGIN_PARTS)
