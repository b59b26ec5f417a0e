"""Stacks: training from device memory beside a data loader, and SRR's operator beside a matrix.

`make bench` runs it. Times of a shared machine are noisy: both versions take turns, and the ratio
of the medians counts.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy import sparse

import plain_stacks
from mrisr.common import devices
from mrisr.degrade.resample import degrade
from mrisr.degrade.slice_profile import SliceOperator
from mrisr.methods import method as methods
from mrisr.train import one_subject
from mrisr.train.engine import TrainingJob
from mrisr.volumes.io import Volume, save

STACKS = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}


def main() -> None:
    """Print what was asked for, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=48, help="edge of the volume in voxels")
    parser.add_argument("--steps", type=int, default=20, help="of training, for each version")
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--only", choices=["training", "operator"], help="only this table")
    arguments = parser.parse_args()
    device = devices.pick(arguments.threads, arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{arguments.threads} threads"
    data = np.random.default_rng(0).random((arguments.size,) * 3, dtype=np.float32)
    truth = Volume(data, np.diag([0.8, 0.8, 0.8, 1]))
    if arguments.only in (None, "training"):
        training(truth, arguments.steps, arguments.repeats, device, name)
    if arguments.only in (None, "operator"):
        operator(truth, arguments.repeats, device, name)


def training(truth: Volume, steps: int, repeats: int, device: torch.device, name: str) -> None:
    """Time steps of IREM's published network, fed from device memory and by a DataLoader."""
    with TemporaryDirectory() as folder:
        files = []
        for stack, volume in degrade(truth, 4, STACKS).items():
            files.append(f"{folder}/sub-01_{stack}.nii.gz")
            save(volume, files[-1])
        method = methods.get("irem")
        batch = method.spec["training"]["batch"]
        count = len(one_subject.read_samples(files).values)
        method.spec["training"]["epochs"] = -(-steps * batch // count) + 1
        job = TrainingJob(
            "irem", method.build, [4], method.spec, STACKS, 0, files, [], folder, device=device
        )
        samples = one_subject.read_samples(files, (), device)
        run = one_subject._Run(job, samples)
        wanted = iter(range(10**9))

        def ours() -> None:
            for _ in range(steps):
                number = next(wanted)
                run._step(*divmod(number, run.per_epoch), 1e-4)

        plain = plain_stacks.trainer(
            run.network, samples.positions.cpu(), samples.values.cpu(), batch, device
        )
        seconds = timed(repeats, device, ours, lambda: take(plain, steps))
        per_million = [1e6 / batch * its / steps for its in seconds]
    print(f"\nIREM, {count:,} voxels, batches of {batch}, on {name}\n")
    print("| data | seconds an epoch and million voxels |\n|---|---:|")
    print(f"| DataLoader over (position, intensity) pairs | {per_million[1]:.1f} |")
    print(f"| all on the device, batches by index | {per_million[0]:.1f} |")
    print(f"\nratio {per_million[1] / per_million[0]:.2f}")


def take(batches: Iterator, steps: int) -> None:
    """Draw `steps` items of an iterator."""
    for _ in range(steps):
        next(batches)


def operator(truth: Volume, repeats: int, device: torch.device, name: str) -> None:
    """Time A x and its adjoint, by small matrices and by an explicit sparse matrix."""
    print(f"\nSRR's operator, {truth.data.shape[0]}^3 voxels, k = 4, on {name}\n")
    print("| version | A x, ms | adjoint, ms | memory, MB | largest difference |")
    print("|---|---:|---:|---:|---:|")
    stack = degrade(truth, 4, STACKS)["axial"]
    ours = SliceOperator(stack.data.shape, stack.affine, truth.data.shape, truth.affine, device)
    explicit = sparse.csr_array(np.ones((1, 1)))
    for matrix in ours.matrices:
        part = sparse.csr_array(matrix.double().cpu().numpy())
        explicit = sparse.kron(explicit, part, format="csr")
    explicit = explicit.astype(np.float32)
    transposed = explicit.T.tocsr()
    x = torch.from_numpy(truth.data).to(device)
    y = torch.from_numpy(stack.data).to(device)
    flat_x, flat_y = truth.data.ravel(), stack.data.ravel()
    share = explicit @ np.ones_like(flat_x)
    seconds = timed(
        repeats,
        device,
        lambda: ours.forward(x),
        lambda: ours.adjoint(y),
        lambda: explicit @ flat_x / share,
        lambda: transposed @ (flat_y / share),
    )
    off = np.abs(ours.forward(x).cpu().numpy().ravel() - explicit @ flat_x / share).max()
    small = sum(m.numel() * m.element_size() for m in ours.matrices) / 1e6
    large = sum(m.data.nbytes + m.indices.nbytes for m in (explicit, transposed)) / 1e6
    times = [f"{1e3 * its:.2f}" for its in seconds]
    print(f"| explicit sparse matrix (scipy) | {times[2]} | {times[3]} | {large:.1f} | |")
    print(f"| ours, aligned axes | {times[0]} | {times[1]} | {small:.3f} | {off:.1e} |")
    turn = np.eye(4)
    angle = 0.2
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = SliceOperator(
        stack.data.shape, turn @ stack.affine, truth.data.shape, truth.affine, device
    )
    seconds = timed(repeats, device, lambda: oblique.forward(x), lambda: oblique.adjoint(y))
    print(f"| ours, oblique | {1e3 * seconds[0]:.2f} | {1e3 * seconds[1]:.2f} | | |")


def timed(repeats: int, device: torch.device, *versions: Callable) -> list[float]:
    """Run versions in turn; return the median seconds of each, after one call of each."""
    seconds = [[] for _ in versions]
    for repeat in range(repeats + 1):
        for i, version in enumerate(versions):
            start = clock(device)
            version()
            taken = clock(device) - start
            if repeat:
                seconds[i].append(taken)
    return [statistics.median(times) for times in seconds]


def clock(device: torch.device) -> float:
    """Return the time in seconds once the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
