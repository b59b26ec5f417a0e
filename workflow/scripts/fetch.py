"""Rules fetch_<dataset>_<split, reference or lesions>: raw scans found or downloaded, listed."""

from pathlib import Path

from mrisr.common.progress import job
from mrisr.data import datasets, fetch

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params = snakemake.params
        dataset = datasets.load(params.dataset, params.overrides, params.plugins, params.downloads)
        fetch.fetch(
            getattr(dataset, params.beside) if params.get("beside") else dataset,
            params.split,
            Path(params.downloads),
            Path(snakemake.output.sources),
            workers=snakemake.threads,
            seed=params.seed,
        )
