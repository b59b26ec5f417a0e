"""The one door to a study: read, checked against the schema, completed, checked as a whole."""

from collections.abc import Sequence
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.schema import changes, read_yaml, validate
from mrisr.methods.method import merge
from mrisr.metrics import Registry
from mrisr.study.check import check
from mrisr.study.study import Study


def load_study(path: str | Path, pairs: Sequence[str] = ()) -> Study:
    """Read a study from its config file.

    Args:
        path: `config/<study>.yaml`.
        pairs: `key=value`, laid over it as Snakemake's --config does.

    Raises:
        ConfigError: As `checked`.
    """
    return checked(merge(read_yaml(path), changes(pairs)), str(path))


def checked(config: dict, where: str = "config") -> Study:
    """Return the study that a config describes.

    Args:
        config: The content of `config/<study>.yaml`.
        where: The file's name, for messages.

    Raises:
        ConfigError: Every problem is named with the key and the nearest valid one.
    """
    found = Registry(_plugins(config))
    # Settings of metrics are keys of the config.
    validate(config, "config", where, found.settings_schema())
    if config["study"] != config["study"].strip():
        raise ConfigError(f"{where}: study: {config['study']!r}: take the line end out")
    study = Study(config, found, where)
    check(study)
    return study


def _plugins(config: dict) -> list[str]:
    """Return the plugin folders of a config that has not been checked yet."""
    found = config.get("plugins")
    return (
        [folder for folder in found if isinstance(folder, str)] if isinstance(found, list) else []
    )
