"""Does mrisr run on this machine's GPU, does it use it well, and how long will a paper take?

    python bench/gpu.py --out results/gpu --seconds 480 --train cubic_residual:100

writes `gpu.json` and `gpu.md` into the folder, anew as soon as a section is done. The package need
not be installed: PyTorch, NumPy and SciPy are enough beside what `bench/gpu_pack.py` packs. The
exit code is 1 if a case failed.
"""

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESERVED = 0.04  # share of the seconds left for what no section counts
# Seconds of a training beside its steps: reading, validation, test.
BESIDE, BESIDE_TINY = 12.0, 5.0


def arguments_of(given: list[str] | None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder")
    parser.add_argument("--seconds", type=float, default=480, help="of everything together")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--size", default="paper", choices=("paper", "tiny"))
    parser.add_argument("--train", nargs="*", default=[], metavar="METHOD:SECONDS")
    parser.add_argument("--volumes", type=Path, help="folder with train, val and test")
    parser.add_argument("--pack", type=Path, help="folder that bench/gpu_pack.py made")
    parser.add_argument("--page", type=Path, help="docs/benchmarks.md, to be filled")
    parser.add_argument("--methods", nargs="+", default=[], help="to measure; default all")
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="of the JSON; default all")
    parser.add_argument("--threads", type=int, help="of the CPU; default all, or 1 if tiny")
    return parser.parse_args(given)


def trainings(asked: list[str]) -> dict[str, float]:
    """Return the seconds of each training.

    Raises:
        SystemExit: It does not read METHOD:SECONDS.
    """
    found = {}
    for each in asked:
        name, _, seconds = each.partition(":")
        try:
            found[name] = float(seconds)
        except ValueError:
            raise SystemExit(
                f"--train {each}: write METHOD:SECONDS, as cubic_residual:100"
            ) from None
    return found


def main(given: list[str] | None = None) -> int:
    """Measure; return the exit code."""
    begun = time.monotonic()
    arguments = arguments_of(given)
    asked = trainings(arguments.train)
    sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "bench")]
    with tempfile.TemporaryDirectory(prefix="mrisr-gpu-") as folder:
        volumes = arguments.volumes
        if arguments.pack:
            import gpu_pack

            gpu_pack.use_wheels(arguments.pack, Path(folder) / "wheels")
            if asked and volumes is None:
                volumes = gpu_pack.unpack(arguments.pack, Path(folder) / "volumes")
        from mrisr.common.errors import MrisrError

        try:
            return measure(arguments, asked, volumes, Path(folder), begun)
        except MrisrError as error:
            raise SystemExit(f"error: {error}") from None


def measure(
    arguments: argparse.Namespace,
    asked: dict[str, float],
    volumes: Path | None,
    folder: Path,
    begun: float,
) -> int:
    """Measure with all that is needed in place; return the exit code."""
    import torch

    import gpu_run
    import gpu_sections
    import gpu_tables
    import gpu_training
    from mrisr.common import devices
    from mrisr.common.files import write_json, write_text
    from mrisr.methods import method as methods

    threads = arguments.threads or (1 if arguments.size == "tiny" else os.cpu_count() or 1)
    device = devices.pick(threads, arguments.device)
    for name in (*asked, *arguments.methods):
        methods.get(name)
    found = {
        "command": shlex.join(["python", "bench/gpu.py", *sys.argv[1:]]),
        "device": device.type,
        "size": arguments.size,
        "seconds": arguments.seconds,
        "took": 0.0,
        "machine": {
            "device": devices.describe(device),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        },
        "sections": {},
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found["machine"] |= {"MiB": about.total_memory >> 20, "SMs": about.multi_processor_count}

    def write(state: dict) -> None:
        state["took"] = round(time.monotonic() - begun, 1)
        state["failed"] = gpu_run.failures(state)
        write_json(arguments.out / "gpu.json", state)
        write_text(arguments.out / "gpu.md", gpu_tables.markdown(state))

    bench = gpu_sections.Bench(device, arguments.size, folder, arguments.methods)
    sections = bench.sections()
    end = begun + (1 - RESERVED) * arguments.seconds
    beside = BESIDE_TINY if bench.tiny else BESIDE
    kept = sum(asked.values()) + beside * len(asked)
    if arguments.only:
        unknown = set(arguments.only) - {section.name for section in sections}
        if unknown:
            known = ", ".join(section.name for section in sections)
            raise SystemExit(f"--only {' '.join(sorted(unknown))}: unknown; known: {known}")
        sections = [section for section in sections if section.name in arguments.only]
    if kept >= end - time.monotonic():
        raise SystemExit(f"--train: takes {kept:g} s with its tests; give more --seconds")
    write(found)
    gpu_run.run(sections, end - kept, found, write)
    if asked:
        files = gpu_training.files_of(volumes) if volumes else gpu_training.made_up(folder)
        section = gpu_training.Trainings(bench, files, arguments.out, asked).section()
        gpu_run.run([section], end, found, write)
    write(found)
    print(gpu_tables.markdown(found))
    if arguments.page:
        gpu_tables.fill(arguments.page, found)
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
