"""Rule figure_<name>: one figure, as `mrisr.figure_plan` has planned it."""

from mrisr.figure_files import draw
from mrisr.progress import job

with job(snakemake.log[0]):
    draw(snakemake.params.module, snakemake.params.drawn, list(snakemake.output))
