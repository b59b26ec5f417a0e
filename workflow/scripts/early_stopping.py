"""Rule early_stopping_<method>: metrics of a training that goes on after its own end."""

from pathlib import Path

from mrisr.common import devices, volume_lists
from mrisr.common.progress import job
from mrisr.evaluate.early_stopping import early_stopping
from mrisr.methods import method as methods
from mrisr.train.engine import TrainingJob

with job(snakemake.log[0], snakemake.threads):
    params, files = snakemake.params, snakemake.input
    method = methods.unpack(params.method)
    early_stopping(
        TrainingJob(
            name=method.name,
            build=method.build,
            scales=[float(scale) for scale in params.scales],
            spec=method.spec,
            degradation=params.degradation,
            seed=params.seed,
            train=list(volume_lists.checksums(files.train)),
            val=list(volume_lists.checksums(files.val)),
            checkpoints=params.staging,
            code=params.code,
            device=devices.pick(snakemake.threads),
            train_denoised=list(files.get("train_denoised", [])),
            val_denoised=list(files.get("val_denoised", [])),
        ),
        method,
        **{key: params.about[key] for key in ("scale", "points", "each")},
        last=params.about["steps"],
        folder=Path(snakemake.output.curve).parent,
    )
