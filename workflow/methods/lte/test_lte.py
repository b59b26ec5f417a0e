"""LTE equals its definition, in training and on grids."""

import math

import pytest
import torch
import torch.nn.functional as F

from mrisr.methods import method

TINY = 1e-9
SMALL = {
    **{"features": 4, "growth": 4, "blocks": 1, "layers": 1},
    **{"channels": 5, "waves": 6, "width": 7, "hidden": 2},
}


def network():
    torch.manual_seed(0)
    net = method.get("lte").build(**SMALL)
    with torch.no_grad():  # as drawn, angles hardly vary over these small features
        for layer in (net.frequency, net.amplitude, net.phase):
            layer.weight *= 20
    return net


def plain(net, lr, coordinates, cell):
    """LTE as its definition reads: every query looks eight times at the nearest LR voxel."""
    features = net.encoder(lr)
    amplitude, frequency = net.amplitude(features), net.frequency(features)
    sizes = torch.tensor(lr.shape[2:])

    def nearest(volume, index):
        x, y, z = index.unbind(-1)
        return torch.stack([volume[n, :, x[n], y[n], z[n]].t() for n in range(len(volume))])

    place = ((coordinates + 1) * sizes - 1) / 2
    predictions, distances = [], []
    for corner in range(8):
        move = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        index = torch.minimum((place.floor() + move).clamp(min=0), sizes - 1).long()
        away = 2 * (place - index)
        waves = nearest(frequency, index).unflatten(-1, (3, -1))
        angle = math.pi * ((waves * away[..., None]).sum(-2) + net.phase(cell)[:, None])
        x = nearest(amplitude, index) * torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)
        for layer in list(net.decoder)[:-1]:
            x = F.relu(layer(x))
        predictions.append(net.decoder[-1](x)[..., 0])
        distances.append(away.abs() + TINY)
    volumes = [far.prod(-1) for far in reversed(distances)]
    local = sum(v * p for v, p in zip(volumes, predictions, strict=True)) / sum(volumes)
    where = coordinates.flip(-1)[:, :, None, None]
    skip = F.grid_sample(lr, where, padding_mode="border", align_corners=False)
    return local + skip[:, 0, :, 0, 0]


def test_the_call_and_its_gradients_equal_the_definition():
    net = network().double()
    lr = torch.rand(3, 1, 6, 4, 5, dtype=torch.float64)
    coordinates = 2 * torch.rand(3, 40, 3, dtype=torch.float64) - 1
    coordinates[:, 0] = -1  # an outer corner
    coordinates[:, 1, 0] = (2 * 2 + 1) / 6 - 1  # on the centres of a plane of voxels
    cell = 2 * torch.rand(3, 3, dtype=torch.float64)
    results = []
    for version in (net, lambda *given: plain(net, *given)):
        net.zero_grad()
        made = version(lr, coordinates, cell)
        made.square().sum().backward()
        results.append([made, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", [(12, 8, 10), (13, 5, 16), (1, 9, 2)])
@torch.inference_mode()
def test_a_grid_equals_the_definition(shape, monkeypatch):
    net = network()
    monkeypatch.setattr(method.get("lte").module, "CPU_CHUNK", 100)  # several chunks of lines
    lr = torch.rand(1, 1, 6, 4, 5)
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 3)
    cell = torch.tensor([[2 * m / n for m, n in zip(lr.shape[2:], shape, strict=True)]])
    expected = plain(net, lr, points, cell).view(shape)
    made = net.on_grid(net.encode(lr)[0], axes)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1


@torch.inference_mode()
def test_without_its_waves_it_is_linear_interpolation_at_the_true_voxel_centres():
    net = network()
    net.decoder[-1].weight.zero_()
    net.decoder[-1].bias.zero_()
    ramp = torch.linspace(0, 1, 6)[:, None, None].expand(6, 4, 5)
    axes = [torch.linspace(1 / n - 1, 1 - 1 / n, 2 * n - 1) for n in ramp.shape]
    made = net.on_grid(net.encode(ramp[None, None])[0], axes)
    expected = torch.linspace(0, 1, 11)[:, None, None].expand(11, 7, 9)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
