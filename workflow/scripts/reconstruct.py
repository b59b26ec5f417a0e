"""Rules reconstruct_<method>_<dataset>: SR volumes of all subjects, or of one."""

from mrisr.common import devices, files, volume_lists
from mrisr.common.layout import inputs_by_item
from mrisr.common.progress import job, log
from mrisr.methods import method as methods
from mrisr.reconstruct.apply import reconstruct_subjects

# Of the job's memory; the rest is for volumes, libraries and what was not foreseen.
MEMORY_SHARE = 0.7

with job(snakemake.log[0], snakemake.threads):
    params, wildcards = snakemake.params, snakemake.wildcards
    made, volumes = snakemake.output, list(snakemake.output.get("volumes", []))
    # A single file is text, not a list.
    outputs = [made.sr] if isinstance(made.sr, str) else list(made.sr)
    inputs = volume_lists.checksums(snakemake.input.lr)
    masks = list(snakemake.input.get("masks", []))
    model = next(iter(snakemake.input.get("model", [])), None)
    method = methods.unpack(params.method)
    device = devices.pick(snakemake.threads)
    # Figures of cost take it from the log.
    log.info("on %s, %d threads", devices.describe(device), snakemake.threads)
    reconstruct_subjects(
        method,
        model,
        inputs_by_item(outputs, list(inputs)),
        volume_lists.files(snakemake.input.get("reference", [])) or None,
        outputs,
        float(wildcards.scale),
        params.degradation["grid"],
        params.staging,
        fingerprint=[
            params.method,
            params.degradation,
            params.code,
            wildcards.scale,
            inputs | {file: files.sha256(file) for file in [*masks, *([model] if model else [])]},
        ],
        device=device,
        memory_mb=devices.memory_mb(
            device, MEMORY_SHARE * snakemake.resources.get("mem_mb", 12000)
        ),
        masks=inputs_by_item(outputs, masks) if masks else None,
        cut=bool(masks),
    )
    for file in volumes:
        volume_lists.write(file, snakemake.threads, image=outputs)
