"""Rules segment_<dataset>, segment_ground_truth_<dataset> and segment_noisy_<dataset>: labels."""

from mrisr.common.progress import job
from mrisr.common.seeds import seed
from mrisr.segment.atropos import segment_subject
from mrisr.volumes.registration import leave_out_unused

with job(snakemake.log[0], snakemake.threads):
    leave_out_unused()
    params, files = snakemake.params, snakemake.input
    about = params.dataset, snakemake.wildcards.subject
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
        seed=seed(params.seed, "segmentation", *about),
        noise_seed=seed(params.seed, "noise floor", *about) if params.get("noisy") else None,
    )
