"""Metrics are found, not registered: one module each, named as the metric.

A module holds `METADATA` (a `Metadata`) and a function of the module's name; with `reference` in
its metadata that is `f(reference, image, mask=None) -> float`. A module whose regions share work
also holds `by_region(reference, image, mask, regions) -> dict[str, float]`. Modules that begin
with `_` are helpers. Heavy libraries are imported inside functions: the Snakefile imports this.

`from mrisr.metrics import psnr` gives the function.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from mrisr.errors import ConfigError, InputError
from mrisr.metrics._metadata import Metadata

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_modules: dict[str, ModuleType] = {
    info.name: importlib.import_module(f"{__name__}.{info.name}")
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name)
    if not info.name.startswith("_")
}
# Each function takes the name that its module has in this package.
globals().update({name: getattr(module, name) for name, module in _modules.items()})

REGIONS = ("volume", "mask")


def names() -> list[str]:
    """Return the names of all metrics found, sorted."""
    return list(_modules)


def metadata(name: str) -> Metadata:
    """Return a metric's description; ConfigError if there is no such metric."""
    return _module(name).METADATA


def get(name: str) -> Callable[..., float]:
    """Return a metric's function; ConfigError if there is no such metric."""
    return getattr(_module(name), name)


def evaluate(
    reference: "np.ndarray",
    image: "np.ndarray",
    mask: "np.ndarray | None" = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
) -> "pd.DataFrame":
    """Take metrics of a pair of volumes.

    Args:
        reference: Ground truth, shape (X, Y, Z) or (H, W), any intensity unit.
        image: What is compared with it, same shape and unit.
        mask: Nonzero inside, same shape; without it there is no region `mask`.
        metrics: Names, default all.
        regions: `volume`, `mask`; default both, if there is a mask.

    Returns:
        Tidy, a row a metric and region that the metric can be taken in: metric, region, value.

    Raises:
        ConfigError: No such metric or region.
        InputError: A metric has no value for this pair (never a silent NaN).
    """
    import numpy as np
    import pandas as pd

    if regions is None:
        regions = REGIONS if mask is not None else REGIONS[:1]
    for region in regions:
        if region not in REGIONS:
            raise ConfigError(f"regions: no region '{region}'; known: {', '.join(REGIONS)}")
    if "mask" in regions and mask is None:
        raise InputError("mask: none given for the region 'mask'; give one, or leave the region")
    rows = []
    for name in names() if metrics is None else metrics:
        module = _module(name)
        at = [region for region in regions if region in module.METADATA.regions]
        pair = (reference, image) if module.METADATA.reference else (image,)
        if hasattr(module, "by_region"):
            values = module.by_region(*pair, mask, at)
        else:
            values = {
                region: get(name)(*pair, **({"mask": mask} if region == "mask" else {}))
                for region in at
            }
        for region in at:
            if np.isnan(values[region]):
                raise InputError(f"image: {name} in region '{region}' is NaN; look at the volume")
            rows.append((name, region, values[region]))
    return pd.DataFrame(rows, columns=["metric", "region", "value"])


def _module(name: str) -> ModuleType:
    if name not in _modules:
        from mrisr.schema import nearest

        raise ConfigError(f"metrics: no metric '{name}': {nearest(name, _modules)}")
    return _modules[name]
