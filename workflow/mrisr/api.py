"""The public face of mrisr: the names that a notebook or another project imports.

These names are stable: their modules may move, but `from mrisr.api import psnr` stays. Nothing
inside the package imports this module. Each name is imported when it is first used. So importing
`mrisr.api` costs nothing, and only names that need torch load it. docs/api.md has an example of
each group.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrisr.common.errors import MrisrError
    from mrisr.degrade.resample import downsample, lr_affine, upsample
    from mrisr.evaluate.pieces import evaluate
    from mrisr.methods.method import get as get_method
    from mrisr.methods.method import names as method_names
    from mrisr.methods.model_files import load_model
    from mrisr.metrics import fourier, gain, lpc_si, lpips, offset, psi, psnr, ssim, vif
    from mrisr.reconstruct.apply import reconstruct
    from mrisr.segment.overlap import dice, iou
    from mrisr.volumes.io import Volume, load, save

__all__ = [
    "MrisrError",
    "Volume",
    "dice",
    "downsample",
    "evaluate",
    "fourier",
    "gain",
    "get_method",
    "iou",
    "load",
    "load_model",
    "lpc_si",
    "lpips",
    "lr_affine",
    "method_names",
    "offset",
    "psi",
    "psnr",
    "reconstruct",
    "save",
    "ssim",
    "upsample",
    "vif",
]

# Module of each name, and its name there.
_PLACES = {
    "MrisrError": ("mrisr.common.errors", "MrisrError"),
    "Volume": ("mrisr.volumes.io", "Volume"),
    "dice": ("mrisr.segment.overlap", "dice"),
    "downsample": ("mrisr.degrade.resample", "downsample"),
    "evaluate": ("mrisr.evaluate.pieces", "evaluate"),
    "fourier": ("mrisr.metrics", "fourier"),
    "gain": ("mrisr.metrics", "gain"),
    "get_method": ("mrisr.methods.method", "get"),
    "iou": ("mrisr.segment.overlap", "iou"),
    "load": ("mrisr.volumes.io", "load"),
    "load_model": ("mrisr.methods.model_files", "load_model"),
    "lpc_si": ("mrisr.metrics", "lpc_si"),
    "lpips": ("mrisr.metrics", "lpips"),
    "lr_affine": ("mrisr.degrade.resample", "lr_affine"),
    "method_names": ("mrisr.methods.method", "names"),
    "offset": ("mrisr.metrics", "offset"),
    "psi": ("mrisr.metrics", "psi"),
    "psnr": ("mrisr.metrics", "psnr"),
    "reconstruct": ("mrisr.reconstruct.apply", "reconstruct"),
    "save": ("mrisr.volumes.io", "save"),
    "ssim": ("mrisr.metrics", "ssim"),
    "upsample": ("mrisr.degrade.resample", "upsample"),
    "vif": ("mrisr.metrics", "vif"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no name '{name}': see `{__name__}.__all__`")
    module, original = _PLACES[name]
    found = globals()[name] = getattr(importlib.import_module(module), original)
    return found


def __dir__() -> list[str]:
    """Return the public names, for completion in a notebook."""
    return __all__
