"""What bench/gpu.py measures of a device: equality with the CPU, determinism, speed, memory."""

import copy
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gpu_run import Section
from mrisr import metrics
from mrisr.common import devices, seeds
from mrisr.common.files import sha256
from mrisr.degrade.acquisition import PROFILE
from mrisr.degrade.resample import degrade, upsample
from mrisr.methods import method as methods
from mrisr.methods.method import Method
from mrisr.metrics import _slices
from mrisr.metrics._backbone import import_torchvision
from mrisr.networks.tiles import apply_tiled, convert, plan
from mrisr.reconstruct.apply import reconstruct
from mrisr.train.engine import PRECISION, TrainingJob, _batches, _loss, train
from mrisr.train.in_plane import InPlanePairs
from mrisr.train.learner import Learner
from mrisr.train.loop import Task, _step
from mrisr.volumes.io import Volume, save

DEGRADATION = {"kernel": "spline", "grid": "corners", "antialias": None}
# How far float32 of a device may be from the CPU's, and how many times the CPU's own rounding.
APART, OWN = 1e-5, 4
# The most important first; a section that runs out of time has measured these.
FIRST = ("arssr_rdn", "cubic_residual", "srcnn3d", "rescnn", "dcsrn", "lte", "coord", "irem")
MODES = {"plain": {}, "graphs": {"graphs": True}, "compile": {"compile": True}}
MODES["compile+graphs"] = {"compile": True, "graphs": True}
# In place of a method's own training settings, where it has them.
TINY = {"batch": 2, "queries": 200, "lr_patch": 6, "patch": 16}
# Precision and mode, in the order of importance: compilation takes the longest.
VARIANTS = [
    ("bfloat16", "graphs"), ("float32", "plain"), ("tf32", "graphs"), ("bfloat16", "plain"),
    ("tf32", "plain"), ("float32", "graphs"), ("bfloat16", "compile+graphs"),
    ("bfloat16", "compile"), ("tf32", "compile+graphs"), ("tf32", "compile"),
    ("float32", "compile+graphs"), ("float32", "compile"), ("bfloat16", "contiguous"),
]  # fmt: skip


@lru_cache(maxsize=16)
def volume_of(shape: tuple[int, ...], seed: int = 0) -> Volume:
    """Return a smooth random volume in [0,1]; not to be changed."""
    data = np.random.default_rng(seed).random(shape, dtype=np.float32)
    data = ndimage.gaussian_filter(data, [0.7 if n > 1 else 0 for n in shape])
    data = (data - data.min()) / np.ptp(data)
    return Volume(data.astype(np.float32), np.diag([0.8, 0.8, 0.8, 1]))


