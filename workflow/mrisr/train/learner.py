"""The forward and backward pass of a step: plain, compiled, or replayed as one CUDA graph.

`training.compile` and `training.graphs` are options: where one cannot be had, a training goes on
without it and says why. A graph needs batches of one shape, which all batches of a training have
(see `mrisr.train.patches`).
"""

import logging
from collections.abc import Callable, Iterator

import torch
from torch import nn

log = logging.getLogger("mrisr")

# Passes before a graph is captured: libraries choose their algorithms and take their memory.
WARM_UP = 3

Batch = torch.Tensor | tuple
Loss = Callable[[nn.Module, tuple], torch.Tensor]


class Learner:
    """Computes the loss of a batch and leaves its gradients in the network.

    Args:
        name: The method's name.
        network: The network, on its device.
        loss: (network, batch) -> the loss, with its gradient.
        training: The method's training settings (`compile`, `graphs`).

    Attributes:
        said: `compile` and `graphs`, if they were asked for: `yes`, or why not.
    """

    def __init__(self, name: str, network: nn.Module, loss: Loss, training: dict):
        self.name, self.network, self._loss = name, network, loss
        self._asked = [key for key in ("compile", "graphs") if training.get(key)]
        self._called: nn.Module = network
        self._graph: torch.cuda.CUDAGraph | None = None
        self._static: tuple = ()
        self._value = torch.zeros(())
        self.said: dict[str, str] = {}

    def __call__(self, batch: tuple) -> torch.Tensor:
        """Return the loss of a batch, on the device; a later call may overwrite it.

        Args:
            batch: Tensors in nested tuples.
        """
        while self._asked:
            self._prepare(self._asked.pop(0), batch)
        if self._graph is None:
            return self._learn(batch)
        for place, given in zip(_tensors(self._static), _tensors(batch), strict=True):
            place.copy_(given)
        self._graph.replay()
        return self._value

    def _learn(self, batch: tuple) -> torch.Tensor:
        loss = self._loss(self._called, batch)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach()

    def _prepare(self, option: str, batch: tuple) -> None:
        """Turn an option on, if it works on this batch; no step is taken."""
        # Batch normalisation counts every pass: those made here must not be among them.
        kept = [buffer.clone() for buffer in self.network.buffers()]
        before = self._called
        try:
            self._compile(batch) if option == "compile" else self._capture(batch)
            self.said[option] = "yes"
        except Exception as error:
            self._called, self._graph = before, None
            self.said[option] = reason = _reason(error)
            what = "torch.compile" if option == "compile" else "CUDA graph"
            log.warning("%s: no %s (%s); training without it", self.name, what, reason)
        self.network.zero_grad(set_to_none=self._graph is None)
        with torch.no_grad():
            for buffer, value in zip(self.network.buffers(), kept, strict=True):
                buffer.copy_(value)

    def _compile(self, batch: tuple) -> None:
        self._called = torch.compile(self.network, dynamic=False)  # type: ignore[assignment]
        self._learn(batch)

    def _capture(self, batch: tuple) -> None:
        device = next(self.network.parameters()).device
        if device.type != "cuda":
            raise RuntimeError("the device is a CPU")
        self._static = _copied(batch)
        stream, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._learn(self._static)
        current.wait_stream(stream)
        self.network.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._loss(self._called, self._static)
            loss.backward()
        self._graph, self._value = graph, loss.detach()


def _tensors(batch: Batch) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples."""
    if isinstance(batch, torch.Tensor):
        yield batch
        return
    for part in batch:
        yield from _tensors(part)


def _copied(batch: Batch) -> tuple:
    """Return nested tuples with tensors of their own."""
    if isinstance(batch, torch.Tensor):
        return batch.clone()  # type: ignore[return-value]
    return tuple(_copied(part) for part in batch)


def _reason(error: Exception) -> str:
    """Return the first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
