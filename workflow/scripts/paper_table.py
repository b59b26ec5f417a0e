"""Rule table_<name>: a table as a paper lays it out, beside its published values, in four forms."""

from pathlib import Path

from mrisr import table_files
from mrisr.progress import job

with job(snakemake.log[0]):
    table = table_files.paper(
        complete=snakemake.input.complete,
        scores=next(iter(snakemake.input.scores), None),
        fetched=list(snakemake.input.fetched),
        **snakemake.params.arguments,
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
