"""Time of the coordinate decoder, side by side with its definition (`plain_coordinates.py`).

`make bench` runs it. Both versions take turns, and the ratio of the medians counts; seconds are of
the processor, so that other work on the machine matters less.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import plain_coordinates
from mrisr.common import devices
from mrisr.methods import method

SIZES = (64, 108)  # of an LR slice
SCALE = 2


def main() -> None:
    """Print both tables, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    devices.pick(arguments.threads, "cpu")
    torch.manual_seed(0)
    network = method.get("coord").build().eval()
    print(f"\nDecoder of Coord (published size), {arguments.threads} threads, processor seconds\n")
    print("| what | plain (s) | ours (s) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    for size in SIZES:
        inference(network, size, arguments.repeats)
    training(network, arguments.repeats)


@torch.inference_mode()
def inference(network: torch.nn.Module, size: int, repeats: int) -> None:
    """Decode every pixel of a slice at `SCALE` times the size of its feature map."""
    features = network.encode(torch.rand(1, 1, size, size))
    axis = (2 * torch.arange(SCALE * size) + 1) / (SCALE * size) - 1
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(1, -1, 2)
    cell = torch.full((1, 2), 2 / SCALE)

    def plain() -> torch.Tensor:
        parts = points.split(4096, dim=1)
        decoder = network.decoder
        return torch.cat(
            [plain_coordinates.decode(decoder, features, part, cell)[0] for part in parts]
        )

    def ours() -> torch.Tensor:
        return network.on_grid(features[0], [axis, axis]).flatten()

    row(f"slice of {SCALE * size}^2 pixels", repeats, plain, ours)


def training(network: torch.nn.Module, repeats: int) -> None:
    """Decode a batch of tiles and take the gradients of everything."""
    features = torch.rand(2, 64, 48, 48, requires_grad=True)
    coordinates = 2 * torch.rand(2, 2304, 2) - 1
    cell = torch.ones(2, 2)

    def step(decode: Callable) -> torch.Tensor:
        network.zero_grad()
        features.grad = None
        decode().square().mean().backward()
        gradients = [p.grad.flatten() for p in network.decoder.parameters()]
        return torch.cat([*gradients, features.grad.flatten()])

    row(
        "gradients, 2 tiles of 2304 queries",
        repeats,
        lambda: step(
            lambda: plain_coordinates.decode(network.decoder, features, coordinates, cell)
        ),
        lambda: step(lambda: network.decoder(features, coordinates, cell)),
    )


def row(name: str, repeats: int, plain: Callable, ours: Callable) -> None:
    """Run both in turn and print a row."""
    seconds: list[list[float]] = [[], []]
    results = [plain(), ours()]  # once to warm up
    for _ in range(repeats):
        for times, version in zip(seconds, (plain, ours), strict=True):
            start = time.process_time()
            version()
            times.append(time.process_time() - start)
    slow, fast = map(statistics.median, seconds)
    apart = float((results[0] - results[1]).abs().max())
    print(f"| {name} | {slow:.2f} | {fast:.2f} | {slow / fast:.1f} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
