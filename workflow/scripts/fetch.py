"""Rules fetch_<dataset>_<split, reference or lesions>: raw scans found or downloaded, listed."""

from pathlib import Path

from mrisr.common.given_files import recorded
from mrisr.common.progress import job
from mrisr.data import datasets, fetch
from mrisr.prepare.subjects import source_rows

# Its worker processes import this file, where they are not forked (macOS).
if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params = snakemake.params
        sources = Path(snakemake.output.sources)
        dataset = datasets.load(params.dataset, params.overrides, params.plugins, params.downloads)
        with recorded(params.given, snakemake.input) as checksums:
            fetch.fetch(
                getattr(dataset, params.beside) if params.get("beside") else dataset,
                params.split,
                Path(params.downloads),
                sources,
                workers=snakemake.threads,
                seed=params.seed,
            )
            rows = source_rows(sources).values()
            checksums |= {row["path"]: row["sha256"] for row in rows}
