"""Rule fetch_priors: template and tissue priors of the segmentation, checked."""

from mrisr import priors
from mrisr.progress import job

with job(snakemake.log[0]):
    priors.collect(
        snakemake.params.priors,
        snakemake.params.downloads,
        snakemake.output.template,
        snakemake.output.priors,
    )
