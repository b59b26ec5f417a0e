"""The AlexNet that LPIPS looks through: which file, where from, and the network made of it.

Light to import: the Snakefile asks for `candidates`.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import sha256 as file_sha256

if TYPE_CHECKING:
    import torch

log = logging.getLogger("mrisr")

FILE = "alexnet-owt-7be5be79.pth"
ALEXNET_URL = f"https://download.pytorch.org/models/{FILE}"
ALEXNET_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
ALEXNET_BYTES = 244_408_911

# JSON schemas of the keys under `lpips` in a study's config.
SETTINGS: dict[str, Any] = {
    "backbone": {
        "type": ["string", "null"],
        "default": None,
        "description": (
            f"path of {FILE}; null looks in torch's hub cache and in the downloads folder,"
            " and downloads it if it is in neither"
        ),
    },
    "required": {
        "type": "boolean",
        "default": False,
        "description": "without a backbone: true stops, false leaves the column empty",
    },
    "url": {
        "type": "string",
        "pattern": "^https?://",
        "default": ALEXNET_URL,
        "description": "where the backbone is downloaded from",
    },
    "sha256": {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "default": ALEXNET_SHA256,
        "description": "checksum of the backbone; no other file is ever used",
    },
    "share_features": {
        "type": "boolean",
        "default": True,
        "description": (
            "compute the ground truth's features once for all methods and scales; while the"
            " workflow runs they take gigabytes where there are many subjects"
        ),
    },
}

# Both ways of naming no weights, which the lpips package uses, are deprecated in torchvision.
_DEPRECATED = (
    "The parameter 'pretrained' is deprecated",
    "Arguments other than a weight enum or `None` for 'weights' are deprecated",
)
_MISSING_OPERATORS = [
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
]
_libraries: list["torch.library.Library"] = []  # What they define goes when they go.


def candidates(settings: dict | None, folder: str | Path) -> list[str]:
    """Return the files that exist where a backbone is looked for, best first, without reading them.

    Args:
        settings: The config's `lpips`, see `SETTINGS`; None for the defaults.
        folder: The downloads folder. What `fetch` downloads to it is among them from then on.
    """
    return [str(path) for path in _places(_complete(settings)["backbone"], folder) if path.exists()]


def fetch(settings: dict | None, folder: str | Path) -> dict:
    """Make sure that there is a backbone, by a download if need be.

    Looked for at `backbone`, if the settings have it; else in torch's hub cache and in
    `<folder>/lpips/`, to which it is downloaded if neither has it. Torch is not imported.

    Args:
        settings: The config's `lpips`, see `SETTINGS`; None for the defaults.
        folder: The downloads folder.

    Returns:
        `{"available": True, "sha256": ...}`, or, if it cannot be had and is not required,
        `{"available": False, "reason": ...}` with a sentence for a footnote.

    Raises:
        ConfigError: `backbone` names a file that does not exist or has another checksum; or there
            is no backbone and it is required. The message says what to put where.
    """
    from mrisr.common.http import DownloadError, retrieve

    settings = _complete(settings)
    sha256, url = settings["sha256"], settings["url"]
    found, problems = _find(settings["backbone"], sha256, folder)
    for problem in problems:
        log.warning("LPIPS: %s; not used", problem)
    if found is None:
        target = _downloaded(folder)
        try:
            retrieve(url, target, sha256)
        except (DownloadError, OSError) as error:
            log.warning("LPIPS: %s", error)
            why = error.reason if isinstance(error, DownloadError) else str(error)
            reason = (
                "no AlexNet backbone for LPIPS: "
                + "; ".join([*problems, f"download of {url}: {why}"])
                + f"; put {_described(sha256)} at {target}"
            )
            if settings["required"]:
                raise ConfigError(
                    f"{reason}, or name a copy in lpips.backbone; with lpips.required: false the"
                    " column stays empty"
                ) from None
            return {"available": False, "reason": reason}
    return {"available": True, "sha256": sha256}


def resolve(backbone: str | Path | None, sha256: str, folder: str | Path) -> Path:
    """Return the file of the backbone; nothing is downloaded.

    Raises:
        ConfigError: `backbone` does not exist or has another checksum.
        InputError: No file with this checksum in any of the places.
    """
    found, problems = _find(backbone, sha256, folder)
    if found is None:
        looked = ", ".join(str(path) for path in _places(None, folder))
        raise InputError(
            "no AlexNet backbone for LPIPS: "
            + "; ".join([*problems, f"looked for {looked}"])
            + f"; put {_described(sha256)} at one of them, let the workflow download it where"
            " there is a network, or name a copy in lpips.backbone"
        )
    return found


def network(file: Path, sha256: str, device: "torch.device") -> "torch.nn.Module":
    """Return `lpips.LPIPS` with the backbone of a file, in evaluation mode, without gradients.

    The state of torch's random numbers stays as it is.

    Args:
        file: From `resolve`.
        sha256: Its checksum, for messages.
        device: Where it computes.

    Raises:
        InputError: The file does not hold the weights of AlexNet's features.
    """
    import pickle

    import torch

    import_torchvision()
    import lpips as package

    # It draws an AlexNet only to be overwritten below.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        for message in _DEPRECATED:
            warnings.filterwarnings("ignore", message, UserWarning, r"torchvision\.models\._utils")
        model = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        # The package keeps the indices of torchvision's `features`, in groups of its own.
        names = {f"features.{name.split('.', 1)[1]}": name for name in model.net.state_dict()}
        held = {name: value for name, value in content.items() if name.startswith("features.")}
        model.net.load_state_dict({names.get(name, name): value for name, value in held.items()})
    except (RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, OSError) as error:
        why = " ".join(str(error).split())[:300]
        raise InputError(
            f"{file}: not the weights of torchvision's AlexNet, though its sha256 is {sha256}"
            f" ({why}); correct lpips.sha256 and the file"
        ) from None
    return model.eval().requires_grad_(False).to(device)


@contextmanager
def full_precision(device: "torch.device") -> Iterator[None]:
    """Let convolutions on a GPU compute in float32, not TF32, and the same way every time."""
    import torch

    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False, fp32_precision="ieee"
    ):
        yield


def _complete(settings: dict | None) -> dict:
    defaults = {name: about["default"] for name, about in SETTINGS.items()}
    return defaults | {name: value for name, value in (settings or {}).items() if name in defaults}


def _described(sha256: str) -> str:
    size = f"{ALEXNET_BYTES:,} bytes, " if sha256 == ALEXNET_SHA256 else ""
    return f"{FILE} ({size}sha256 {sha256})"


def _places(backbone: str | Path | None, folder: str | Path) -> list[Path]:
    if backbone is not None:
        return [Path(backbone).expanduser()]
    return [_hub() / "checkpoints" / FILE, _downloaded(folder)]


def _downloaded(folder: str | Path) -> Path:
    return Path(folder) / "lpips" / FILE


def _hub() -> Path:
    """Return `torch.hub.get_dir()` by its rule, without the seconds that torch takes to import."""
    cache_folder = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache_folder, "torch"))  # noqa: PTH118
    return Path(os.path.expanduser(home)) / "hub"  # noqa: PTH111


def _find(
    backbone: str | Path | None, sha256: str, folder: str | Path
) -> tuple[Path | None, list[str]]:
    """Return the first file with the checksum, or None, and what is wrong with those before."""
    problems = []
    for path in _places(backbone, folder):
        if path.is_file():
            try:
                stat = path.stat()
                digest = _sha256(path.absolute(), stat.st_mtime_ns, stat.st_size)
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror})")
                continue
            if digest == sha256:
                return path.absolute(), problems
            problems.append(f"{path} is damaged or another file (sha256 {digest[:12]}...)")
        elif backbone is not None:
            problems.append(f"{path}: no such file")
    if backbone is not None:
        raise ConfigError(
            f"lpips.backbone: {problems[0]}; put {_described(sha256)} there, or leave the key out"
        )
    return None, problems


@cache
def _sha256(path: Path, _mtime: int, _size: int) -> str:
    return file_sha256(path)


def import_torchvision() -> None:
    """Import torchvision, also where its compiled part does not fit torch.

    The registry's torchvision is built for CUDA; beside a CPU build of torch its operators do not
    load, and its import fails as it describes them. AlexNet needs none of them: their schemas do.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if _libraries or "operator torchvision::nms does not exist" not in str(error):
            raise
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _MISSING_OPERATORS:
            library.define(schema)
        _libraries.append(library)
        import torchvision  # noqa: F401
