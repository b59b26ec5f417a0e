"""Sampling and decoding of a grid are those of the network called on all coordinates."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import plain_reconstruction
from mrisr.networks.arssr import ArSSR, Decoder, ResCNN
from mrisr.networks.grid_decoder import PlainDecoder, SkipDecoder, arrange
from mrisr.networks.trilinear import sample_rows
from mrisr.reconstruct.apply import decode

SIZES = st.tuples(*[st.integers(1, 5)] * 3)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.tuples(*[st.integers(1, 9)] * 3), st.integers(1, 30), st.integers(0, 2**31))
@torch.inference_mode()
def test_sampling_equals_grid_sample_everywhere_between_the_edges(lr, hr, chunk, seed):
    random = torch.Generator().manual_seed(seed)
    features = torch.rand(*lr, 3, generator=random)
    axes = [(2 * torch.rand(n, generator=random) - 1).sort().values for n in hr]
    if hr[0] > 1:
        axes[0][0], axes[0][-1] = -1, 1
    found = torch.full((*hr, 3), torch.nan)
    for i, rows, sampled, where in sample_rows(features, axes, chunk, range(hr[0])):
        found[i, rows] = sampled.view(-1, hr[2], 3)
        torch.testing.assert_close(where[0, 0], axes[0][i])
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1)[None]
    volume = features.permute(3, 0, 1, 2)[None]
    expected = F.grid_sample(volume, grid, align_corners=False)[0].permute(1, 2, 3, 0)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("head", ["relu", "linear"])
@pytest.mark.parametrize(("channels", "width"), [(128, 256), (8, 16), (5, 7), (32, 40)])
@torch.inference_mode()
def test_rearranged_decoder_equals_the_decoder_of_any_width_and_head(head, channels, width):
    torch.manual_seed(0)
    plain = Decoder(channels + 3, width, head)
    plain.stage_two[-1 if head == "linear" else -2].bias.fill_(0.3)
    fast = SkipDecoder(plain)
    for count in (33, 50, 7):  # buffers grow and are used again
        features, where = torch.randn(count, channels), 2 * torch.rand(count, 3) - 1
        table = torch.full((count, channels + fast.extra), torch.nan)
        table[:, :channels] = features
        fast.project(table)
        expected = plain(torch.cat([features, where], dim=1))[:, 0]
        torch.testing.assert_close(fast(table, where), expected, rtol=0, atol=1e-5)


class Own(ArSSR):
    """A network that changes how ArSSR decodes."""

    def decode(self, features, coordinates):
        return super().decode(features, coordinates) + 1


@torch.inference_mode()
def test_a_network_that_decodes_otherwise_keeps_its_own_decoder():
    torch.manual_seed(0)
    settings = (ResCNN(4, 1, 1, 8), 8, 16, "linear")
    own, published = Own(*settings), ArSSR(*settings)
    own.load_state_dict(published.state_dict())
    assert isinstance(arrange(own), PlainDecoder) and isinstance(arrange(published), SkipDecoder)
    features, axes = torch.rand(3, 4, 5, 8), [torch.linspace(-1, 1, n) for n in (6, 7, 8)]
    torch.testing.assert_close(decode(own, features, axes), decode(published, features, axes) + 1)


@torch.inference_mode()
def test_some_planes_are_those_of_the_whole():
    torch.manual_seed(0)
    network = ArSSR(ResCNN(4, 1, 1, 8), 8, 16, "linear")
    features, axes = torch.rand(3, 4, 5, 8), [torch.linspace(-1, 1, n) for n in (6, 7, 8)]
    whole = decode(network, features, axes)
    torch.testing.assert_close(decode(network, features, axes, range(2, 5)), whole[2:5])


@torch.inference_mode()
def test_the_plain_versions_of_the_benchmark_give_the_same():
    torch.manual_seed(0)
    network = ArSSR(ResCNN(4, 1, 2, 8), 8, 16, "linear")
    lr, axes = torch.rand(5, 6, 7), [torch.linspace(-1, 1, n) for n in (6, 7, 8)]
    features, planes = network.encode(lr[None, None]), range(1, 4)
    fast = decode(network, features[0].permute(1, 2, 3, 0), axes, planes)
    for slow in (
        plain_reconstruction.published(network, lr, axes, planes),
        plain_reconstruction.decode(network, features, axes, planes),
    ):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)
