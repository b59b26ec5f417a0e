"""Rule prepare_<dataset>_real: LR input of real scans, and their SR grids, at one scale."""

from mrisr.common import files
from mrisr.common.progress import job
from mrisr.prepare.real_volumes import lr_scans, prepare_lr_subjects

with job(snakemake.log[0], snakemake.threads):
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    scale = float(snakemake.wildcards.scale)
    settings = {key: params[key] for key in ("crop", "mask", "min_size", "intensity")}
    settings["slice_axis"] = params.get("slice_axis")
    prepare_lr_subjects(
        lr_scans(given.sources, params.subjects, made.lr, made.masks),
        scale=scale,
        **settings,
        staging=files.Staging(
            params.staging, [params.code, scale, settings, files.sha256(given.sources)]
        ),
    )
