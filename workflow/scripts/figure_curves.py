"""Rule figure_curves: losses of every model against its steps."""

from mrisr.figure_curves import curves_figure, read_curves
from mrisr.progress import job

with job(snakemake.log[0]):
    curves, _ = read_curves(snakemake.params.models)
    curves_figure(curves, list(snakemake.output))
