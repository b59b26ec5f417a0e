"""Rule quality_table: mean, standard deviation and interval of every metric, in four forms."""

from pathlib import Path

from mrisr import table_files
from mrisr.progress import job

with job(snakemake.log[0]):
    table = table_files.quality(
        scores=dict(zip(snakemake.params.labels, snakemake.input.scores, strict=False)),
        fetched=list(snakemake.input.fetched),
        **snakemake.params.arguments,
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
