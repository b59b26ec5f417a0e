"""Rule quality_table: mean, standard deviation and interval of every metric, in four forms."""

import json
from pathlib import Path

import pandas as pd

from mrisr.measured import slices_note
from mrisr.models import read_description
from mrisr.progress import job
from mrisr.quality import quality_table

with job(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    published = [
        pd.read_csv(file).assign(**entry)
        for file, entry in zip(given.published, params.published, strict=True)
    ]
    cells = [
        {**cell, "model": read_description(cell["model"]) if cell["model"] else None}
        for cell in params.cells
    ]
    fetched = {Path(file).stem: json.loads(Path(file).read_text()) for file in given.fetched}
    scores = dict(zip(params.datasets, given.scores, strict=False))
    table = quality_table(
        cells,
        pd.concat(published) if published else None,
        params.notes | {"Slices": slices_note(params.metrics, scores, params.empty_slices)},
        seed=params.seed,
        baseline=params.baseline,
        metrics=params.metrics,
        regions=params.regions,
        unavailable={
            name: said["reason"] for name, said in fetched.items() if not said["available"]
        },
    )
    table.write(Path(snakemake.output.csv).with_suffix(""))
