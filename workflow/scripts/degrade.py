"""Rule degrade_<dataset>: the LR input of all test subjects at one scale."""

from mrisr.common import volume_lists
from mrisr.common.layout import STACKS
from mrisr.common.progress import job
from mrisr.degrade.subjects import degrade_subjects

with job(snakemake.log[0], snakemake.threads):
    degradation = snakemake.params.degradation
    noise = degradation.get("noise")
    names = STACKS if degradation["kind"] == "stacks" else [""]
    outputs = list(snakemake.output.lr)
    degrade_subjects(
        list(volume_lists.checksums([snakemake.input.hr])),
        {name: outputs[i :: len(names)] for i, name in enumerate(names)},
        float(snakemake.wildcards.scale),
        degradation,
        snakemake.threads,
        masks=list(volume_lists.checksums([snakemake.input.hr], "mask")) if noise else [],
        sidecars=list(snakemake.output.get("sidecars", [])),
        seed_parts=snakemake.params.get("seed", ()),
    )
    volume_lists.write(snakemake.output.volumes, snakemake.threads, image=outputs)
