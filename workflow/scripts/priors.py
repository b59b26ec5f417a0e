"""Rule fetch_priors: template and tissue priors of the segmentation, checked."""

from mrisr.common.given_files import recorded
from mrisr.common.progress import job
from mrisr.segment import priors

with job(snakemake.log[0]), recorded(snakemake.params.given, snakemake.input):
    priors.collect(
        snakemake.params.priors,
        snakemake.params.downloads,
        snakemake.output.template,
        snakemake.output.priors,
    )
