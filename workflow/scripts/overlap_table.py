"""Rule segmentation_table: mean and standard deviation of Dice and IoU, in four forms."""

from pathlib import Path

import pandas as pd

from mrisr.overlap_table import overlap_table
from mrisr.progress import job

with job(snakemake.log[0]):
    params = snakemake.params
    published = [
        pd.read_csv(file).assign(**entry)
        for file, entry in zip(snakemake.input.published, params.published, strict=True)
    ]
    table = overlap_table(
        params.cells,
        pd.concat(published) if published else None,
        params.notes,
        pd.read_csv(snakemake.input.quality),
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
