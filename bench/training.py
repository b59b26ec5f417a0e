"""Time of the trainings: a step of every learned method, its data path, and what follows of it.

`make bench` runs it. It trains on the GPU if there is one. The parts of a step are timed in turn,
and the fastest counts.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import plain_training
from mrisr.common import devices
from mrisr.data.simulate import simulate
from mrisr.methods import method as methods
from mrisr.methods.method import Method
from mrisr.train.engine import PRECISION, TrainingJob, _batches, _loss, train
from mrisr.volumes.io import Volume, save

DEGRADATION = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["srcnn3d", "dcsrn", "rescnn", "arssr_rdn"])
    parser.add_argument("--precision", default="bfloat16", choices=list(PRECISION))
    parser.add_argument("--batch", type=int, help="in place of the published one")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--passes", type=int, default=3, help="steps timed, the fastest counts")
    parser.add_argument("--parity", type=int, default=0, metavar="STEPS")
    arguments = parser.parse_args()
    device = devices.pick(arguments.threads)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    if device.type == "cpu":
        name += f", {torch.get_num_threads()} threads"
    if arguments.parity:
        parity(arguments.parity, arguments.precision, device)
        return
    peak = matrix_peak(device, arguments.precision)
    print(f"{name}, {arguments.precision}; products of matrices: {peak / 1e12:.2f} TFLOP/s\n")
    print(
        "| method | batch | step (ms) | data path (ms) | share | TFLOP a step | of the peak |"
        " published steps | hours |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for method in arguments.methods:
        print(one_method(methods.get(method), device, arguments, peak), flush=True)
    data_path(methods.get("arssr_rdn"), arguments.passes)


def patches_of(method: Method) -> torch.Tensor:
    """Return volumes that patches of a method are drawn from, noise."""
    edge = 64 if method.spec["training"].get("anchor") == "centre" else 40
    random = np.random.default_rng(0)
    return torch.from_numpy(random.random((96, edge, edge, edge), dtype=np.float32))


def one_method(
    method: Method,
    device: torch.device,
    arguments: argparse.Namespace,
    peak: float,
) -> str:
    """Return a row of the table."""
    job = job_of(method, device, arguments.precision, arguments.batch)
    devices.arithmetic(PRECISION[arguments.precision])
    training = job.spec["training"]
    network = job.build().to(device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(network.parameters(), fused=device.type == "cuda")
    batches = _batches(job, patches_of(method), "train")

    def learn(inputs: tuple, target: torch.Tensor) -> None:
        loss = _loss(network, inputs, target, training)[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    first = batches(0)
    with FlopCounterMode(display=False) as counter:
        learn(*first)
    operations = counter.get_total_flops()
    data, step = fastest([lambda: batches(1), lambda: learn(*batches(1))], arguments.passes, device)
    steps = method.spec["published_steps"]
    return (
        f"| {method.name} | {training['batch']} | {1e3 * step:.1f} | {1e3 * data:.2f} |"
        f" {data / step:.1%} | {operations / 1e12:.3f} | {operations / step / peak:.0%} |"
        f" {steps:,} | {steps * step / 3600:,.1f} |"
    )


def job_of(
    method: Method, device: torch.device, precision: str, batch: int | None = None
) -> TrainingJob:
    """Return a training of a method on nothing yet, at its lowest scale or its range."""
    training = {**method.spec["training"], "precision": precision}
    training["batch"] = batch or training["batch"]
    return TrainingJob(
        name=method.name,
        build=method.build,
        scales=method.spec.get("scale_range", [2]),
        spec={**method.spec, "training": training},
        degradation=DEGRADATION,
        seed=0,
        train=[],
        val=[],
        checkpoints="",
        device=device,
    )


def data_path(method: Method, passes: int) -> None:
    """Time the making of ArSSR's batches beside the published way, on one core."""
    torch.set_num_threads(1)
    job = job_of(method, torch.device("cpu"), "float32")
    training = job.spec["training"]
    patches, random = patches_of(method), np.random.default_rng(0)
    batches = _batches(job, patches, "train")
    sizes = training["batch"], training["lr_patch"], training["queries"]
    plain, ours = fastest(
        [
            lambda: plain_training.query_batch(patches.numpy(), random, *sizes),
            lambda: batches(1),
        ],
        3 * passes,
        job.device,
    )
    print(f"\nA batch of {sizes[0]} for ArSSR on one core: patch by patch with scipy", end=" ")
    print(f"{1e3 * plain:.1f} ms, ours {1e3 * ours:.1f} ms, ratio {plain / ours:.1f}")


def parity(steps: int, precision: str, device: torch.device) -> None:
    """Train small networks with two precisions and several seeds, and print validation losses."""
    names = ("float32", precision)
    print(f"Best validation loss after {steps} steps of the demo networks\n")
    print(f"| method | seed | {' | '.join(names)} | difference |\n|---|---:|---:|---:|---:|")
    with TemporaryDirectory() as folder:
        files = []
        for i in range(5):
            scan = simulate(f"sub-{i}", 0, voxel_size=2.0).data.astype(np.float32)
            files.append(str(Path(folder) / f"sub-{i}.nii.gz"))
            save(Volume(scan / scan.max(), np.eye(4)), files[-1])
        for name in ("srcnn3d", "dcsrn", "rescnn", "arssr_rdn_aligned"):
            for seed in range(3):
                losses = [
                    trained(name, seed, steps, its, files, Path(folder), device) for its in names
                ]
                print(
                    f"| {name} | {seed} | {losses[0]:.5f} | {losses[1]:.5f} |"
                    f" {losses[1] / losses[0] - 1:+.2%} |",
                    flush=True,
                )


def trained(
    name: str,
    seed: int,
    steps: int,
    precision: str,
    files: list[str],
    folder: Path,
    device: torch.device,
) -> float:
    """Return the best validation loss of a method's demo network."""
    method = methods.get(name, {"training": {"epochs": 10}}, "demo")
    method.spec["training"]["steps_per_epoch"] = steps // 10
    job = replace(
        job_of(method, device, precision),
        seed=seed,
        train=files[:3],
        val=files[3:],
        checkpoints=str(folder / f"{name}-{seed}-{precision}"),
    )
    return train(job).info["val_loss"]


def matrix_peak(device: torch.device, precision: str) -> float:
    """Return the rate of products of large matrices, in operations a second."""
    devices.arithmetic(PRECISION[precision])
    n = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(n, n, device=device, dtype=dtype)
    return 2 * n**3 / fastest([lambda: a @ a], 5, device)[0]


def fastest(parts: list[Callable], passes: int, device: torch.device) -> list[float]:
    """Return the least seconds of each part, all timed in turn, after one call of each."""
    best = [np.inf] * len(parts)
    for i in range(passes + 1):
        for j, part in enumerate(parts):
            start = clock(device)
            part()
            seconds = clock(device) - start
            if i > 0:
                best[j] = min(best[j], seconds)
    return best


def clock(device: torch.device) -> float:
    """Return the time in seconds once the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
