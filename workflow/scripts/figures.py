"""Rule figure_comparison_<dataset>: one slice of every method and scale, with error maps."""

from pathlib import Path

import pandas as pd

from mrisr.figures import comparison
from mrisr.layout import scale_name
from mrisr.progress import job

with job(snakemake.log[0]):
    params = snakemake.params
    files = iter(snakemake.input.sr)
    images, values = {}, {}
    for cell in params.cells:
        file = None if cell["skipped"] else Path(next(files))
        if cell["ground_truth"]:  # the first column already
            continue
        key = (cell["scale"], cell["method_label"])
        images[key] = file
        if file is not None:
            metrics = pd.read_csv(cell["path"]).set_index(["subject", "metric", "region"])["value"]
            values[key] = float(metrics.get((params.subject, "psnr", "volume"), float("nan")))
    comparison(
        snakemake.input.hr,
        snakemake.input.mask,
        images,
        {key: value for key, value in values.items() if value == value},
        list(snakemake.output),
        title=f"{params.dataset}, {params.subject}, "
        + ", ".join(f"{scale_name(k)}×" for k in dict.fromkeys(k for k, _ in images)),
    )
