"""How many cores this process may use: what the machine, the container and the user leave to it."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def available() -> int:
    """Return the cores that this process may use, at least 1.

    Those of its affinity, as `taskset` and Slurm set it, and no more than a container's share of
    time (`docker run --cpus`, a Kubernetes limit), which affinity does not show.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_shares()]))


def wanted() -> int:
    """Return the threads that the user wants: OMP_NUM_THREADS, else `available`."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else available()


def let_others_work() -> None:
    """Have threads of OpenMP sleep while they wait; to be called before torch is imported.

    Where other programs use the cores too, threads that spin for each other hold up the one that
    they wait for.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def _shares() -> list[int]:
    """Return the shares of time of this process's control groups in cores, rounded up."""
    shares = []
    for folder in _groups():
        for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
            try:
                words = " ".join((folder / name).read_text() for name in files).split()
            except OSError:  # another version of control groups, or none
                continue
            if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
                shares.append(math.ceil(int(words[0]) / int(words[1])))
    return shares


def _groups() -> list[Path]:
    """Return the folders of this process's control group and of those that it is in."""
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:
        return []
    found: dict[Path, None] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = CGROUPS / controllers if controllers else CGROUPS
        folder = top / path.lstrip("/")
        while folder != top and top in folder.parents:
            found[folder] = None
            folder = folder.parent
        found[top] = None
    # Inside a container the group's path is that of the host, and its files lie at the top.
    return list(found)
