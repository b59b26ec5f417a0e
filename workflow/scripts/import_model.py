"""Rules import_<method>: a model from weights made elsewhere."""

from pathlib import Path

from mrisr.common.given_files import recorded
from mrisr.common.progress import job
from mrisr.methods import method
from mrisr.methods.import_weights import import_model

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    with recorded(params.given, snakemake.input):
        import_model(
            method.unpack(params.method),
            snakemake.input.weights,
            Path(snakemake.output.model).parent,
            params.scales or [float(snakemake.wildcards.scale)],
            params.plugins,
        )
