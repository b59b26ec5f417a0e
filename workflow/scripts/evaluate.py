"""Rule evaluate_<dataset>: metrics of one method at one scale, a row a subject and metric."""

from pathlib import Path

from mrisr.evaluate import evaluate_subjects
from mrisr.progress import job

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], threads=1):
        evaluate_subjects(
            list(snakemake.input.hr),
            list(snakemake.input.sr),
            list(snakemake.input.masks),
            list(snakemake.params.subjects),
            list(snakemake.params.metrics),
            list(snakemake.params.regions),
            Path(snakemake.output.metrics),
            workers=snakemake.threads,
        )
