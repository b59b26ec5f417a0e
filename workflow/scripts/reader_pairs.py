"""Rule reader_pairs: blinded pairs of images for readers, and their key."""

from mrisr.progress import job
from mrisr.reader_pairs import export_pairs

with job(snakemake.log[0]):
    params, made, files = snakemake.params, snakemake.output, list(snakemake.input.images)
    count = len(params.slices)
    export_pairs(
        {name: files[i * count : (i + 1) * count] for i, name in enumerate(params.methods)},
        list(params.slices),
        made.images,
        made.pairs,
        made.key,
        params.number,
        params.seed,
    )
