"""Time of reconstruction and degradation, side by side with their plain versions.

`make bench` runs it; with `--size 264` it also reconstructs one volume of a paper's size. Times of
a shared machine are noisy: both versions take turns, and the ratio of the medians counts.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage

import plain_reconstruction
from metrics import Peak
from mrisr.common import devices
from mrisr.degrade.resample import downsample
from mrisr.methods import method as methods
from mrisr.networks.queries import query_coordinates
from mrisr.reconstruct.apply import decode, reconstruct
from mrisr.volumes.io import Volume

SCALE = 2
SIZES = (48, 64, 96)
PAPER = 264


def main() -> None:
    """Print what was asked for, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--size", type=int, help="only reconstruct one volume of this edge")
    parser.add_argument("--memory", type=float, help="MiB for the network; default half of free")
    parser.add_argument(
        "--only", choices=["procedure", "decoder", "degradation"], help="only this table"
    )
    arguments = parser.parse_args()
    device = devices.pick(arguments.threads, arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{arguments.threads} threads"
    if arguments.size:
        whole_volume(arguments.size, device, name, arguments.memory)
        return
    tables = {"procedure": procedure, "decoder": decoder, "degradation": degradation}
    for table, function in tables.items():
        if arguments.only in (None, table):
            function(device, name, arguments.repeats)


def network(device: torch.device) -> tuple[methods.Method, torch.nn.Module]:
    """Return ArSSR with the RDN encoder in its published size, untrained."""
    # A linear head: the published ReLU might hide differences of an untrained network.
    method = methods.get("arssr_rdn", {"model": {"head": "linear"}})
    torch.manual_seed(0)
    return method, method.build().to(device, memory_format=torch.channels_last_3d).eval()


def coordinates(size: int, device: torch.device) -> list[torch.Tensor]:
    """Return the axes of a cube of `size` HR voxels."""
    axis = query_coordinates(size, size // SCALE, "edges", "corners")
    return [torch.tensor(axis, dtype=torch.float32, device=device)] * 3


def timed(repeats: int, *versions: Callable) -> tuple[list[float], list]:
    """Run versions in turn; return the median seconds and the last result of each."""
    seconds, results = [[] for _ in versions], [None for _ in versions]
    for _ in range(repeats):
        for i, version in enumerate(versions):
            synchronise()
            start = time.perf_counter()
            results[i] = version()
            synchronise()
            seconds[i].append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds], results


def synchronise() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@torch.inference_mode()
def procedure(device: torch.device, name: str, repeats: int) -> None:
    """Compare with the published code, which encodes anew for every plane of the output."""
    method, net = network(device)
    print(f"\nArSSR (RDN), {SCALE}x, {name}. The published procedure was timed on one plane, times")
    print("the number of planes; ours is timed whole.\n")
    print("| SR volume | published (s) | ours (s) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    per_plane = []
    for size in SIZES:
        axes = coordinates(size, device)
        scan = torch.rand((size // SCALE,) * 3, generator=torch.Generator().manual_seed(0))
        lr, there = Volume(scan.numpy(), np.eye(4)), scan.to(device)
        plane, shape = range(size // 2, size // 2 + 1), (size,) * 3

        def plain(
            there: torch.Tensor = there, axes: Sequence[torch.Tensor] = axes, plane: range = plane
        ) -> torch.Tensor:
            return plain_reconstruction.published(net, there, axes, plane)

        def fast(lr: Volume = lr, shape: tuple[int, int, int] = shape) -> np.ndarray:
            return reconstruct(method, net, lr, shape, SCALE, device=device).data

        (slow, quick), (one, made) = timed(repeats, plain, fast)
        apart = np.abs(made[plane.start] - one[0].cpu().numpy()).max()
        per_plane.append(slow)
        print(
            f"| {size}^3 | {size * slow:.1f} | {quick:.2f} | {size * slow / quick:.0f} |", end=" "
        )
        print(f"{apart:.1e} |", flush=True)
    grown = per_plane[-1] * (PAPER / SIZES[-1]) ** 3
    ours = quick * (PAPER / SIZES[-1]) ** 3
    print(f"\nProjected from {SIZES[-1]}^3 to {PAPER}^3, every part by its number of voxels:")
    print(f"published {PAPER * grown / 3600:.1f} h, ours {ours / 60:.1f} min,", end=" ")
    print(f"ratio {PAPER * grown / ours:.0f}")


@torch.inference_mode()
def decoder(device: torch.device, name: str, repeats: int) -> None:
    """Compare decoding with its plain version, and with the machine's matrix products."""
    _, net = network(device)
    size, planes = 128, range(0, 8)
    axes = coordinates(size, device)
    random = torch.Generator().manual_seed(0)
    features = torch.rand((size // SCALE,) * 3 + (128,), generator=random).to(device) - 0.5
    first = features.permute(3, 0, 1, 2)[None]
    edge = 2048 if device.type == "cpu" else 8192
    a, b = (torch.rand(edge, edge, device=device) for _ in range(2))
    product = torch.empty(edge, edge, device=device)
    (slow, quick, whole), (wanted, made, _) = timed(
        max(5, repeats),
        lambda: plain_reconstruction.decode(net, first, axes, planes),
        lambda: decode(net, features, axes, planes),
        lambda: torch.mm(a, b, out=product),
    )
    voxels = len(planes) * size**2
    layers = [layer for layer in net.decoder.modules() if isinstance(layer, torch.nn.Linear)]
    work = 2 * voxels * sum(layer.weight.numel() for layer in layers)
    peak = 2 * edge**3 / whole
    print(f"\nDecoding {voxels:,} voxels of {size}^3, 128 features, float32, {name}\n")
    print("| | seconds | GFLOP/s of the published layers | of the peak |")
    print("|---|---:|---:|---:|")
    for label, seconds in (("plain", slow), ("ours", quick)):
        rate = work / seconds
        print(f"| {label} | {seconds:.2f} | {rate / 1e9:.0f} | {100 * rate / peak:.0f} % |")
    print(f"| one product of {edge} x {edge} (the peak) | {whole:.3f} | {peak / 1e9:.0f} | 100 % |")
    apart = float((made - wanted).abs().max())
    print(
        f"\nRatio {slow / quick:.2f}, largest difference {apart:.1e}. Ours does less than the",
        end="",
    )
    print(" published layers' work:\nmost of the first is done on the LR grid.")


def degradation(device: torch.device, name: str, repeats: int) -> None:
    """Compare with `scipy.ndimage.zoom`."""
    volume = np.random.default_rng(0).random((PAPER,) * 3, dtype=np.float32)
    there = torch.from_numpy(volume).to(device) if device.type == "cuda" else volume
    print(f"\nDegradation of {PAPER}^3, float32, {name}\n")
    print("| scale | scipy (s) | ours (s) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    for scale in (2, 4):

        def plain(scale: int = scale) -> np.ndarray:
            return ndimage.zoom(volume, 1 / scale, order=3)

        def fast(scale: int = scale) -> np.ndarray:
            return downsample(there, scale)

        fast()  # its matrices are made once
        (slow, quick), (wanted, made) = timed(repeats, plain, fast)
        apart = np.abs(np.asarray(made if device.type == "cpu" else made.cpu()) - wanted).max()
        print(
            f"| {scale} | {slow:.2f} | {quick:.3f} | {slow / quick:.1f} | {apart:.1e} |", flush=True
        )


def whole_volume(size: int, device: torch.device, name: str, memory: float | None) -> None:
    """Reconstruct one volume with the published network; time and memory."""
    method, net = network(device)
    random = np.random.default_rng(0)
    lr = Volume(random.random((size // SCALE,) * 3, dtype=np.float32), np.eye(4))
    given = devices.memory_mb(device, memory)
    with Peak() as watched:
        start = time.perf_counter()
        reconstruct(method, net, lr, (size,) * 3, SCALE, device=device, memory_mb=given)
        seconds = time.perf_counter() - start
    print(f"ArSSR (RDN), {size}^3 at {SCALE}x, {name}, {given:.0f} MiB for the network:")
    print(f"{seconds:.0f} s, peak memory {watched.peak / 2**30:.2f} GiB", end="")
    if device.type == "cuda":
        print(f" and {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB of the GPU", end="")
    print()


if __name__ == "__main__":
    sys.exit(main())
