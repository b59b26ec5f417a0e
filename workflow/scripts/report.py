"""Rule report_page: one page to read, and the manifest of how everything was made."""

from mrisr.common.files import write_json
from mrisr.common.progress import job
from mrisr.plan.report import viewer_settings
from mrisr.report.content import report
from mrisr.report.manifest import manifest
from mrisr.report.viewer import gallery

with job(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    contents = params.contents
    record = manifest(
        contents["config"],
        contents["config"]["seed"],
        tables=list(given.tables),
        figures=[*given.figures, *given.pictures],
        models=list(given.models),
        sources=list(given.sources),
        benchmarks=params.benchmarks,
        logs=params.logs,
    )
    settings = viewer_settings(contents["config"])
    report(
        snakemake.output.page,
        study_facts=contents,
        tables=params.tables,
        figures=list(given.figures),
        manifest=record,
        viewer=gallery(contents["viewer"], settings["megabytes"]) if settings else None,
        quality=given.quality,
        significance=given.significance,
    )
    write_json(snakemake.output.manifest, record)
