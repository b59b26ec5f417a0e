"""Metrics are found, not registered: one module each, named as the metric.

Those of a user are found likewise, as `<plugin>/metrics/<name>.py`, in the plugin folders that a
`Registry` is made with: a study holds one of its own. The functions here are those of this
process, which `use` tells of plugin folders. Tests of a metric lie beside it as `test_<name>.py`.

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

_built_in: dict[str, ModuleType] = {
    info.name: importlib.import_module(f"{__name__}.{info.name}")
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name)
    if not info.name.startswith("_")
}
# Each function takes the name that its module has in this package.
globals().update({name: getattr(module, name) for name, module in _built_in.items()})

REGIONS = ("volume", "mask", "edges", "through_plane")
#: Regions where nothing else is asked for.
USUAL = REGIONS[:2]
#: Environment variable by which the processes that a study starts find the metrics of its plugins.
PLUGINS = "MRISR_METRICS"


class Registry:
    """The metrics of this package and of plugin folders.

    Attributes:
        plugins: The plugin folders that were named.
    """

    def __init__(self, plugins: Iterable[str | Path] = ()):
        """Find the metrics.

        Args:
            plugins: Folders that may hold `metrics/<name>.py`; modules that begin with `_` are
                helpers and `test_` are tests.

        Raises:
            ConfigError: A name is taken or cannot be used, or a module is not what it must be.
        """
        self.plugins = list(dict.fromkeys(Path(plugin).resolve() for plugin in plugins))
        self._modules = dict(_built_in)
        for plugin in self.plugins:
            for file in sorted((plugin / "metrics").glob("*.py")):
                if not file.name.startswith(("_", "test_")):
                    self._modules[file.stem] = self._load(file)

    def _load(self, file: Path) -> ModuleType:
        """Import a metric of a plugin folder; ConfigError if it is none."""
        name = file.stem
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ConfigError(f"{file}: '{name}' cannot name a metric; rename it to a-z, 0-9 and _")
        if name in self._modules or name in globals():
            where = self._modules[name].__file__ if name in self._modules else __name__
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

    def names(self) -> list[str]:
        """Return the names of all metrics found, sorted."""
        return sorted(self._modules)

    def metadata(self, name: str) -> Metadata:
        """Return a metric's description; ConfigError if there is no such metric."""
        return self.module(name).METADATA

    def get(self, name: str) -> Callable[..., float]:
        """Return a metric's function; ConfigError if there is no such metric."""
        return getattr(self.module(name), name)

    def module(self, name: str) -> ModuleType:
        """Return a metric's module; ConfigError if there is no such metric."""
        if name not in self._modules:
            from mrisr.common.schema import nearest

            raise ConfigError(f"metrics: no metric '{name}': {nearest(name, self._modules)}")
        return self._modules[name]

    def source(self, name: str) -> Path:
        """Return the file of a metric's module; ConfigError if there is no such metric."""
        return Path(inspect.getfile(self.module(name)))

    def settings_schema(self) -> dict[str, dict]:
        """Return the JSON schemas of the settings of all metrics, by metric."""
        return {
            name: {"type": "object", "additionalProperties": False, "properties": found.SETTINGS}
            for name, found in self._modules.items()
            if hasattr(found, "SETTINGS")
        }

    def defaults(self, name: str) -> dict:
        """Return a metric's settings as they are where a config says nothing."""
        schemas = getattr(self.module(name), "SETTINGS", {})
        return {key: about.get("default") for key, about in schemas.items()}

    def parameters(self, name: str, settings: Mapping | None = None) -> dict:
        """Return what of a metric's settings its function takes, completed by the defaults."""
        accepted = inspect.signature(self.get(name)).parameters
        every = {**self.defaults(name), **(settings or {})}
        return {key: value for key, value in every.items() if key in accepted}


_process = Registry()
names, metadata, get, module = _process.names, _process.metadata, _process.get, _process.module
source, settings_schema = _process.source, _process.settings_schema
defaults, parameters = _process.defaults, _process.parameters


def use(plugins: Iterable[str | Path]) -> None:
    """Have this process, and those it starts, find the metrics of these plugin folders.

    Those of folders that an earlier call named, and this one does not, are forgotten. Studies are
    not touched: each has its own `Registry`.

    Args:
        plugins: See `Registry`.

    Raises:
        ConfigError: See `Registry`; what was found before stays.
    """
    found = Registry(plugins)
    vars(_process).update(vars(found))
    folders = [str(plugin) for plugin in found.plugins if (plugin / "metrics").is_dir()]
    os.environ[PLUGINS] = os.pathsep.join(folders)


def add(plugins: Iterable[str | Path]) -> None:
    """Add plugin folders to those in use, for a workflow of several studies.

    Raises:
        ConfigError: See `use`; two folders have metrics of one name.
    """
    use([*_process.plugins, *plugins])


if os.environ.get(PLUGINS):  # told by the process that started this one
    use(os.environ[PLUGINS].split(os.pathsep))
