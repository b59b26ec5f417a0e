"""Rule overlap_<dataset>: Dice and IoU of one method at one scale, a row a subject and region."""

from mrisr import volume_list
from mrisr.overlap import overlap_subjects
from mrisr.progress import job

with job(snakemake.log[0]):
    overlap_subjects(
        list(volume_list.checksums(snakemake.input.references)),
        list(snakemake.input.images),
        list(snakemake.params.subjects),
        snakemake.output.overlap,
    )
