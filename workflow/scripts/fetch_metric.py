"""Rules fetch_metric_<metric>: the file that a metric needs, or why it cannot be had."""

from mrisr import metrics
from mrisr.common.files import write_json
from mrisr.common.progress import job

with job(snakemake.log[0]):
    params = snakemake.params
    found = metrics.module(params.metric).fetch(params.settings, params.settings["folder"])
    write_json(snakemake.output[0], {**found, "offered": list(params.offered)})
