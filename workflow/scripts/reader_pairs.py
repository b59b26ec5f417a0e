"""Rule reader_pairs: blinded pairs of images for readers, and their key."""

from pathlib import Path

from mrisr.common.progress import job
from mrisr.readers.pairs import Item, make

with job(snakemake.log[0]):
    params, made = snakemake.params, snakemake.output
    make(
        [Item(**item) for item in params.pairs],
        Path(made.study).parent,
        made.key,
        count=params.number,
        repeats=params.repeats,
        seed=params.seed,
    )
