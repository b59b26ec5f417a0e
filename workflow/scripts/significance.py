"""Rule significance_table: every ranked method against the best one, in four forms."""

from pathlib import Path

from mrisr import table_files
from mrisr.progress import job

with job(snakemake.log[0]):
    table = table_files.significance(**snakemake.params.arguments)
    table.write(Path(snakemake.output.csv).with_suffix(""))
