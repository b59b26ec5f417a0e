"""Rule degrade_<dataset>: the LR input of all test subjects at one scale."""

from mrisr import volume_list
from mrisr.degrade import degrade_subjects
from mrisr.layout import STACKS
from mrisr.progress import job

with job(snakemake.log[0], snakemake.threads):
    degradation = snakemake.params.degradation
    names = STACKS if degradation["kind"] == "stacks" else [""]
    outputs = list(snakemake.output.lr)
    degrade_subjects(
        list(volume_list.checksums([snakemake.input.hr])),
        {name: outputs[i :: len(names)] for i, name in enumerate(names)},
        float(snakemake.wildcards.scale),
        degradation,
        snakemake.threads,
    )
    volume_list.write(snakemake.output.volumes, snakemake.threads, image=outputs)
