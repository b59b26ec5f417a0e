"""The last section of bench/gpu.py: trainings by the clock, and what their models are worth."""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as tensors

from gpu_run import OutOfTime, Section
from gpu_sections import DEGRADATION, Bench, volume_of
from mrisr.common import devices
from mrisr.common.errors import InputError
from mrisr.common.files import atomic, write_text
from mrisr.degrade.resample import degrade, upsample
from mrisr.methods import method as methods
from mrisr.networks.tiles import convert
from mrisr.reconstruct.apply import reconstruct
from mrisr.train.engine import train
from mrisr.volumes.io import Volume, load, save

MOST_BYTES = 16 * 2**20
# Patches from each subject, and steps between validations.
PATCHES, STEPS = 120, 250


@dataclass(frozen=True)
class Files:
    """Ground truths by their use; each `*_hr.nii` or `*_hr.nii.gz`."""

    train: list[str]
    val: list[str]
    test: list[str]


def files_of(folder: Path) -> Files:
    """Return the ground truths in the folders `train`, `val` and `test` of a folder.

    Raises:
        SystemExit: One of them has none.
    """
    found = {
        use: sorted(map(str, (folder / use).glob("*.nii*"))) for use in ("train", "val", "test")
    }
    for use, files in found.items():
        if not files:
            raise SystemExit(f"{folder / use}: no volume; give a folder with train, val and test")
    return Files(**found)


def made_up(folder: Path) -> Files:
    """Return smooth random volumes, for a try without data."""
    uses: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for index, use in enumerate(("train", "train", "val", "test")):
        file = folder / f"made-up-{index}_hr.nii.gz"
        save(volume_of((48, 48, 48), 10 + index), file)
        uses[use].append(str(file))
    return Files(**uses)


class Trainings:
    """Trainings on the volumes given.

    Args:
        bench: The device and the size.
        files: The volumes.
        out: Folder that curves and weights are written to.
        seconds: Of each training, by method.
    """

    def __init__(self, bench: Bench, files: Files, out: Path, seconds: dict[str, float]):
        self.bench, self.files, self.out, self.asked = bench, files, out, seconds

    def section(self) -> Section:
        """Return the section."""
        cases = [(name, f"{seconds:g} s") for name, seconds in self.asked.items()]
        return Section("trained", "Trainings", 1, cases, self.measure)

    def measure(self, name: str, _: str) -> dict:
        """Train for its seconds; write weights and curve, and test the weights as written."""
        bench, gpu = self.bench, self.bench.device.type == "cuda"
        low = gpu and devices.has_bfloat16(bench.device)
        base = methods.get(name, preset=bench.preset).spec["training"]
        settings = {
            "minutes": self.asked[name] / 60, "epochs": 10**6, "steps": None,
            "steps_per_epoch": STEPS, "patches_per_subject": PATCHES, "foreground": True,
            "checkpoint_minutes": 10**6, "schedule_by": "time",
            "precision": "bfloat16" if low else "float32", "restarts": 1, "graphs": gpu,
        }  # fmt: skip
        if base.get("schedule", "step") == "step":  # its epochs would never end
            settings["schedule"] = "cosine"
        if bench.tiny:
            settings |= {"patches_per_subject": 4, "steps_per_epoch": 5}
        method = methods.get(name, {"training": settings}, bench.preset)
        if method.input != "volume" or method.kind != "supervised":
            raise InputError(f"{name}: --train takes supervised methods of volumes")
        job = replace(
            bench.job(method, bench.device),
            train=self.files.train,
            val=self.files.val,
            checkpoints=str(bench.folder / f"training-{name}"),
        )
        made = train(job)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(made.log[0]))
        writer.writeheader()
        writer.writerows(made.log)
        write_text(self.out / f"curve_{name}.csv", text.getvalue())
        half = {k: v.half() if v.is_floating_point() else v for k, v in made.state.items()}
        content = tensors({key: value.contiguous() for key, value in half.items()})
        found = {
            "steps": made.info["steps"],
            "ms a step": 1e3 * made.info["seconds"] / made.info["steps"],
            "val loss": made.info["val_loss"], "subjects": len(job.train),
            "bytes": len(content), "precision": made.info["precision"],
        }  # fmt: skip
        if len(content) < MOST_BYTES:
            with atomic(self.out / f"weights_{name}.safetensors") as temporary:
                temporary.write_bytes(content)
        else:
            found["note"] = "its weights are too large to be written"
        network = method.build()
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in half.items()}
        )
        network = convert(network, bench.device).eval()
        found["ok"] = bool(np.isfinite(made.info["val_loss"])) and not made.info["collapsed"]
        try:
            for scale in (2, 4) if method.models == "all_scales" else (2,):
                found |= self.tested(method, network, scale)
        except OutOfTime:  # what was trained is there
            found["note"] = f"no time for the test at {scale}×"
        return found

    def tested(self, method: methods.Method, network: torch.nn.Module, scale: int) -> dict:
        """Return the mean PSNR over the test volumes and that of cubic interpolation."""
        devices.arithmetic("ieee")
        ours, cubic = [], []
        for file in self.files.test:
            hr = load(file)
            if self.bench.tiny:
                middle = [slice(max(0, n // 2 - 24), n // 2 + 24) for n in hr.data.shape]
                hr = Volume(np.ascontiguousarray(hr.data[tuple(middle)]), hr.affine)
            lr = degrade(hr, scale, {"kind": "volume", **DEGRADATION})[""]
            sr = reconstruct(
                method, network, lr, hr.data.shape, scale, hr.affine, device=self.bench.device
            )
            ours.append(decibels(hr.data, sr.data))
            cubic.append(decibels(hr.data, upsample(lr.data, hr.data.shape)))
        return {
            f"PSNR {scale}× (dB)": float(np.mean(ours)),
            f"cubic {scale}× (dB)": float(np.mean(cubic)),
        }


def decibels(reference: np.ndarray, image: np.ndarray) -> float:
    """Return the PSNR as `mrisr.metrics.psnr` does, which needs scikit-image."""
    error = np.square(reference.astype(np.float64) - image).mean()
    return float(10 * np.log10(float(np.ptp(reference)) ** 2 / error))
