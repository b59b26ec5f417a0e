"""Rule dataset_terms: licences and splits, for whoever repeats the study."""

from mrisr.common.progress import job
from mrisr.data import licences

with job(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    for path, subjects in zip(output.splits, params.subjects, strict=True):
        licences.write_split(path, subjects)
    licences.write_licences(output.licences, params.datasets)
