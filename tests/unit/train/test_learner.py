"""A step waits for no GPU, has batches of one shape, and is compiled or replayed on demand."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mrisr.common import devices
from mrisr.degrade.acquisition import PROFILE
from mrisr.methods import method as methods
from mrisr.train import one_subject
from mrisr.train.engine import TrainingJob, _batches, _loss
from mrisr.train.in_plane import InPlanePairs
from mrisr.train.learner import Learner, _tensors
from mrisr.train.loop import Task, _step
from mrisr.volumes.io import Volume

# Torch's device without numbers: like a GPU, but whoever asks it for a number fails at once.
GPU = torch.device("meta")
# One of each kind of network and of batch.
METHODS = ("arssr_rdn", "cubic_residual", "lte", "srcnn3d", "coord", "conv", "irem", "smore")


class Generator(torch.Generator):
    """What is drawn on the GPU needs no seed."""

    def __new__(cls, device=None):
        return super().__new__(cls)


class Copies(TorchDispatchMode):
    """Refuses copies to the GPU that wait for it: from memory that is not pinned, or asked to."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.pinned, self.waiting, self.seen = set(), False, 0
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: self.pin(tensor))
        monkeypatch.setattr(torch, "Generator", Generator)
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
        monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)

    def pin(self, tensor):
        self.pinned.add(tensor.data_ptr())
        return tensor

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        source, into = None, kwargs.get("device")
        if operation is torch.ops.aten._to_copy.default:
            source, quick = args[0], kwargs.get("non_blocking")
        elif operation is torch.ops.aten.copy_.default:
            source, into = args[1], args[0].device
            quick = args[2] if len(args) > 2 else kwargs.get("non_blocking")
        if source is not None and source.device != GPU and into == GPU:
            self.seen += 1
            here = source.data_ptr() in self.pinned
            assert self.waiting or (quick and here), f"{operation} waits for the GPU"
        return operation(*args, **kwargs)


def job_of(name, **training):
    method = methods.get(name, preset="demo")
    settings = {**method.spec["training"], "batch": 3, "precision": "bfloat16", **training}
    if "queries" in settings:
        settings["queries"] = 50
    settings["denoise"] = {"weight": 1.0, "sigma": 0.1}
    spec = {**method.spec, "training": settings}
    kind = "slice" if method.input == "slice" else "volume"
    how = {"kind": kind, "kernel": "spline", "grid": "corners", "antialias": None}
    scales = method.spec.get("scale_range", [2])
    return TrainingJob(name, method.build, scales, spec, how, 1, ["sub"], [], "")


def patches_of(job):
    """HR patches as a training has them."""
    if job.degradation["kind"] == "slice":
        edge = round(job.spec["training"]["lr_patch"] * max(job.scales)) + 3
        return [torch.rand(2, edge, edge + i).numpy() for i in range(4)]
    training, largest = job.spec["training"], max(job.scales)
    return torch.rand(4, *3 * [training.get("patch") or round(training["lr_patch"] * largest)])


def there(made):
    """What lies in tensors, in lists or dictionaries of them, on the GPU; numbers are lost."""
    if isinstance(made, dict):
        return {key: there(part) for key, part in made.items()}
    if isinstance(made, list):
        return [there(part) for part in made]
    moved = torch.empty(made.shape, dtype=made.dtype, device=GPU)
    return nn.Parameter(moved) if isinstance(made, nn.Parameter) else moved


def batches_of(job):
    """The batches of a training, and its loss of one."""
    training = job.spec["training"]
    if job.name == "smore":
        scan = Volume(torch.rand(12, 30, 32).numpy(), np.diag([3, 1, 1, 1]))
        pairs = InPlanePairs(scan, 1.0, PROFILE, training, job.device, "seed")
        return pairs, lambda called, batch: (called(batch[0], batch[1].shape[1]) - batch[1]).mean()
    if job.name != "irem":
        batches = _batches(job, patches_of(job), "train")
        return batches, lambda called, given: _loss(called, *given, training)[0]
    run = object.__new__(one_subject._Run)
    run.job, run.training, run.parts = job, training, ("seed",)
    run.samples = one_subject.Samples(torch.rand(90, 3), torch.rand(90))
    run.per_epoch, run.batch, run.order = 30, training["batch"], (0, torch.arange(90))
    return run, run._loss


