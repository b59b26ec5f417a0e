"""Rules reconstruct_<method>_<dataset>: SR volumes of all subjects, or of one."""

from mrisr import devices, files, methods
from mrisr.layout import inputs_by_item
from mrisr.progress import job, log
from mrisr.reconstruct import reconstruct_subjects

# Of the job's memory; the rest is for volumes, libraries and what was not foreseen.
MEMORY_SHARE = 0.7

with job(snakemake.log[0], snakemake.threads):
    params, wildcards = snakemake.params, snakemake.wildcards
    # Under its name a single file would be text, not a list.
    outputs, inputs = list(snakemake.output), list(snakemake.input.lr)
    masks = list(snakemake.input.get("masks", []))
    model = next(iter(snakemake.input.get("model", [])), None)
    method = methods.unpack(params.method)
    device = devices.pick(snakemake.threads)
    # Figures of cost take it from the log.
    log.info("on %s, %d threads", devices.describe(device), snakemake.threads)
    reconstruct_subjects(
        method,
        model,
        inputs_by_item(outputs, inputs),
        list(snakemake.input.get("reference", [])) or None,
        outputs,
        float(wildcards.scale),
        params.degradation["grid"],
        params.staging,
        fingerprint=[
            params.method,
            params.degradation,
            params.code,
            wildcards.scale,
            {file: files.sha256(file) for file in [*inputs, *masks, *([model] if model else [])]},
        ],
        device=device,
        memory_mb=devices.memory_mb(
            device, MEMORY_SHARE * snakemake.resources.get("mem_mb", 12000)
        ),
        masks=inputs_by_item(outputs, masks) if masks else None,
        cut=bool(masks),
    )
