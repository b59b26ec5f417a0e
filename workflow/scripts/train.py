"""Rules train_<method> and train_<method>_<dataset>: one model."""

from datetime import UTC, datetime
from pathlib import Path

from mrisr.common import devices, provenance, volume_lists
from mrisr.common.files import sha256
from mrisr.common.progress import job
from mrisr.evaluate.training_time import with_curve
from mrisr.methods import method as methods
from mrisr.methods.import_weights import start_of
from mrisr.train import engine as train

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    method = methods.unpack(params.method)
    checksums = [volume_lists.checksums(snakemake.input.get(k, [])) for k in ("train", "val")]
    others = [
        str(file)
        for kind in ("train_denoised", "val_denoised", "masks")
        for file in snakemake.input.get(kind, [])
    ]
    state, started_from = {}, None
    for file in snakemake.input.get("start", []):
        state, started_from = start_of(method, file)
        others.append(str(file))
    scales = params.scales or [float(snakemake.wildcards.scale)]
    training = train.TrainingJob(
        name=method.name,
        build=method.build,
        scales=scales,
        spec=method.spec,
        degradation=params.degradation,
        seed=params.seed,
        train=list(checksums[0]),
        val=list(checksums[1]),
        checkpoints=params.staging,
        code=params.code,
        device=devices.pick(snakemake.threads),
        train_denoised=list(snakemake.input.get("train_denoised", [])),
        val_denoised=list(snakemake.input.get("val_denoised", [])),
        masks=list(snakemake.input.get("masks", [])),
        start=state,
        checksums={**checksums[0], **checksums[1], **{file: sha256(file) for file in others}},
    )
    about = {
        "method": method.name,
        "folder": method.folder.name,
        "preset": method.preset,
        "scales": list(scales),
        **method.spec,
        "degradation": params.degradation,
        "seed": params.seed,
        "dataset": params.dataset,
        "train_subjects": [Path(file).name.removesuffix(".nii.gz") for file in training.train],
        "val_subjects": [Path(file).name.removesuffix(".nii.gz") for file in training.val],
        **({"started_from": started_from} if started_from else {}),
        "code": params.code,
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "device": str(training.device),
        "threads": snakemake.threads,  # sums are taken in another order with more of them
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    measured = method.spec["training"].get("curve")
    engine = with_curve(method) if measured else train.train
    trainer = method.function("train") or engine
    train.train_and_save(training, Path(snakemake.output.model).parent, about, trainer)
