"""Rule check_scans: no scan is both learned from and tested on."""

from mrisr.common.layout import SPLITS
from mrisr.common.progress import job
from mrisr.prepare.leakage import refuse_leakage

with job(snakemake.log[0]):
    lists = {split: list(snakemake.input.get(split, [])) for split in SPLITS}
    refuse_leakage(lists)
