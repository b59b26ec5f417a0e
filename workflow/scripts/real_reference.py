"""Rule prepare_<dataset>_reference: HR references of real LR scans, moved to them if asked."""

from mrisr.common import files
from mrisr.common.progress import job
from mrisr.prepare.real_volumes import prepare_reference_subjects, references

with job(snakemake.log[0], snakemake.threads):
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    settings = {key: params[key] for key in ("mask", "register", "min_size", "seed", "intensity")}
    inputs = {file: files.sha256(file) for file in [given.sources, *given.lr]}
    prepare_reference_subjects(
        references(given.sources, params.subjects, given.lr, made.references, made.masks),
        **settings,
        staging=files.Staging(params.staging, [params.code, settings, inputs]),
    )
