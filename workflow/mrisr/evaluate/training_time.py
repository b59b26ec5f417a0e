"""Quality against training time: PSNR over cubic during a training, kept in model.json.

It is measured in the middle of the validation subjects, never in test subjects. During a training
the learning rate is as high as the schedule sets it. A training that ended there with a falling
rate would score better. The last row is of the weights that are kept.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mrisr.common.files import digest, write_json
from mrisr.common.progress import log
from mrisr.degrade.resample import degrade, upsample
from mrisr.metrics import psnr
from mrisr.reconstruct.apply import reconstruct
from mrisr.train.engine import Trained, TrainingJob, train
from mrisr.train.loop import lasting
from mrisr.volumes.io import Volume, load

if TYPE_CHECKING:
    from mrisr.methods.method import Method

EDGE = 64


@dataclass(frozen=True)
class Case:
    """The middle cube of a validation subject at one scale.

    Attributes:
        truth: Ground truth.
        lr: LR simulated from the cube.
        scale: Scale of the simulation.
        cubic: PSNR of cubic interpolation in dB.
    """

    truth: Volume
    lr: Volume
    scale: float
    cubic: float


def middle(volume: Volume, edge: int) -> Volume:
    """Return the cube of `edge` voxels in the middle of a volume, smaller where the volume is."""
    spans = []
    for n in volume.data.shape:
        size = min(edge, n)
        start = (n - size) // 2
        spans.append(slice(start, start + size))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [span.start for span in spans]
    return replace(volume, data=np.ascontiguousarray(volume.data[tuple(spans)]), affine=affine)


class Curve:
    """Measures a training as it goes on.

    Args:
        job: The training; `training.curve` of its spec has the minutes and scales.
        method: The method that is trained.
    """

    def __init__(self, job: TrainingJob, method: "Method"):
        self.job, self.method = job, method
        chosen = job.spec["training"]["curve"]
        wanted = chosen["scales"] if len(job.scales) > 1 else job.scales
        self.minutes = sorted(chosen["minutes"])
        self.cases = [
            case
            for file in job.val
            for case in self._cases(middle(load(file), chosen.get("edge", EDGE)), wanted)
        ]
        # Rows belong to the checkpoint of the same training only.
        spec = {**job.spec, "training": lasting(job.spec["training"])}
        mark = digest([job.name, list(job.scales), job.seed, job.code, spec, list(job.val)])
        self.file = Path(f"{job.checkpoints}-curve-{mark}.json")
        self.rows: list[dict] = json.loads(self.file.read_text()) if self.file.exists() else []

    def observe(self, step: int, network: torch.nn.Module, seconds: float) -> None:
        """Measure, if a wanted minute has passed since the last measurement."""
        # A training that was killed continues from an earlier step, and measures again from there.
        self.rows = [row for row in self.rows if row["step"] < step]
        before = max((row["minutes"] for row in self.rows), default=0.0)
        if not any(before < minute <= seconds / 60 for minute in self.minutes):
            return
        network.eval()
        self.rows.append(self._row(step, network, seconds))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, self.rows)

    def finish(self, trained: Trained) -> list[dict]:
        """Return all rows; the last one is of the weights that are kept."""
        network = self.method.build()
        network.load_state_dict(trained.state)
        network = network.to(self.job.device).eval()
        last = self._row(trained.info["steps"], network, trained.info["seconds"])
        self.file.unlink(missing_ok=True)
        return [*(row for row in self.rows if row["step"] < last["step"]), last]

    def _cases(self, truth: Volume, scales: Sequence[float]) -> list[Case]:
        found = []
        for scale in scales:
            lr = degrade(truth, scale, self.job.degradation)[""]
            cubic = upsample(lr.data, truth.data.shape, self.job.degradation["grid"])
            found.append(Case(truth, lr, scale, _psnr(truth, cubic)))
        return found

    def _row(self, step: int, network: torch.nn.Module, seconds: float) -> dict:
        gains: dict[float, list[float]] = {}
        with torch.inference_mode():
            for case in self.cases:
                sr = reconstruct(
                    *(self.method, network, case.lr, case.truth.data.shape, case.scale),
                    *(case.truth.affine, self.job.degradation["grid"], self.job.device),
                )
                gains.setdefault(case.scale, []).append(_psnr(case.truth, sr.data) - case.cubic)
        over = {f"{scale:g}": round(float(np.mean(gain)), 4) for scale, gain in gains.items()}
        told = ", ".join(f"{gain:+.2f} dB at {scale}x" for scale, gain in over.items())
        log.info(
            "%s: after %.2f min, in the middle of %d validation subjects, PSNR over cubic %s",
            *(self.job.name, seconds / 60, len(self.job.val), told),
        )
        return {"step": step, "minutes": round(seconds / 60, 4), "psnr_over_cubic": over}


def _psnr(truth: Volume, image: np.ndarray) -> float:
    return float(psnr(truth.data, np.clip(image, 0, 1)))


def with_curve(method: "Method") -> Callable[..., Trained | None]:
    """Return the engine as a trainer that also measures, and adds `curve` to model.json.

    Args:
        method: The method that is trained.
    """

    def trainer(job: TrainingJob, stop: Callable[[int], bool]) -> Trained | None:
        curve = Curve(job, method)
        trained = train(job, stop, curve.observe)
        if trained is None:
            return None
        return replace(trained, info={**trained.info, "curve": curve.finish(trained)})

    return trainer
