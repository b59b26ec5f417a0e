"""Metrics are found, not registered: one module each, named as the metric.

Those of a user are found likewise, as `<plugin>/metrics/<name>.py`, once `use` was told of the
plugin folder. Its tests lie beside it as `test_<name>.py`.

A module holds `METADATA` (a `Metadata`) and a function of the module's name:

- on volumes, `f(reference, image, mask=None) -> float`; where regions share work also
  `by_region(reference, image, mask, regions) -> dict[str, float]`;
- on 2-D slices (`METADATA.slices`), `f([reference,] image, data_range=255.0, *, device="cpu")` on
  (H, W) or (N, H, W), which gives a float or an array of N.

Optional: `SETTINGS`, the JSON schemas of the keys that it takes under its own name in a study's
config, each with a `default` (those that are parameters of the function are passed to it);
`fetch`, `candidates`, `lacking` of a metric that needs a file, and `features` of one that
computes something of the ground truth alone, see `mrisr.metrics.lpips`. Modules that begin with
`_` are helpers. Heavy libraries are imported inside functions: the Snakefile imports this.

`from mrisr.metrics import psnr` gives the function.
"""

import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from mrisr.common.errors import ConfigError
from mrisr.metrics._metadata import Metadata

_modules: dict[str, ModuleType] = {
    info.name: importlib.import_module(f"{__name__}.{info.name}")
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name)
    if not info.name.startswith("_")
}
# Each function takes the name that its module has in this package.
globals().update({name: getattr(module, name) for name, module in _modules.items()})

REGIONS = ("volume", "mask")
#: Environment variable by which the processes that a study starts find the metrics of its plugins.
PLUGINS = "MRISR_METRICS"

_added: dict[str, ModuleType] = {}


def use(plugins: Iterable[str | Path]) -> None:
    """Add the metrics of plugin folders to those found, in this process and those it starts.

    Metrics of folders that an earlier call named, and this one does not, are forgotten.

    Args:
        plugins: Folders that may hold `metrics/<name>.py`; modules that begin with `_` are helpers
            and `test_` are tests.

    Raises:
        ConfigError: A name is taken or cannot be used, or a module is not what it must be.
    """
    folders = [Path(plugin).resolve() / "metrics" for plugin in plugins]
    for name in _added:
        _modules.pop(name)
    _added.clear()
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith(("_", "test_")):
                _added[file.stem] = _modules[file.stem] = _load(file)
    os.environ[PLUGINS] = os.pathsep.join(str(f.parent) for f in folders if f.is_dir())


def _load(file: Path) -> ModuleType:
    """Import a metric of a plugin folder; ConfigError if it is none."""
    name = file.stem
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(f"{file}: '{name}' cannot name a metric; rename it to a-z, 0-9 and _")
    if name in _modules or name in globals():
        where = _modules[name].__file__ if name in _modules else __name__
        raise ConfigError(f"metric '{name}' is in {file}, but {where} has that name; rename it")
    spec = importlib.util.spec_from_file_location(f"mrisr_metrics_{name}", file)
    assert spec is not None and spec.loader is not None  # for it ends in .py
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(found)
    except Exception as error:
        raise ConfigError(f"{file}: cannot be imported: {error!r}; mend it") from error
    if not isinstance(getattr(found, "METADATA", None), Metadata):
        raise ConfigError(f"{file}: holds no METADATA = Metadata(...), see {__file__}")
    if not callable(getattr(found, name, None)):
        raise ConfigError(f"{file}: holds no function {name}(), see {__file__}")
    return found


def names() -> list[str]:
    """Return the names of all metrics found, sorted."""
    return sorted(_modules)


def metadata(name: str) -> Metadata:
    """Return a metric's description; ConfigError if there is no such metric."""
    return module(name).METADATA


def get(name: str) -> Callable[..., float]:
    """Return a metric's function; ConfigError if there is no such metric."""
    return getattr(module(name), name)


def module(name: str) -> ModuleType:
    """Return a metric's module; ConfigError if there is no such metric."""
    if name not in _modules:
        from mrisr.common.schema import nearest

        raise ConfigError(f"metrics: no metric '{name}': {nearest(name, _modules)}")
    return _modules[name]


def source(name: str) -> Path:
    """Return the file of a metric's module; ConfigError if there is no such metric."""
    return Path(inspect.getfile(module(name)))


def settings_schema() -> dict[str, dict]:
    """Return the JSON schemas of the settings of all metrics, by metric."""
    return {
        name: {"type": "object", "additionalProperties": False, "properties": found.SETTINGS}
        for name, found in _modules.items()
        if hasattr(found, "SETTINGS")
    }


def defaults(name: str) -> dict:
    """Return a metric's settings as they are where a config says nothing."""
    schemas = getattr(module(name), "SETTINGS", {})
    return {key: about.get("default") for key, about in schemas.items()}


def parameters(name: str, settings: Mapping | None = None) -> dict:
    """Return what of a metric's settings its function takes, completed by the defaults."""
    accepted = inspect.signature(get(name)).parameters
    every = {**defaults(name), **(settings or {})}
    return {key: value for key, value in every.items() if key in accepted}


if os.environ.get(PLUGINS):  # told by the process that started this one
    use(os.environ[PLUGINS].split(os.pathsep))
