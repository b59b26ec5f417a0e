"""Weights that come with this package: `workflow/weights/<method>/`, a model and its card."""

from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.paths import WORKFLOW

FOLDER = WORKFLOW / "weights"
#: Word in a config in place of a file.
SHIPPED = "shipped"
#: The method whose weights are applied if none is named.
DEFAULT = "cubic_residual"
FILE = "model.safetensors"


def names() -> list[str]:
    """Return the methods whose weights come with this package, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob(f"*/{FILE}"))


def weights_file(method: str, where: str) -> Path:
    """Return the file of a method's shipped weights.

    Args:
        method: Name of the method's folder.
        where: Start of the message, with the config key.

    Raises:
        ConfigError: The method has no shipped weights; the message names the methods that have.
    """
    file = FOLDER / method / FILE
    if not file.is_file():
        raise ConfigError(
            f"{where}: shipped: no weights of '{method}' come with mrisr, only of"
            f" {', '.join(names()) or 'no method'}; train it, or name a file"
        )
    return file


def is_shipped(file: str | Path) -> bool:
    """Say whether weights are those that come with this package."""
    return Path(file).resolve().is_relative_to(FOLDER.resolve())