class Bench:
    """The measurements on one device.

    Args:
        device: What is measured.
        size: `paper` (published networks, batches and volumes) or `tiny` (those of the demo).
        folder: For files that are needed on the way.
        chosen: Methods to measure; default all.
    """

    def __init__(self, device: torch.device, size: str, folder: Path, chosen: Sequence[str] = ()):
        self.device, self.tiny, self.folder = device, size == "tiny", folder
        self.preset = "demo" if self.tiny else "published"
        self.edge = 20 if self.tiny else 264
        self.peaks: dict[str, float] = {}
        self._operations: dict[str, int] = {}
        names = sorted(methods.names(), key=lambda n: (FIRST.index(n) if n in FIRST else 99, n))
        self.methods = [
            n for n in names if methods.get(n).kind != "external" and n in (chosen or names)
        ]
        self.learned = [n for n in self.methods if methods.get(n).learned]

    def sections(self) -> list[Section]:
        """Return all sections but the training, the most important first."""
        slices = [n for n in metrics.names() if metrics.metadata(n).slices]
        rest = [n for n in metrics.names() if n not in slices]
        faster = [(name, mode) for name in FIRST[:2] for mode in ("graphs", "compile")]
        learned = [n for n in self.learned if n != "arssr_rdn_aligned"]  # ArSSR's network
        steps = [(n, p, mode) for p, mode in VARIANTS for n in learned]
        if self.tiny:
            few = [("float32", "plain"), ("bfloat16", "graphs")]
            steps = [(n, p, mode) for p, mode in few for n in learned]
            steps += [("srcnn3d", "float32", "compile")] * ("srcnn3d" in learned)
            faster = [("srcnn3d", "graphs"), ("srcnn3d", "compile")]
        # The solver takes the longest, and waits for no network.
        fast = [n for n in self.methods if n != "srr"]
        volumes = [(f"{k}×", n) for names in (fast, ["srr"]) for k in (2, 4) for n in names]
        resumed = [(n, "again and resumed") for n in FIRST[:3]]
        alike = [case for case in (*resumed, *faster) if case[0] in self.learned]
        equal, scores = "equality with the CPU", (*slices, *rest)
        if self.tiny:
            scores = (*rest, *slices)
        found = [
            ("matrices", "Products of matrices", 3, PRECISION, self.matrices),
            ("waiting", "Steps that wait for nothing", 8, self.learned, self.waiting),
            ("networks", f"Networks: {equal}", 14, self.learned, self.equal_network),
            ("reconstructions", f"Reconstruction: {equal}", 12, self.methods, self.equal_output),
            ("slices", f"Metrics on slices: {equal}", 6, slices, self.equal_metric),
            ("training", "Determinism, resumption", 10, alike, self.same_training),
            ("steps", "A training step with its batch", 30, steps, self.step),
            ("volumes", f"Reconstruction of {self.edge}³", 15, volumes, self.volume),
            ("metrics", f"Metrics of {self.edge}³", 8, scores, self.metric),
        ]
        return [
            Section(name, title, weight, [(c,) if isinstance(c, str) else c for c in cases], part)
            for name, title, weight, cases, part in found
        ]

    def clock(self) -> float:
        """Return the time in seconds once the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def seconds(self, part: Callable[[], object], passes: int = 3) -> float:
        """Return the least seconds of a part, after one call of it."""
        part()
        best = np.inf
        for _ in range(passes):
            begun = self.clock()
            part()
            best = min(best, self.clock() - begun)
        return float(best)

    def matrices(self, precision: str) -> dict:
        """Time a product of large square matrices: the peak that steps are held against."""
        devices.arithmetic(PRECISION[precision])
        n = 8192 if self.device.type == "cuda" else 128 if self.tiny else 1024
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        a = torch.randn(n, n, device=self.device, dtype=dtype)
        took = self.seconds(lambda: a @ a, 5)
        self.peaks[precision] = 2 * n**3 / took
        return {"edge": n, "ms": 1e3 * took, "TFLOP/s": self.peaks[precision] / 1e12}

    def job(self, method: Method, device: torch.device, **training: object) -> TrainingJob:
        """Return a training of a method on nothing yet."""
        settings = {**method.spec["training"]}
        if self.tiny:
            small = {**TINY, "batch": 200} if method.input == "stacks" else TINY
            settings |= {key: value for key, value in small.items() if settings.get(key)}
        settings |= training
        if "denoise" in settings:
            settings["denoise"] = {"weight": 0, "sigma": 1}
        kind = "slice" if method.input == "slice" else "volume"
        return TrainingJob(
            name=method.name,
            build=method.build,
            scales=method.spec.get("scale_range", [2]),
            spec={**method.spec, "training": settings},
            degradation={"kind": kind, **DEGRADATION},
            seed=1,
            train=[],
            val=[],
            checkpoints="",
            device=device,
        )

    def parts(self, job: TrainingJob) -> tuple[Callable[[int], tuple], Callable]:
        """Return the batches of a training and its loss of one."""
        training = job.spec["training"]
        if job.spec["input"] == "stacks":
            where = torch.rand(8 * training["batch"], 3).to(job.device)
            order = torch.randperm(len(where)).to(job.device)
            size = training["batch"]

            def drawn(step: int) -> tuple:
                chosen = order[step % 8 * size : (step % 8 + 1) * size]
                return where[chosen], where[chosen, 0]

            def squares(called: nn.Module, batch: tuple) -> torch.Tensor:
                low = training["precision"] == "bfloat16"
                with torch.autocast(job.device.type, dtype=torch.bfloat16, enabled=low):
                    output = called(batch[0])
                return (output.float() - batch[1]).square().mean()

            return drawn, squares
        if job.spec["input"] == "through_plane":
            edge = 48 if self.tiny else 96
            scan = volume_of((edge // 3, edge, edge))
            thick = Volume(scan.data, np.diag([2.4, 0.8, 0.8, 1]))
            pairs = InPlanePairs(thick, 1.0, PROFILE, training, job.device, job.name)
            low = training["precision"] == "bfloat16"

            def apart(called: nn.Module, batch: tuple) -> torch.Tensor:
                with torch.autocast(job.device.type, dtype=torch.bfloat16, enabled=low):
                    output = called(batch[0], batch[1].shape[1])
                return (output.float() - batch[1]).abs().mean()

            return pairs, apart
        edge = methods.Method(job.name, job.spec, Path()).patch_size(max(job.scales))
        if job.degradation["kind"] == "slice":
            patches = [volume_of((1, edge + 8, edge + 8), i).data for i in range(8)]
        else:
            count = max(8, min(64, training["batch"]))
            few = [torch.from_numpy(volume_of((edge,) * 3, i).data) for i in range(4)]
            patches = torch.stack([few[i % 4].roll(i, 0) for i in range(count)])
        batches = _batches(job, patches, "train")
        return batches, lambda called, batch: _loss(called, *batch, training)[0]

    def network(self, method: Method) -> nn.Module:
        """Return a network with random weights, none of which hides a difference by a dead head."""
        model = {"head": "linear"} if method.spec.get("model", {}).get("head") == "relu" else {}
        torch.manual_seed(0)
        return method.build(**model)

    def waiting(self, name: str) -> dict:
        """Take steps that fail if they wait for the device; it can only be seen on a GPU."""
        method = methods.get(name, preset=self.preset)
        job = self.job(method, self.device)
        batches, loss = self.parts(job)
        training = job.spec["training"]
        network = convert(self.network(method), self.device)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        learner = Learner(name, network, loss, training)
        learn = lambda step: learner(batches(step))  # noqa: E731
        task = Task(name, training, network, optimizer, 1, 1, learn, lambda _: (0.0, 1.0))
        _step(task, 0)
        gpu = self.device.type == "cuda"
        if gpu:
            torch.cuda.set_sync_debug_mode("error")
        try:
            value = [_step(task, step) for step in (1, 2)][-1]
        finally:
            if gpu:
                torch.cuda.set_sync_debug_mode("default")
        made = {"loss": float(value), "ok": bool(value.isfinite())}
        return made if gpu else {**made, "note": "that it waits for nothing shows on a GPU alone"}

    def equal_network(self, name: str) -> dict:
        """Hold the forward pass and the gradients in float32 against the CPU's."""
        devices.arithmetic("ieee")
        method = methods.get(name, preset=self.preset)
        training = method.spec["training"]
        few = {"queries": min(training.get("queries", 0), 500) or None, "precision": "float32"}
        few["batch"] = 64 if method.input == "stacks" else 2
        few = {key: value for key, value in few.items() if value}
        batches, _ = self.parts(self.job(method, torch.device("cpu"), **few))
        batch = batches(0)
        inputs, target = batch if isinstance(batch[0], tuple) else ((batch[0],), batch[1])
        more = (target.shape[1],) if method.input == "through_plane" else ()
        target = target[0] if isinstance(target, tuple) else target
        plain = self.network(method).train()
        outputs, gradients = [], []
        kinds = [("cpu", torch.float64), ("cpu", torch.float32), (self.device, torch.float32)]
        for device, dtype in kinds:
            network = copy.deepcopy(plain).to(dtype)
            network = convert(network, device)
            made = network(*(part.to(device, dtype) for part in inputs), *more)
            (made - target.to(device, dtype)).abs().mean().backward()
            outputs.append(made.detach().cpu().double())
            gradients.append([p.grad.cpu().double() for p in network.parameters()])
        most = max(float(g.abs().max()) for g in gradients[0])

        def apart(a: int, b: int) -> tuple[float, float]:
            of_gradients = zip(gradients[a], gradients[b], strict=True)
            return (
                float((outputs[a] - outputs[b]).abs().max()),
                max(float((g - h).abs().max()) for g, h in of_gradients) / most,
            )

        own, here = apart(1, 0), apart(2, 1)
        ok = all(h <= max(APART, OWN * o) for h, o in zip(here, own, strict=True))
        return {
            "forward": here[0], "gradients": here[1],
            "forward of the CPU from float64": own[0], "gradients likewise": own[1], "ok": ok,
        }  # fmt: skip

    def inputs(self, method: Method, edge: int, scale: float) -> tuple[Volume, object]:
        """Return a ground truth of this edge, and what a method reconstructs it from."""
        kind = "volume" if method.input == "ground_truth" else method.input
        truth = volume_of((1, edge, edge) if kind == "slice" else (edge,) * 3)
        low = degrade(truth, scale, {"kind": kind, **DEGRADATION})
        return truth, truth if method.input == "ground_truth" else low.get("", low)

    @torch.inference_mode()
    def equal_output(self, name: str) -> dict:
        """Hold a reconstruction against the CPU's, and tiles on the device against the whole."""
        devices.arithmetic("ieee")
        method = methods.get(name, preset=self.preset)
        truth, lr = self.inputs(method, 24 if self.tiny else 40, 2)
        network = self.network(method).eval() if method.learned else None
        results = []
        for device in (torch.device("cpu"), self.device):
            there = convert(copy.deepcopy(network), device) if network is not None else None
            made = reconstruct(method, there, lr, truth.data.shape, 2, truth.affine, device=device)
            results.append(made.data)
        apart = float(np.abs(results[1] - results[0]).max())
        size = max(1.0, float(np.abs(results[0]).max()))
        found = {"reconstruction": apart, "ok": apart <= APART * size}
        if network is None or not hasattr(network, "halo"):
            return found
        query = method.spec.get("network") == "query"
        sides = (6, 5)[: 1 if method.input == "slice" else 2]
        lr_volume = torch.rand(1, 1, 3 * max(8, network.halo), *sides)
        tiles = plan(lr_volume.shape[2:], network.halo, 1)
        there = convert(copy.deepcopy(network), self.device)
        whole = (network.encode if query else network)(lr_volume)
        applied = there.encode if query else there
        tiled = apply_tiled(
            applied, lr_volume.to(self.device), tiles, factor=getattr(network, "factor", 1)
        )
        seams = float((tiled.cpu() - whole).abs().max()) / max(1.0, float(whole.abs().max()))
        return {**found, "tiles": seams, "ok": found["ok"] and seams <= 2 * APART}

    def pair(self, edge: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a volume and its cubic reconstruction at 2x."""
        truth = volume_of((edge,) * 3)
        low = degrade(truth, 2, {"kind": "volume", **DEGRADATION})[""]
        return truth.data, upsample(low.data, truth.data.shape)

    def taken(self, name: str, pair: tuple, device: torch.device) -> list[np.ndarray]:
        """Return the scores of all slices of a volume."""
        given = dict(self.backbone()) if name == "lpips" else {}
        given = {"device": device, **given}
        few = 8 if self.tiny else 1
        both = [[255 * stack[::few] for stack in _slices.stacks(data)] for data in pair]
        taken = metrics.get(name)
        if not metrics.metadata(name).reference:
            return [np.asarray(taken(image, **given)) for image in both[1]]
        return [np.asarray(taken(*stacks, **given)) for stacks in zip(*both, strict=True)]

    def backbone(self) -> dict:
        """Return LPIPS' settings with a stand-in for its backbone: right in shape, untrained."""
        import_torchvision()
        from torchvision.models import alexnet

        file = self.folder / "stand_in.pth"
        if not file.exists():
            torch.manual_seed(0)
            features = alexnet().features.state_dict().items()
            torch.save({f"features.{key}": value for key, value in features}, file)
        return {"backbone": str(file), "sha256": sha256(file)}

    def equal_metric(self, name: str) -> dict:
        """Hold a metric on slices against the CPU's."""
        pair = self.pair(44 if self.tiny else 64)
        kinds = (torch.device("cpu"), self.device)
        cpu, here = (np.concatenate(self.taken(name, pair, device)) for device in kinds)
        size = max(1.0, float(np.nanmax(np.abs(cpu))))
        apart = float(np.nanmax(np.abs(here - cpu)))
        return {"largest difference": apart, "slices": len(cpu), "ok": apart <= APART * size}

    def same_training(self, name: str, what: str) -> dict:
        """Train a small network twice; again and resumed, or with an option and without."""
        devices.arithmetic("ieee")
        method = methods.get(name, preset="demo")
        few = {"epochs": 2, "steps": None, "steps_per_epoch": 3, "batch": 2, "restarts": 0}
        few |= {"patches_per_subject": 4, "checkpoint_minutes": 10**6, "precision": "float32"}
        if "queries" in method.spec["training"]:
            few["queries"] = 200
        files = []
        for index in range(3):
            files.append(str(self.folder / f"sub-{index}.nii.gz"))
            if not Path(files[-1]).exists():
                save(volume_of((44,) * 3, index), files[-1])

        def trained(stop: int | None = None, **options: object) -> tuple[dict, dict]:
            job = self.job(method, self.device, **few, **options)
            kept = self.folder / f"checkpoints-{seeds.seed(name, what, stop, str(options))}"
            job = replace(job, train=files[:2], val=files[2:], checkpoints=str(kept))
            if stop is not None:
                train(job, stop=lambda step: step == stop)
            made = train(job)
            return made.state, made.info

        plain, _ = trained()
        torch.compiler.reset()

        def apart(other: dict) -> float:
            return max(
                float((other[k].double() - v.double()).abs().max()) for k, v in plain.items()
            )

        if what in MODES:
            made, info = trained(**MODES[what])
            said = info[what]
            found = {"largest difference": apart(made), "steps": info["steps"]}
            if said != "yes":
                return {**found, "note": f"without it: {said}"}
            return {**found, "ok": found["largest difference"] <= 1e-3}
        repeated, resumed = apart(trained(stop=99)[0]), apart(trained(stop=4)[0])
        found = {"again": repeated, "resumed": resumed}
        if repeated == 0 == resumed:
            return {**found, "ok": True, "note": "the same bits"}
        # Sums of a GPU in no fixed order: a resumption may differ as two runs do, not more.
        ok = self.device.type == "cuda" and resumed <= max(1e-4, 10 * repeated)
        return {**found, "ok": ok, "note": "not the same bits"}

    def step(self, name: str, precision: str, mode: str) -> dict:
        """Time a training step with its batch, and what follows for the published training."""
        if precision == "bfloat16" and not devices.has_bfloat16(self.device) and not self.tiny:
            return {"lacks": "bfloat16 in hardware"}
        devices.arithmetic(PRECISION[precision])
        method = methods.get(name, preset=self.preset)
        job = self.job(method, self.device, precision=precision, **MODES.get(mode, {}))
        training = job.spec["training"]
        batches, loss = self.parts(job)
        plain = mode == "contiguous"
        network = self.network(method)
        network = network.to(self.device) if plain else convert(network, self.device)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        torch.compiler.reset()  # else it gives up after so many networks
        learner = Learner(name, network.train(), loss, training)

        def learn(step: int) -> None:
            learner(batches(step))
            optimizer.step()

        if name not in self._operations:
            with FlopCounterMode(display=False) as counter:
                loss(network, batches(0)).backward()
            self._operations[name] = counter.get_total_flops()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        learn(0)
        once = self.seconds(lambda: learn(1), 1)
        count = 1 if self.tiny else int(np.clip(0.5 / once, 3, 100))
        begun = self.clock()
        for step in range(2, 2 + count):
            learn(step)
        host = time.perf_counter() - begun
        took = (self.clock() - begun) / count
        begun = self.clock()
        for step in range(count):
            batches(step)
        data = (self.clock() - begun) / count
        rate = self._operations[name] / took
        published = method.spec.get("published_steps")
        hours = published * took / 3600 if published and not self.tiny else None
        found = {
            "batch": training["batch"], "ms": 1e3 * took, "CPU's part (ms)": 1e3 * host / count,
            "data path (ms)": 1e3 * data, "share of data path": data / took,
            "TFLOP/s": rate / 1e12,
            "of the peak": rate / self.peaks[precision] if precision in self.peaks else None,
            "hours as published": hours, "peak MiB": self.memory(),
        }  # fmt: skip
        reasons = [f"no {key}: {said}" for key, said in learner.said.items() if said != "yes"]
        return {**found, "note": "; ".join(reasons)} if reasons else found

    def memory(self) -> float:
        """Return the peak memory in MiB: of the GPU since it was reset, or of this process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def volume(self, factor: str, name: str) -> dict:
        """Time a reconstruction, the first of its shape and a second one."""
        devices.arithmetic("ieee")
        scale = int(factor[:-1])
        method = methods.get(name, preset=self.preset)
        refused = method.refuses(scale)
        if refused:
            return {"lacks": refused}
        truth, lr = self.inputs(method, self.edge, scale)
        network = convert(self.network(method).eval(), self.device) if method.learned else None
        given = devices.memory_mb(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        took = []
        for _ in range(2):
            begun = self.clock()
            reconstruct(
                method, network, lr, truth.data.shape, scale, truth.affine,
                device=self.device, memory_mb=given,
            )  # fmt: skip
            took.append(self.clock() - begun)
        return {"first (s)": took[0], "again (s)": took[1], "peak MiB": self.memory()}

    def metric(self, name: str) -> dict:
        """Time a metric of a volume."""
        pair = self.pair(44 if self.tiny else self.edge)
        sliced = metrics.metadata(name).slices
        where = self.device if sliced else torch.device("cpu")
        if sliced:
            if not self.tiny:
                self.taken(name, self.pair(44), self.device)  # kernels are loaded once
            begun = self.clock()
            self.taken(name, pair, self.device)
        else:
            begun = self.clock()
            metrics.get(name)(*pair)
        return {"seconds": self.clock() - begun, "on": where.type}
