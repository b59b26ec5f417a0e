"""Several processes that train one network, each with batches of its own and one thread."""

import tempfile
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0; the first one writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def wait() -> None:
    """Wait until every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def share(network: nn.Module, *values: float) -> list[float]:
    """Give every process the mean of all gradients, and the sum of each value.

    Args:
        network: After its backward pass.
        values: Of this process.

    Returns:
        The sums over processes, as float32.
    """
    if not dist.is_initialized():
        return list(values)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    parts = [gradient.flatten() for gradient in gradients]
    everything = torch.cat([*parts, torch.tensor(values, dtype=torch.float32)])
    dist.all_reduce(everything)
    *means, sums = everything.split([*(part.numel() for part in parts), len(values)])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view(gradient.shape) / count())
    return sums.tolist()


def begin(number: int, processes: int, meeting: str, work: Callable, arguments: tuple) -> None:
    """Do the work as one of several processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", rank=number, world_size=processes)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()


def run(processes: int, work: Callable, *arguments: object) -> None:
    """Do the same work in several processes and wait for all; an error in one ends all.

    Args:
        processes: How many.
        work: A function of a module.
        arguments: Its arguments.
    """
    if processes == 1:
        work(*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            begin, (processes, f"{folder}/meeting", work, arguments), nprocs=processes
        )
