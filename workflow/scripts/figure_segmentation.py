"""Rule figure_segmentation_<dataset>: segmentations of one subject at one scale, in colour."""

import pandas as pd

from mrisr.figure_segmentation import segmentation
from mrisr.layout import scale_name
from mrisr.progress import job

with job(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    pairs = iter(zip(files.images, files.labels, strict=True))
    methods, values = {}, {}
    for cell in params.cells:
        method = cell["method_label"]
        methods[method] = None if cell["skipped"] else next(pairs)
        if not cell["skipped"]:
            table = pd.read_csv(cell["path"]).set_index(["subject", "region", "metric"])["value"]
            values[method] = float(table[params.subject, "mean", "dice"])
    segmentation(
        (files.truth, files.truth_labels),
        methods,
        values,
        list(snakemake.output),
        title=f"{params.dataset}, {params.subject}, {scale_name(params.cells[0]['scale'])}×",
    )
