"""The contract of methods: clauses for all, and clauses for those in Python."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from mrisr.common import devices
from mrisr.common.errors import require
from mrisr.contract.samples import (
    DEMO_VOXELS,
    Sample,
    claimed,
    cpu_seconds,
    sample,
    without_gpu,
)
from mrisr.methods import method as methods
from mrisr.reconstruct.apply import reconstruct
from mrisr.volumes.io import Volume

Clause = Callable[[str, Sequence[str | Path]], None]

#: Processor seconds that one volume of the demo may take.
VOLUME_SECONDS = 120
#: How far intensities may lie outside of the ground truth's range, [0,1].
OVERSHOOT = 0.5


def says_what_it_is(name: str, plugins: Sequence[str | Path]) -> None:
    """Check the label, and that every job states its requests."""
    method = methods.get(name, search=plugins)
    where = f"{method.folder}/method.yaml"
    require(method.label.strip(), f"{where}: label: is empty; name the method as tables shall")
    stages = ["reconstruct", *(["train"] if method.learned and method.kind != "external" else [])]
    for stage in stages:
        asked = method.spec["resources"].get(stage, {})
        missing = [key for key in ("threads", "mem_mb", "runtime") if key not in asked]
        require(
            not missing,
            f"{where}: resources.{stage}: say {', '.join(missing)}, or a cluster guesses",
        )
    if "training" in method.spec:
        shrunk = method.spec.get("demo", {}).get("training")
        require(shrunk, f"{where}: demo.training: is missing, so the demo would train in full")


def refuses_beyond_its_limits(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that scales inside the limits are accepted, and others refused with a reason."""
    method = methods.get(name, search=plugins)
    limits, where = method.spec.get("limits", {}), f"{method.folder}/method.yaml: limits"
    wanted = limits.get("scales", [])
    inside = [*wanted, *(limits[k] for k in ("min_scale", "max_scale") if k in limits)]
    for scale in inside:
        if scale > 1:
            require(method.refuses(scale) is None, f"{where}: {scale} is inside, but is refused")
    outside = [limits["max_scale"] + 1] if "max_scale" in limits else []
    outside += [limits["min_scale"] / 2] if "min_scale" in limits else []
    outside += [max(wanted) + 0.5] if wanted else []
    for scale in outside:
        said = method.refuses(scale) or ""
        require("not supported" in said, f"{where}: {scale} is outside, but is not refused")
        require(
            "reason" not in limits or limits["reason"] in said,
            f"{where}: the reason is not told where {scale} is refused",
        )
    require(claimed(method), f"{where}: none of the scales 1.5, 2, 3, 4 is left; see min_scale")


def reconstructs_on_the_grid(name: str, plugins: Sequence[str | Path]) -> None:
    """Check shape, type, affine and values at every scale that the method claims."""
    method = methods.get(name, preset="demo", search=plugins)
    for scale in claimed(method):
        tried = sample(name, plugins, scale)
        found, where = _apply(tried), f"{method.folder}: at scale {scale:g}"
        require(
            np.array_equal(found.affine, tried.truth.affine), f"{where}: the affine is another one"
        )
        require(found.data.dtype == np.float32, f"{where}: voxels are {found.data.dtype}")
        require(np.isfinite(found.data).all(), f"{where}: voxels are not finite")


def is_deterministic(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that the same input gives the same bytes and is not changed."""
    tried = sample(name, plugins)
    volumes = [tried.lr] if isinstance(tried.lr, Volume) else list(tried.lr.values())
    before = [volume.data.copy() for volume in volumes]
    first, second = _apply(tried), _apply(tried)
    where = tried.method.folder
    require(
        np.array_equal(first.data, second.data),
        f"{where}: the same input gave two results; seed what is drawn (mrisr.common.seeds)",
    )
    require(
        all(np.array_equal(v.data, old) for v, old in zip(volumes, before, strict=True)),
        f"{where}: reconstruct() changes its input; copy it first",
    )


def keeps_the_range(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that intensities stay in the range of the input; for a network, within wide limits.

    The output of a network with random weights says little, but it may not blow up.
    """
    tried = sample(name, plugins)
    found, where = _apply(tried).data, tried.method.folder
    if tried.network is not None:
        require(np.abs(found).max() < 100, f"{where}: intensities beyond 100 from input in [0,1]")
        return
    low, high = float(found.min()), float(found.max())
    require(
        low > -OVERSHOOT and high < 1 + OVERSHOOT,
        f"{where}: intensities {low:.3g} to {high:.3g}, the ground truth's are in [0,1]; undo what"
        " was scaled",
    )
    apart = abs(float(found.mean()) - float(tried.truth.data.mean()))
    require(
        apart < 0.1,
        f"{where}: the mean is {apart:.3g} off the ground truth's; undo what was scaled",
    )


def falls_back_to_a_cpu(name: str, plugins: Sequence[str | Path]) -> None:
    """Check that a method which asks for a GPU computes where there is none."""
    with without_gpu():
        device = devices.pick(torch.get_num_threads())
        require(device.type == "cpu", "a GPU was picked where there is none")
        tried = sample(name, plugins)
        try:
            _apply(tried, device)
        except (RuntimeError, AssertionError) as error:
            require(
                False,
                f"{tried.method.folder}: fails without a GPU ({error}); compute on query.device",
            )


def is_quick_in_the_demo(name: str, plugins: Sequence[str | Path]) -> None:
    """Check the time for a volume of the demo, estimated from a small volume."""
    tried = sample(name, plugins)
    took = min(cpu_seconds(lambda: _apply(tried)) for _ in range(2))
    seconds = took * DEMO_VOXELS / tried.truth.data.size
    require(
        seconds < VOLUME_SECONDS,
        f"{tried.method.folder}: a volume of the demo would take {seconds:.0f} s of a processor,"
        f" more than {VOLUME_SECONDS}; shrink it in the demo block of method.yaml",
    )


def _apply(tried: Sample, device: object = "cpu") -> Volume:
    return reconstruct(
        tried.method, tried.network, tried.lr, tried.truth.data.shape, tried.scale,
        tried.truth.affine, device=device,
    )  # fmt: skip


CLAUSES: dict[str, Clause] = {
    "says what it is and what its jobs ask for": says_what_it_is,
    "refuses scales outside its limits with a reason": refuses_beyond_its_limits,
}
IN_PYTHON: dict[str, Clause] = {
    "reconstructs on the grid of the ground truth at every scale it claims": (
        reconstructs_on_the_grid
    ),
    "gives the same bytes twice and leaves its input alone": is_deterministic,
    "keeps the range of intensities": keeps_the_range,
    "computes on a CPU where no GPU is": falls_back_to_a_cpu,
    "takes a volume of the demo in two minutes at most": is_quick_in_the_demo,
}
