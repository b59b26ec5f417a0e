"""The residual network equals its definition, and what its design promises holds."""

import pytest
import torch
import torch.nn.functional as F

from mrisr.degrade.resample import upsample
from mrisr.methods import method as methods
from mrisr.networks.queries import query_coordinates

SMALL = {"features": 6, "blocks": 1, "channels": 8, "gates": 5, "gain": 20.0}


def network():
    torch.manual_seed(0)
    return methods.get("cubic_residual").build(**SMALL)


def plain(net, lr, coordinates, cell):
    """The residual as its definition reads, from torch's own interpolation."""
    where = coordinates.flip(-1)[:, :, None, None]
    sampled = F.grid_sample(net.encoder(lr), where, padding_mode="border", align_corners=False)[
        ..., 0, 0
    ].transpose(1, 2)
    sizes = torch.tensor(lr.shape[2:])
    place = (((coordinates + 1) * sizes - 1) / 2).clamp(min=0)
    phase = torch.minimum(place, sizes - 1).frac()
    for axis in range(3):
        sampled = sampled * net.gates[axis](phase[..., axis], cell[:, axis, None] / 2)
    hidden = sampled + F.relu(F.linear(sampled, net.mix.weight))
    return net.gain * F.linear(hidden, net.last.weight)[..., 0]


def test_the_call_and_its_gradients_equal_the_definition():
    net = network().double()
    lr = torch.rand(3, 1, 6, 4, 5, dtype=torch.float64)
    coordinates = 2 * torch.rand(3, 40, 3, dtype=torch.float64) - 1
    coordinates[:, 0] = -1  # an outer corner
    cell = torch.tensor([[1.0, 0.7, 2.0], [0.5, 1.0, 1.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
    cubic = methods.get("cubic_residual").module.cubic_at(lr[:, 0], coordinates)
    results = []
    for version in (lambda *given: net(*given) - cubic, lambda *given: plain(net, *given)):
        net.zero_grad()
        made = version(lr, coordinates, cell)
        made.square().sum().backward()
        results.append([made, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-7, atol=1e-9)


@torch.inference_mode()
def test_autocast_rounds_the_residual_and_nothing_else():
    net = network()
    lr = torch.rand(1, 1, 6, 4, 5)
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in (12, 8, 10)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 3)
    made = []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            features = net.encode(lr)
            made.append([net(lr, points, torch.ones(1, 3)), net.on_grid(features[0], axes)])
        assert features.dtype == torch.float32
        torch.testing.assert_close(features[:, -1:], lr, rtol=0, atol=0)
    cubic = methods.get("cubic_residual").module.cubic_at(lr[:, 0], points)
    for exact, rounded in zip(*made, strict=True):
        apart = (rounded - exact).abs().mean()
        assert 0 < apart < 0.02 * (exact.flatten() - cubic).abs().mean()


@pytest.mark.parametrize("shape", [(12, 8, 10), (13, 5, 16), (6, 9, 5), (1, 4, 2)])
@torch.inference_mode()
def test_a_grid_equals_the_call(shape, monkeypatch):
    net = network()
    monkeypatch.setattr(methods.get("cubic_residual").module, "CPU_CHUNK", 20)
    lr = torch.rand(1, 1, 6, 4, 5)
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 3)
    cell = torch.tensor([[2 * m / n for m, n in zip(lr.shape[2:], shape, strict=True)]])
    made = net.on_grid(net.encode(lr)[0], axes)
    torch.testing.assert_close(made, net(lr, points, cell).view(shape), rtol=0, atol=2e-5)


@pytest.mark.parametrize("shape", [(18, 16, 14), (25, 8, 9)])
@torch.inference_mode()
def test_without_its_residual_it_is_the_cubic_interpolation_of_the_study(shape):
    net = network()
    net.last.weight.zero_()
    lr = torch.rand(9, 8, 7)
    axes = [
        torch.tensor(query_coordinates(n, m, "grid", "corners"), dtype=torch.float32)
        for n, m in zip(shape, lr.shape, strict=True)
    ]
    made = net.on_grid(net.encode(lr[None, None])[0], axes)
    torch.testing.assert_close(made.numpy(), upsample(lr.numpy(), shape), rtol=0, atol=2e-6)


@torch.inference_mode()
def test_the_gain_of_a_scan_does_not_matter():
    net = network().double()
    lr = torch.rand(1, 1, 6, 7, 5, dtype=torch.float64)
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in (11, 13, 9)]
    one, three = (net.on_grid(net.encode(gain * lr)[0], axes) for gain in (1, 3))
    torch.testing.assert_close(three, 3 * one)


def test_its_learned_part_leaves_cubic_interpolation_at_once():
    """A skip hides a learned part that died: the output varies, and is cubic for ever."""
    torch.manual_seed(0)
    net = methods.get("cubic_residual").build(**{**SMALL, "gain": 0.05})
    hr = torch.rand(1, 1, 24, 24, 24)
    hr = F.avg_pool3d(hr, 3, stride=1)[..., :21, :21, :21] - 0.2
    lr = hr[..., ::2, ::2, ::2].contiguous()
    axis = (2 * torch.arange(21) / 2 + 1) / 11 - 1
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(1, -1, 3)
    cell = torch.full((1, 3), 1.0)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        loss = (net(lr, points, cell) - hr.view(1, -1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.93 * losses[0]
