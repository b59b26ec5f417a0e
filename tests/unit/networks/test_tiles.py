import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mrisr.networks.tiles import apply_tiled, largest, plan


def network():
    # Receptive field reaches exactly 3 voxels; positive weights, so that nothing cancels.
    layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.Conv3d(4, 2, 5, padding=2)).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.abs_()
    return layers


@pytest.mark.parametrize("voxels", [1, 1500, 4000, 100_000])
@torch.no_grad()
def test_tiles_equal_the_whole(voxels):
    torch.manual_seed(0)
    net, volume = network(), torch.rand(1, 1, 31, 18, 25, dtype=torch.float64)
    tiled = apply_tiled(net, volume, plan((31, 18, 25), 3, voxels))
    torch.testing.assert_close(tiled, net(volume), rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_layers_of_a_large_tile_are_shown_as_they_are_done(monkeypatch, caplog):
    """A whole head is one tile, whose layers take a minute; nothing else changes."""
    caplog.set_level("INFO")
    net, volume = network(), torch.rand(1, 1, 9, 8, 7, dtype=torch.float64)
    tiles = plan(volume.shape[2:], 3, 1e6)
    small = apply_tiled(net, volume, tiles)
    assert not caplog.messages
    monkeypatch.setattr("mrisr.networks.tiles.LARGE", volume.numel())
    assert torch.equal(apply_tiled(net.forward, volume, tiles, "encode"), small)
    assert [line.split(",")[0] for line in caplog.messages] == ["encode: 2 of 2"]
    assert not any(layer._forward_hooks for layer in net)


@torch.no_grad()
def test_a_halo_one_too_small_shows_seams():
    torch.manual_seed(0)
    net, volume = network(), torch.rand(1, 1, 31, 18, 25, dtype=torch.float64)
    assert (apply_tiled(net, volume, plan((31, 18, 25), 2, 1)) - net(volume)).abs().max() > 1e-3


@given(
    st.tuples(*[st.integers(1, 300)] * 3),
    st.integers(0, 40),
    st.integers(1, 10**7),
)
def test_tiles_cover_the_volume_once_and_fit_if_any_do(shape, halo, voxels):
    tiles = plan(shape, halo, voxels)
    for n, axis in zip(shape, tiles, strict=True):
        ends = [0, *(end for (_, end), _ in axis)]
        assert ends[-1] == n
        for (core, reach), start in zip(axis, ends, strict=False):
            assert core[0] == start < core[1]
            assert reach == (max(0, core[0] - halo), min(n, core[1] + halo))
    if largest(tiles) > voxels:  # then nothing smaller can be had
        assert largest(tiles) == largest(plan(shape, halo, 1))
    if math.prod(shape) <= voxels:
        assert largest(tiles) == math.prod(shape)


def test_few_cuts_are_preferred_to_cubes():
    # 132^3 features of the published encoder: one cut along one axis, 1.4 times the work.
    assert sorted(map(len, plan((132,) * 3, 28, 120**3))) == [1, 1, 2]
