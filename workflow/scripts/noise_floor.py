"""Rule noise_floor_<dataset>: ground truths compared with themselves after a little noise."""

from mrisr.common.progress import job
from mrisr.segment.overlap import overlap_subjects

with job(snakemake.log[0]):
    given = snakemake.input
    subjects = list(snakemake.params.subjects)
    overlap_subjects(list(given.references), list(given.noisy), subjects, snakemake.output.overlap)
