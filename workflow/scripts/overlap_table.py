"""Rule segmentation_table: mean and standard deviation of Dice and IoU, in four forms."""

from pathlib import Path

from mrisr import table_files
from mrisr.progress import job

with job(snakemake.log[0]):
    table = table_files.overlap(quality=snakemake.input.quality, **snakemake.params.arguments)
    table.write(Path(snakemake.output.csv).with_suffix(""))
