"""Rule quality_table: mean, standard deviation and interval of every metric, in four forms."""

from pathlib import Path

import pandas as pd

from mrisr.models import read_description
from mrisr.progress import job
from mrisr.quality import quality_table

with job(snakemake.log[0]):
    params = snakemake.params
    published = [
        pd.read_csv(file).assign(**entry)
        for file, entry in zip(snakemake.input.published, params.published, strict=True)
    ]
    cells = [
        {**cell, "model": read_description(cell["model"]) if cell["model"] else None}
        for cell in params.cells
    ]
    table = quality_table(
        cells,
        pd.concat(published) if published else None,
        params.notes,
        seed=params.seed,
        baseline=params.baseline,
        metrics=params.metrics,
        regions=params.regions,
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
