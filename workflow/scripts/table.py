"""Rules of the tables: one table in all its forms."""

from pathlib import Path

from mrisr import table_plan
from mrisr.progress import job

with job(snakemake.log[0]):
    table = table_plan.make(snakemake.params.maker, snakemake.params.arguments)
    table.write(Path(snakemake.output.csv).with_suffix(""))
