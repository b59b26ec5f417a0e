"""The method that a user names for a scan or for stacks, outside of a study."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.schema import nearest
from mrisr.methods import method as methods


def named_method(
    name: str, plugins: Sequence[str | Path], usable: Callable[[methods.Method], bool]
) -> methods.Method:
    """Return a method by the name that `--method` gives.

    Args:
        name: Name of the method's folder.
        plugins: Further folders with `methods/<name>/`.
        usable: Says which methods a misspelt name may stand for; the caller refuses all others.

    Raises:
        ConfigError: There is no such method; the message names the nearest usable one.
    """
    known = methods.folders(plugins)
    if name not in known:
        candidates = [other for other in known if usable(methods.get(other, search=plugins))]
        raise ConfigError(f"--method: no method '{name}': {nearest(name, candidates)}")
    return methods.get(name, search=plugins)
