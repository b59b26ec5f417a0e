import pytest
import torch
from torch import nn

from mrisr.tiles import apply_tiled, tile_edge


def network():
    # Receptive field reaches exactly 3 voxels; positive weights, so that nothing cancels.
    layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.Conv3d(4, 2, 5, padding=2)).double()
    with torch.no_grad():
        for p in layers.parameters():
            p.abs_()
    return layers


@pytest.mark.parametrize("edge", [4, 7, 100])
@torch.no_grad()
def test_tiles_equal_the_whole(edge):
    torch.manual_seed(0)
    net, volume = network(), torch.rand(1, 1, 31, 18, 25, dtype=torch.float64)
    torch.testing.assert_close(apply_tiled(net, volume, 3, edge), net(volume), rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_halo_one_too_small_shows_seams():
    torch.manual_seed(0)
    net, volume = network(), torch.rand(1, 1, 31, 18, 25, dtype=torch.float64)
    assert (apply_tiled(net, volume, 2, 4) - net(volume)).abs().max() > 1e-3


def test_tile_edge_follows_memory():
    assert tile_edge(2, 1000, 4000) > tile_edge(2, 100, 4000)
    edge = tile_edge(4, 500, 1000)
    assert (edge + 8) ** 3 * 1000 <= 500 * 2**20
    assert tile_edge(28, 1, 4000) == 28
