"""Rules of the tables: one table in all its forms."""

from pathlib import Path

from mrisr.common.progress import job
from mrisr.tables.from_files import make

with job(snakemake.log[0]):
    table = make(snakemake.params.maker, snakemake.params.arguments)
    table.write(Path(snakemake.output.csv).with_suffix(""))
