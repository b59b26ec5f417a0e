"""Rules fetch_<dataset>_<split or reference>: raw scans found or downloaded, checked, listed."""

from pathlib import Path

from mrisr import datasets, sources
from mrisr.progress import job

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params = snakemake.params
        dataset = datasets.load(params.dataset, params.overrides, params.plugins, params.downloads)
        sources.fetch(
            dataset.reference if params.get("reference") else dataset,
            params.split,
            Path(params.downloads),
            Path(snakemake.output.sources),
            workers=snakemake.threads,
            seed=params.seed,
        )
