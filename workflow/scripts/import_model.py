"""Rules import_<method>: a model from weights made elsewhere."""

from pathlib import Path

from mrisr.common.progress import job
from mrisr.methods import method
from mrisr.methods.import_weights import import_model

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    import_model(
        method.unpack(params.method),
        snakemake.input.weights,
        Path(snakemake.output.model).parent,
        params.scales or [float(snakemake.wildcards.scale)],
        params.plugins,
    )
