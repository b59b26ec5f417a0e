"""Time of the metrics: side by side with their plain versions, and of one large volume.

`make bench` runs it. Times of a shared machine are noisy: both versions of a metric see the same
slices in turn, and the ratio of the fastest passes counts.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import torch

import plain_metrics
from mrisr import metrics
from mrisr.common.files import sha256
from mrisr.data.simulate import simulate
from mrisr.degrade.resample import downsample, upsample
from mrisr.evaluate.pieces import evaluate
from mrisr.evaluate.subjects import Options, evaluate_files
from mrisr.metrics import _slices, lpc_si, psi, vif
from mrisr.metrics._backbone import import_torchvision
from mrisr.volumes.io import Volume, save

SIZE = 264


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=8, help="slices a pass")
    parser.add_argument("--passes", type=int, default=5, help="passes, the fastest counts")
    parser.add_argument("--workers", type=int, default=2, help="processes of the large volume")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    truth, image = pair()
    beside_plain(truth, image, arguments.slices, arguments.passes)
    with TemporaryDirectory() as folder:
        whole_volume(truth, image, Path(folder), arguments.workers)
        if torch.cuda.is_available():
            on_gpu(truth, image, Path(folder))


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Return a simulated head of 264^3 voxels in [0, 1], and its cubic reconstruction at 2x."""
    scan = simulate("sub-01", 0, voxel_size=1.0).data.astype(np.float32)
    truth = np.clip(upsample(scan, (SIZE,) * 3), 0, None)
    truth = (truth / truth.max()).astype(np.float32)
    # As in a skull-stripped scan, air is exactly 0: without the ringing of the interpolation.
    truth[truth < 0.01] = 0
    return truth, upsample(downsample(truth, 2), truth.shape)


def beside_plain(truth: np.ndarray, image: np.ndarray, count: int, passes: int) -> None:
    """Time each metric on slices against its plain version, one thread."""
    chosen = np.linspace(SIZE // 4, 3 * SIZE // 4, count).astype(int)
    pairs = [
        (255 * stack_r[at], 255 * stack_d[at])
        for stack_r, stack_d in zip(_slices.stacks(truth), _slices.stacks(image), strict=True)
        for at in chosen
    ]
    versions: dict[str, tuple[Callable, Callable]] = {
        "psi": (lambda r, d: psi(d), lambda r, d: plain_metrics.psi(d)),
        "lpc_si": (lambda r, d: lpc_si(d), lambda r, d: plain_metrics.lpc_si(d)),
        "vif": (vif, plain_metrics.vif),
    }
    print(f"One slice of {SIZE} x {SIZE}, one thread, {len(pairs)} slices a pass, CPU")
    print("\n| metric | plain (ms) | ours (ms) | ratio | largest difference |")
    print("|---|---:|---:|---:|---:|")
    for name, (fast, plain) in versions.items():
        for r, d in pairs[:3]:
            fast(r, d)
        times = {fast: np.inf, plain: np.inf}
        scores = {}
        for _ in range(passes):
            for version in (plain, fast):
                start = time.perf_counter()
                scores[version] = [version(r, d) for r, d in pairs]
                times[version] = min(times[version], time.perf_counter() - start)
        apart = np.abs(np.subtract(scores[fast], scores[plain])).max()
        slow, quick = (1e3 * times[v] / len(pairs) for v in (plain, fast))
        print(f"| {name} | {slow:.2f} | {quick:.2f} | {slow / quick:.1f} | {apart:.1e} |")


def whole_volume(truth: np.ndarray, image: np.ndarray, folder: Path, workers: int) -> None:
    """Time all metrics of one volume from files, with the memory of all processes."""
    affine = np.diag([0.7, 0.7, 0.7, 1])
    for name, data in (("hr", truth), ("sr", image), ("mask", truth > 0)):
        save(Volume(np.asarray(data, np.float32), affine), folder / f"{name}.nii.gz")
    options = Options(metrics.names(), ["volume", "mask"], settings(folder))
    memory = Peak()
    start = time.perf_counter()
    with memory:
        table = evaluate_files(
            *(folder / f"{name}.nii.gz" for name in ("sr", "hr", "mask")),
            options,
            workers=workers,
        )
    seconds = time.perf_counter() - start
    print(f"\nOne volume of {SIZE}^3, all metrics, {workers} processes, files included (CPU):")
    print(
        f"{seconds:.1f} s, {memory.peak / 2**30:.2f} GiB (proportional set size of all processes)\n"
    )
    print(table.to_string(index=False))


def on_gpu(truth: np.ndarray, image: np.ndarray, folder: Path) -> None:
    """Time the metrics on slices on the GPU, and hold them against those of the CPU."""
    names = [name for name in metrics.names() if metrics.metadata(name).slices]
    values, seconds = {}, {}
    # The second time on the GPU counts: the first loads kernels.
    for device in ("cuda", "cuda", "cpu"):
        torch.cuda.synchronize()
        start = time.perf_counter()
        table = evaluate(truth, image, metrics=names, settings=settings(folder), device=device)
        torch.cuda.synchronize()
        values[device], seconds[device] = table["value"].to_numpy(), time.perf_counter() - start
    print(f"\nMetrics on slices of {SIZE}^3 on {torch.cuda.get_device_name()}:")
    print(f"{seconds['cuda']:.2f} s, one thread of the CPU {seconds['cpu']:.1f} s;", end=" ")
    print(f"largest difference {np.abs(values['cuda'] - values['cpu']).max():.1e}")


def settings(folder: Path) -> dict:
    """Return settings with a stand-in for LPIPS' backbone: right in shape, untrained."""
    import_torchvision()
    from torchvision.models import alexnet

    file = folder / "stand_in.pth"
    if not file.exists():
        torch.manual_seed(0)
        torch.save({f"features.{k}": v for k, v in alexnet().features.state_dict().items()}, file)
    return {"lpips": {"backbone": str(file), "sha256": sha256(file)}}


class Peak:
    """Samples the memory of this process and its children; pages that they share count once."""

    def __enter__(self) -> "Peak":
        """Begin to sample."""
        self.peak, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._done.wait(0.05):
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


if __name__ == "__main__":
    sys.exit(main())
