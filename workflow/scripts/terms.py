"""Rule dataset_terms: licences and splits, for whoever repeats the study."""

from mrisr import terms
from mrisr.progress import job

with job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    for path, subjects in zip(output.splits, params.subjects, strict=True):
        terms.write_split(path, subjects)
    terms.write_licences(output.licences, params.datasets)
