"""Rule check_scans: no scan is both learned from and tested on."""

from mrisr.common.progress import job
from mrisr.prepare.leakage import refuse_leakage

with job(snakemake.log[0]):
    splits = {"train", "val", "test"} & set(snakemake.input.keys())
    refuse_leakage({split: list(snakemake.input[split]) for split in sorted(splits)})
