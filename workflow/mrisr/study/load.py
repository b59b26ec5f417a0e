"""The one way to load a study: read, check against the schema, complete, check as a whole."""

from collections.abc import Sequence
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.paths import is_plugin
from mrisr.common.schema import changes, nearest, refuse_unsafe, validate
from mrisr.metrics import Registry
from mrisr.study import inherit
from mrisr.study.check import check
from mrisr.study.inherit import Written
from mrisr.study.study import Study


def load_study(path: str | Path, pairs: Sequence[str] = ()) -> Study:
    """Read a study from its config file.

    Args:
        path: `config/<study>.yaml`.
        pairs: `key=value`, laid over the config as Snakemake's --config does.

    Raises:
        ConfigError: As `checked`.
    """
    return checked_written(inherit.together([path], changes(pairs)), str(path))


def checked_written(config: Written, where: str) -> Study:
    """Return the study of a config that may be based on others.

    Raises:
        ConfigError: As `checked`, with the file of every key that comes from another file.
    """
    try:
        return checked(config.content, where)
    except ConfigError as error:
        raise ConfigError(config.explained(str(error), where)) from None


def checked(config: dict, where: str = "config") -> Study:
    """Return the study of a config.

    Args:
        config: The content of `config/<study>.yaml`, complete in itself.
        where: The file's name, for messages.

    Raises:
        ConfigError: The message names every problem with the key and the nearest valid one.
    """
    refuse_unsafe(config, where)  # before a message repeats its content
    for folder in _plugins(config):
        if not Path(folder).is_dir():
            others = [place.name for place in Path(folder).parent.glob("*/") if is_plugin(place)]
            hint = nearest(Path(folder).name, others) if others else "write one by `mrisr new`"
            raise ConfigError(f"{where}: plugins: no folder {folder} (from {Path.cwd()}): {hint}")
    found = Registry(_plugins(config))
    # Settings of metrics are keys of the config.
    validate(config, "config", where, found.settings_schema())
    if config["study"] != config["study"].strip():
        raise ConfigError(f"{where}: study: {config['study']!r}: take the line end out")
    study = Study(config, found, where)
    check(study)
    return study


def _plugins(config: dict) -> list[str]:
    """Return the plugin folders of a config that is not checked yet."""
    found = config.get("plugins")
    return (
        [folder for folder in found if isinstance(folder, str)] if isinstance(found, list) else []
    )
