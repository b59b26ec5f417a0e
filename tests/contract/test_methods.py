"""Every method found keeps the contract; a new folder is tested without an edit here."""

import inspect

import numpy as np
import pytest
import torch
from scipy import ndimage

from mrisr import methods
from mrisr.degrade import degrade
from mrisr.io import Volume, save
from mrisr.models import LOSSES, load_model, save_model
from mrisr.reconstruct import decode, reconstruct
from mrisr.tiles import apply_tiled, plan
from mrisr.train import TrainingJob
from tiny_study import ROOT

NAMES = methods.names()
DEGRADATION = {"kernel": "spline", "grid": "corners", "antialias": None}
SHAPE = {"volume": (24, 26, 28), "stacks": (24, 24, 24), "slice": (1, 26, 28)}


def truth(kind):
    data = ndimage.gaussian_filter(np.random.default_rng(0).random(SHAPE[kind]), 0.7)
    return Volume((data / data.max()).astype(np.float32), np.diag([0.9, 1, 1.1, 1]))


def made(name):
    """Return the method in its demo size, its network (random weights), truth and LR input."""
    method = methods.get(name, preset="demo")
    kind = "volume" if method.input == "ground_truth" else method.input
    volume = truth(kind)
    low = degrade(volume, 2, {"kind": kind, **DEGRADATION})
    lr = volume if method.input == "ground_truth" else low.get("", low)
    torch.manual_seed(0)
    network = method.build().eval() if method.learned else None
    return method, network, volume, lr


IN_PYTHON = [name for name in NAMES if methods.get(name).kind != "external"]


@pytest.mark.parametrize("name", IN_PYTHON)
def test_reconstructs_on_the_exact_grid_and_twice_the_same(name):
    method, network, volume, lr = made(name)
    sr = reconstruct(method, network, lr, volume.data.shape, 2, volume.affine)
    assert sr.data.shape == volume.data.shape
    assert sr.data.dtype == np.float32
    np.testing.assert_array_equal(sr.affine, volume.affine)
    assert np.isfinite(sr.data).all()
    again = reconstruct(method, network, lr, volume.data.shape, 2, volume.affine)
    np.testing.assert_array_equal(sr.data, again.data)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_only_learned_methods_have_a_network_with_the_published_size(name):
    method = methods.get(name)
    if not method.learned:
        assert method.function("build") is None
        return
    count = sum(p.numel() for p in method.build().parameters() if p.requires_grad)
    assert count == method.spec["parameters"]
    if method.folder.name == name:  # else it is a variant, in the code of another folder
        assert_defaults_are_published(method)
    small = methods.get(name, preset="demo").build()
    assert sum(p.numel() for p in small.parameters()) < count


def assert_defaults_are_published(method):
    defaults = {
        key: list(value.default) if isinstance(value.default, tuple) else value.default
        for key, value in inspect.signature(method.module.build).parameters.items()
    }
    assert {key: defaults[key] for key in method.spec["model"]} == method.spec["model"]


SUPERVISED = [name for name in IN_PYTHON if methods.get(name).kind == "supervised"]


def tiled_part(name):
    """Return the part of a method's network that is applied in tiles, halo, dimensions, factor."""
    method, network, _, _ = made(name)
    query = method.spec["network"] == "query"
    dimensions = 2 if method.input == "slice" else 3
    part = network.encode if query else network
    return network, part, network.halo, dimensions, getattr(network, "factor", 1)


@pytest.mark.parametrize("name", SUPERVISED)
@torch.inference_mode()
def test_an_input_voxel_reaches_exactly_as_far_as_the_halo(name):
    network, function, halo, dimensions, factor = tiled_part(name)
    network.double()
    for p in network.parameters():
        p.abs_()  # nothing cancels, no ReLU is shut
    for axis in range(dimensions):
        shape = [9] * dimensions
        shape[axis] = halo + 5
        volume = torch.rand(1, 1, *shape, dtype=torch.float64)
        touched = volume.clone()
        touched.select(2 + axis, 0).mul_(100)
        difference = (function(touched) - function(volume)).abs().movedim(2 + axis, 0)
        reached = difference.reshape(halo + 5, factor, -1).amax(dim=(1, 2)) > 0
        assert reached.tolist() == [place <= halo for place in range(halo + 5)], axis


