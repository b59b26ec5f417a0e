"""Rules list_<what>_<dataset>: which volumes there are, where jobs of their own make them."""

from mrisr.common import volume_lists
from mrisr.common.progress import job

with job(snakemake.log[0], snakemake.threads):
    volume_lists.write(snakemake.output[0], snakemake.threads, image=snakemake.input)
