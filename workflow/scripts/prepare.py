"""Rule prepare_<dataset>_<split>: ground truths and masks of a split."""

from mrisr.common import volume_lists
from mrisr.common.given_files import recorded
from mrisr.common.progress import job
from mrisr.prepare.ground_truth import Settings, listed_scans, prepare_subjects

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        given, params, made = snakemake.input, snakemake.params, snakemake.output
        find_brain = None
        if params.mask["kind"] == "template":
            from mrisr.volumes.brain import find_brain
        with recorded(params.given, given.masks):
            prepare_subjects(
                listed_scans(
                    given.sources,
                    params.subjects,
                    made.hr,
                    made.masks,
                    formats=params.formats,
                    given_masks=given.masks,
                ),
                Settings(
                    crop=params.crop,
                    mask=params.mask,
                    min_size=params.min_size,
                    slices=params.slices,
                    seed=params.seed,
                    multiple=params.multiple,
                    intensity=params.intensity,
                    holds_patches=params.holds_patches,
                ),
                staging=params.staging,
                fingerprint=params.code,
                workers=snakemake.threads,
                find_brain=find_brain,
            )
            volume_lists.write(made.volumes, snakemake.threads, image=made.hr, mask=made.masks)