@pytest.mark.parametrize("name", SUPERVISED)
@torch.inference_mode()
def test_tiles_have_no_seams(name):
    _, function, halo, dimensions, factor = tiled_part(name)
    volume = torch.rand(1, 1, 4 * max(8, halo), *(10, 9)[: dimensions - 1])
    tiles = plan(volume.shape[2:], halo, 1)
    assert len(tiles[0]) > 1
    tiled, whole = apply_tiled(function, volume, tiles, factor=factor), function(volume)
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-5)


QUERY = [name for name in SUPERVISED if methods.get(name).spec["network"] == "query"]


@pytest.mark.parametrize("name", QUERY)
@torch.inference_mode()
def test_the_grid_is_decoded_as_the_network_is_called(name):
    method, network, _, lr = made(name)
    if method.input == "slice":
        image = torch.from_numpy(lr.data.reshape(1, 1, *lr.data.shape[1:]))
        axes = [torch.linspace(-1, 1, n) for n in (23, 19)]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 2)
        cell = torch.tensor([[2 * m / len(a) for m, a in zip(image.shape[2:], axes, strict=True)]])
        fast = network.on_grid(network.encode(image)[0], axes)
        expected = network(image, points, cell).view_as(fast)
        torch.testing.assert_close(fast, expected, rtol=0, atol=1e-5)
        return
    axes = [torch.linspace(-1, 1, n) for n in (5, 23, 19)]
    volume = torch.from_numpy(lr.data)[None, None]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 3)
    fast = decode(network, network.encode(volume)[0].permute(1, 2, 3, 0), axes)
    expected = network(volume, points).view_as(fast)
    torch.testing.assert_close(fast, expected, rtol=0, atol=1e-5)


OPTIMISED = [name for name in IN_PYTHON if methods.get(name).per_subject]


@pytest.mark.parametrize("name", OPTIMISED)
def test_a_model_of_one_subject_is_made_from_its_own_stacks(name, tmp_path):
    method, _, volume, lr = made(name)
    files = [str(tmp_path / f"sub-01_{stack}.nii.gz") for stack in lr]
    for file, stack in zip(files, lr.values(), strict=True):
        save(stack, file)
    method.spec["training"]["epochs"] = 2
    job = TrainingJob(
        name, method.build, [2], method.spec, DEGRADATION, 1, files, [], str(tmp_path / "kept")
    )
    trained = method.function("train")(job, lambda step: False)
    assert trained.info["steps"] > 0 and list(trained.log[0]) == LOSSES
    save_model(tmp_path, trained.state, trained.log, trained.info)
    network = load_model(method, tmp_path / "model.safetensors")
    sr = reconstruct(method, network, lr, volume.data.shape, 2, volume.affine)
    assert 0 < float(np.ptp(sr.data)) < 10


def test_the_readme_lists_every_method_with_its_number_of_parameters():
    rows = {}
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("| `") and len(cells) == 4:
            rows |= {name.strip("` "): cells for name in cells[0].split(",")}
    for name in NAMES:
        method, cells = methods.get(name), rows[name]
        if method.learned and method.kind != "external":
            count = "one a subject and scale" if method.per_subject else "one a scale"
            assert cells[2] == {"per_scale": count}.get(method.models, "one for all scales")
            assert cells[3] == f"{method.spec['parameters']:,}"


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is_and_what_it_needs(name):
    method = methods.get(name)
    assert method.label
    assert method.kind == "external" or "reconstruct" in method.spec["resources"]
    for stage, resources in method.spec["resources"].items():
        assert {"threads", "mem_mb", "runtime"} <= set(resources), stage
    if method.kind in ("supervised", "optimised"):
        assert "train" in method.spec["resources"]
        assert method.spec["paper"]["doi"]
        assert "training" in method.spec["demo"]
    if method.kind == "supervised":
        assert method.spec["published_steps"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_refuses_scales_outside_its_limits_with_a_reason(name):
    method = methods.get(name)
    limits = method.spec.get("limits", {})
    assert method.refuses(2) is None or "2" in method.refuses(2)
    if "max_scale" in limits:
        assert method.refuses(limits["max_scale"]) is None
        assert "not supported" in method.refuses(limits["max_scale"] + 1)