@pytest.mark.parametrize("name", METHODS)
def test_a_step_asks_nothing_of_the_gpu(name, monkeypatch):
    job, copies = job_of(name), Copies(monkeypatch)
    training, network = job.spec["training"], job.build()
    for module in network.modules():
        for kept in (module._parameters, module._buffers):
            kept.update({key: there(t) for key, t in kept.items() if t is not None})
    batches, loss = batches_of(job)
    if name == "irem":
        batches.samples = one_subject.Samples(
            *(there(part) for part in (batches.samples.positions, batches.samples.intensities))
        )
        batches.order = (0, there(batches.order[1]))
        batches.job = replace(job, device=GPU)
        batch = batches._batch
    else:
        for part in ("patches", "matrix", "matrices", "places", "slices"):
            if hasattr(batches, part):
                setattr(batches, part, there(getattr(batches, part)))
        batches.device = GPU
        batch = batches
    optimizer = torch.optim.Adam(network.parameters())
    learner = Learner(name, network, loss, training)
    learn = lambda step: learner(batch(step))  # noqa: E731
    task = Task(name, training, network, optimizer, 1, 1, learn, lambda _: (0.0, 1.0))
    with copies:
        copies.waiting = True  # the first step may
        _step(task, 0)
        copies.waiting = False
        made = _step(task, 1)
    assert made.device == GPU and all(p.grad.device == GPU for p in network.parameters())


@pytest.mark.parametrize(
    "asks",
    [
        lambda t: t.sum().item(),
        lambda t: t.tolist(),
        lambda t: bool(t.any()),
        lambda t: t[t > 0],
        lambda t: torch.bincount(t.long()),
        lambda t: t.cpu(),
        lambda t: torch.ones(3).to(GPU),
        lambda t: torch.ones(3).to(GPU, non_blocking=True),
    ],
)
def test_what_waits_for_the_gpu_is_found(asks, monkeypatch):
    copies = Copies(monkeypatch)
    tensor = there(torch.ones(3))
    with copies, pytest.raises(Exception, match=r"waits|[Mm]eta"):
        asks(tensor)
    with copies:
        assert devices.send(torch.ones(3), GPU).device == GPU


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("irem", "smore")])
def test_batches_have_one_shape_as_a_cuda_graph_needs(name):
    batches, _ = batches_of(job_of(name))
    shapes = {tuple(tensor.shape for tensor in _tensors(batches(step))) for step in range(8)}
    assert len(shapes) == 1


def normalised():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def three_steps(**options):
    """Weights and buffers after three steps, and what was said of the options."""
    network = normalised()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)

    def loss(called, batch):
        return (called(batch[0]) - batch[1]).square().mean()

    learner = Learner("toy", network, loss, options)
    random = torch.Generator().manual_seed(1)
    for _ in range(3):
        learner((torch.rand(8, 3, generator=random), torch.rand(8, 1, generator=random)))
        optimizer.step()
    return network.state_dict(), learner.said


@pytest.mark.parametrize("option", ["compile", "graphs"])
def test_an_option_that_cannot_be_had_is_told_and_changes_nothing(option, monkeypatch, caplog):
    def broken(network, **_):
        def called(x):
            network(x)  # gets as far as the batch normalisation's count
            raise RuntimeError("\n  no compiler is found\nand more")

        return called

    monkeypatch.setattr(torch, "compile", broken)
    plain, nothing = three_steps()
    tried, said = three_steps(**{option: True})
    assert nothing == {}
    reason = {"compile": "no compiler is found", "graphs": "the device is a CPU"}[option]
    assert said == {option: reason}
    assert f"({reason}); training without it" in caplog.text
    assert all(torch.equal(plain[key], tried[key]) for key in plain)


def test_a_compiled_network_learns_the_same(monkeypatch):
    calls = []

    def compiled(network, **_):
        def called(x):
            calls.append(1)
            return network(x)

        return called

    monkeypatch.setattr(torch, "compile", compiled)
    plain, _ = three_steps()
    made, said = three_steps(compile=True)
    assert said == {"compile": "yes"}
    assert len(calls) == 4  # one to try it, then every step
    assert all(torch.equal(plain[key], made[key]) for key in plain)
