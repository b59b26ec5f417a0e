"""Rules list_<what>_<dataset>: which volumes there are, where jobs of their own make them."""

from mrisr import volume_list
from mrisr.progress import job

with job(snakemake.log[0], snakemake.threads):
    volume_list.write(snakemake.output[0], snakemake.threads, image=snakemake.input)
