import numpy as np
import pytest

from mrisr.common.errors import ConfigError
from mrisr.degrade.resample import degrade
from mrisr.reconstruct.least_squares import super_resolve
from mrisr.volumes.io import Volume

STACKS = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}


@pytest.fixture(scope="module")
def bright():
    """A volume that is bright to its edge, and its stacks."""
    x, y, z = np.meshgrid(*[np.linspace(-2, 2, 24)] * 3, indexing="ij")
    data = (0.6 + 0.2 * np.sin(2 * x + y) + 0.2 * np.cos(3 * z - y)).astype(np.float32)
    volume = Volume(data, np.diag([0.8, 0.8, 0.8, 1]))
    return volume, degrade(volume, 4, STACKS)


def error(bright, **options):
    volume, stacks = bright
    found = super_resolve(stacks, volume.data.shape, volume.affine, **options)
    return float(((found - volume.data) ** 2).mean())


def test_zeros_beyond_the_volume_cost_what_is_bright_to_the_edge(bright):
    strong = {"alpha": 0.5, "iterations": 30}
    free, zero = error(bright, **strong), error(bright, **strong, border="zero")
    assert zero > 1.2 * free
    # The identity has no border.
    tk0 = {"regularisation": "tk0", "iterations": 3}
    assert error(bright, **tk0) == error(bright, **tk0, border="zero")


def test_both_starts_go_to_the_same_volume(bright):
    few = [error(bright, iterations=1, start=start) for start in ("mean", "zero")]
    assert few[1] > 2 * few[0]  # the mean of the stacks is near already
    volume, stacks = bright
    many = [
        super_resolve(
            stacks, volume.data.shape, volume.affine, alpha=0.1, iterations=400, start=start
        )
        for start in ("mean", "zero")
    ]
    np.testing.assert_allclose(*many, atol=5e-3)


def test_alpha_matters(bright):
    weak, strong = (error(bright, alpha=alpha, iterations=20) for alpha in (0.01, 3))
    assert weak < strong


@pytest.mark.parametrize("key", ["regularisation", "start", "border"])
def test_unknown_choices_are_named(key, bright):
    with pytest.raises(ConfigError, match=rf"srr: model\.{key}: 'x' is unknown; known: "):
        error(bright, **{key: "x"})
