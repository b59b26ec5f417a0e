"""Rule prepare_<dataset>_<split>: ground truths and masks of a split."""

from pathlib import Path

from mrisr.common import volume_lists
from mrisr.common.progress import job
from mrisr.prepare.ground_truth import prepare_subjects

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        params = snakemake.params
        find_brain = None
        if params.mask["kind"] == "template":
            from mrisr.volumes.brain import find_brain
        prepare_subjects(
            Path(snakemake.input.sources),
            list(params.subjects),
            [Path(file) for file in snakemake.output.hr],
            [Path(file) for file in snakemake.output.masks],
            params.crop,
            params.mask,
            min_size=params.min_size,
            staging=Path(params.staging),
            fingerprint=params.code,
            workers=snakemake.threads,
            slices=params.slices,
            seed=params.seed,
            formats=params.formats,
            given_masks=list(snakemake.input.masks),
            find_brain=find_brain,
            multiple=params.multiple,
        )
        volume_lists.write(
            snakemake.output.volumes,
            snakemake.threads,
            image=snakemake.output.hr,
            mask=snakemake.output.masks,
        )
