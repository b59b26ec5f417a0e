"""Optional packages, and the message where one is missing."""

from importlib.util import find_spec

#: The package of BM3D, and the package that does its work.
BM3D = ("bm3d", "bm4d")
BM3D_LACKING = (
    "training.denoise: the package bm3d is not installed; install it (pip install -r"
    " requirements-bm3d.txt; free for non-commercial use only), or set training.denoise.weight: 0"
)
ANTSPYNET = "antspynet"
ANTSPYNET_LACKING = (
    "segmentation.engine: the package antspynet is not installed; install it (pip install"
    " antspynet; it brings TensorFlow), or leave the key out"
)
ANTS = "ants"
ANTS_LACKING = (
    "the package antspyx is not installed, which registers and segments volumes; install it (pip"
    " install antspyx, on Python 3.11 to 3.13)"
)


def has_ants() -> bool:
    """Return whether ANTs (antspyx) is installed, without importing it."""
    return find_spec(ANTS) is not None


def has_antspynet() -> bool:
    """Return whether ANTsPyNet is installed, without importing it."""
    return find_spec(ANTSPYNET) is not None


def has_bm3d() -> bool:
    """Return whether BM3D is installed, without importing it."""
    return all(find_spec(name) for name in BM3D)
