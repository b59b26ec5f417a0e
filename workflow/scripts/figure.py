"""Rule figure_<name>: one figure, as `mrisr.plan.figures` has planned it."""

from mrisr.common.progress import job
from mrisr.figures.files import draw

with job(snakemake.log[0]):
    draw(snakemake.params.kind, snakemake.params.drawn, list(snakemake.output))
