"""Rule ground_truth_scores_<dataset>: metrics without reference of the ground truth itself."""

from pathlib import Path

from mrisr.common import devices, files, volume_lists
from mrisr.common.progress import job
from mrisr.evaluate.subjects import Options, Subject, score_subjects

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        params = snakemake.params
        truths = volume_lists.checksums([snakemake.input.hr])
        options = Options(
            params.metrics,
            ["volume", *({"through_plane"} & set(params.regions))],
            params.settings,
            params.empty_slices,
            str(devices.pick(1)),
            params.get("slice_axis"),
        )
        score_subjects(
            [Subject(name, file) for name, file in zip(params.subjects, truths, strict=True)],
            options,
            Path(snakemake.output.scores),
            counts=True,
            staging=files.Staging(
                params.staging,
                [options, params.code, truths],
            ),
            workers=snakemake.threads,
        )
