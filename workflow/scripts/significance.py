"""Rule significance_table: every ranked method against the best one, in four forms."""

from pathlib import Path

from mrisr.models import read_description
from mrisr.progress import job
from mrisr.significance import significance_table

with job(snakemake.log[0]):
    params = snakemake.params
    cells = [
        {**cell, "model": read_description(cell["model"]) if cell["model"] else None}
        for cell in params.cells
    ]
    table = significance_table(
        cells,
        seed=params.seed,
        baseline=params.baseline,
        metrics=params.metrics,
        regions=params.regions,
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
