"""Rule align_<dataset>: priors and brain mask that all segmentations of a subject share."""

from mrisr.common.progress import job
from mrisr.common.seeds import seed
from mrisr.segment.atropos import align_subject
from mrisr.volumes.registration import leave_out_unused

with job(snakemake.log[0], snakemake.threads):
    leave_out_unused()
    params, files = snakemake.params, snakemake.input
    align_subject(
        files.hr,
        files.mask,
        files.template,
        files.priors,
        snakemake.output.priors,
        snakemake.output.mask,
        skull_stripped=params.skull_stripped,
        transform=params.transform,
        voxel_size=params.voxel_size,
        seed=seed(params.seed, "segmentation", params.dataset, snakemake.wildcards.subject),
    )
