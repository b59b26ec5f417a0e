"""The coordinate decoder: equal to its definition, in training and on grids."""

import pytest
import torch

import plain_coordinates
from mrisr.methods import method
from mrisr.networks.coordinates import taps

VARIANTS = [
    {"relative": True, "cell": True},
    {"relative": True, "cell": False},
    {"relative": False, "cell": True},
    {"relative": False, "cell": False},
    {"relative": True, "cell": True, "unfold": False},
    {"relative": False, "cell": False, "unfold": False},
]


def network(**variant):
    torch.manual_seed(0)
    sizes = {"features": 6, "blocks": 1, "width": 12, "layers": 4}
    return method.get("coord").build(**sizes, **variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_decoding_and_its_gradients_equal_the_definition(variant):
    net = network(**variant).double()
    lr = torch.rand(3, 1, 7, 5, dtype=torch.float64)
    coordinates = 2 * torch.rand(3, 40, 2, dtype=torch.float64) - 1
    coordinates[:, 0] = -1  # an outer edge
    coordinates[:, 1] = (2 * 2 + 1) / 7 - 1  # on the centre of a pixel
    cell = torch.rand(3, 2, dtype=torch.float64)
    results = []
    for decode in (net.decoder, lambda *given: plain_coordinates.decode(net.decoder, *given)):
        net.zero_grad()
        made = decode(net.encode(lr), coordinates, cell)
        made.square().sum().backward()
        results.append([made, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(14, 10), (15, 11), (5, 9)])
@torch.inference_mode()
def test_a_grid_is_decoded_as_the_network_is_called(variant, shape):
    net = network(**variant)
    lr = torch.rand(1, 1, 7, 5)
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 2)
    cell = torch.tensor([[2 * 7 / shape[0], 2 * 5 / shape[1]]])
    expected = net(lr, points, cell).view(shape)
    torch.testing.assert_close(net.on_grid(net.encode(lr)[0], axes), expected, rtol=0, atol=1e-5)


def test_weights_add_up_to_one_and_are_linear_interpolation_inside():
    coordinates = torch.linspace(-1, 1, 41, dtype=torch.float64)
    index, relative, weights = taps(coordinates, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(41, dtype=torch.float64))
    assert index.min() == 0 and index.max() == 3
    place = ((coordinates + 1) * 4 - 1) / 2
    inside = (place >= 0) & (place <= 3)
    torch.testing.assert_close((weights * index).sum(-1)[inside], place[inside], rtol=0, atol=1e-6)
    torch.testing.assert_close(relative, 2 * (place[:, None] - index))


def test_the_paper_s_formula_predicts_at_the_features_and_interpolates():
    net = network(relative=False, cell=False, unfold=False)
    features = net.encode(torch.rand(1, 1, 6, 6))
    centres = (2 * torch.arange(6) + 1) / 6 - 1
    at_features = net.on_grid(features[0].detach(), [centres, centres])
    between = net.on_grid(features[0].detach(), [(centres[:-1] + centres[1:]) / 2, centres])
    torch.testing.assert_close(between, (at_features[:-1] + at_features[1:]) / 2, atol=1e-6, rtol=0)
