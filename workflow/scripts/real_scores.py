"""Rules evaluate_<dataset> and reference_scores_<dataset> of real LR: metrics without reference."""

from pathlib import Path

from mrisr.common import devices, files
from mrisr.common.progress import job
from mrisr.evaluate.subjects import Options, Subject, score_subjects

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        given, params = snakemake.input, snakemake.params
        options = Options(
            params.metrics,
            ["volume", *({"through_plane"} & set(params.regions))],
            params.settings,
            params.empty_slices,
            str(devices.pick(1)),
            params.get("slice_axis"),
        )
        inputs = {file: files.sha256(file) for file in [*given.images, *given.masks]}
        pairs = zip(params.subjects, given.images, given.masks, strict=True)
        score_subjects(
            [Subject(name, image, foreground=mask) for name, image, mask in pairs],
            options,
            Path(snakemake.output.metrics),
            staging=files.Staging(params.staging, [options, params.code, inputs]),
            workers=snakemake.threads,
        )
