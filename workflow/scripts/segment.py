"""Rules segment_<dataset> and segment_ground_truth_<dataset>: labels of one volume."""

from mrisr.common.progress import job
from mrisr.common.seeds import seed
from mrisr.segment.atropos import segment_subject
from mrisr.volumes.registration import leave_out_unused

with job(snakemake.log[0], snakemake.threads):
    leave_out_unused()
    params, files = snakemake.params, snakemake.input
    segment_subject(
        files.image,
        params.mask,
        files.priors,
        snakemake.output.labels,
        engine=params.engine,
        ground_truth=params.ground_truth,
        template=next(iter(files.get("template", [])), None),
        transform=params.transform,
        voxel_size=params.voxel_size,
        # Not the method's: the ground truth as its own reconstruction scores exactly 1.
        seed=seed(params.seed, "segmentation", params.dataset, snakemake.wildcards.subject),
    )
