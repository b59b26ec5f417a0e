"""Rule overlap_<dataset>: overlap and tissues of one method at one scale, a row a value."""

from mrisr.common import volume_lists
from mrisr.common.progress import job
from mrisr.segment.overlap import overlap_subjects
from mrisr.segment.tissues import tissue_subjects

with job(snakemake.log[0]):
    given, subjects = snakemake.input, list(snakemake.params.subjects)
    references = list(volume_lists.checksums(given.references))
    overlap_subjects(references, list(given.images), subjects, snakemake.output.overlap)
    tissue_subjects(
        list(volume_lists.checksums([given.hr])),
        list(volume_lists.checksums(given.sr)),
        references,
        subjects,
        snakemake.output.tissues,
    )
