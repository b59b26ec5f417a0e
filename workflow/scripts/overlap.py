"""Rule overlap_<dataset>: Dice and IoU of one method at one scale, a row a subject and region."""

from mrisr.common import volume_lists
from mrisr.common.progress import job
from mrisr.segment.overlap import overlap_subjects

with job(snakemake.log[0]):
    overlap_subjects(
        list(volume_lists.checksums(snakemake.input.references)),
        list(snakemake.input.images),
        list(snakemake.params.subjects),
        snakemake.output.overlap,
    )
