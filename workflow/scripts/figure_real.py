"""Rule figure_real_<dataset>: one slice of a real LR scan and of all that was made of it."""

from mrisr.figure_real import real_comparison
from mrisr.layout import scale_name
from mrisr.progress import job

with job(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    files = iter(given.sr)
    images = {
        (cell["scale"], cell["method_label"]): None if cell["skipped"] else next(files)
        for cell in params.cells
    }
    scales = ", ".join(f"{scale_name(k)}×" for k in dict.fromkeys(k for k, _ in images))
    real_comparison(
        given.lr,
        images,
        next(iter(given.get("reference", [])), None),
        list(snakemake.output),
        title=f"{params.dataset}, {params.subject}, {scales}",
    )
