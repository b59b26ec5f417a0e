"""Rule report_page: one page to read, and the manifest of how everything was made."""

from mrisr import report
from mrisr.files import write_json
from mrisr.models import read_description
from mrisr.progress import job

with job(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    manifest = report.manifest(
        params.config,
        params.config["seed"],
        tables=list(inputs.tables),
        figures=[*inputs.figures, *inputs.pictures],
        models=list(inputs.models),
        sources=list(inputs.sources),
    )
    methods = {c["method_label"]: None for c in params.cells if not c["control"]}
    scales = {c["scale"]: None for c in params.cells}
    degradation = params.notes.get("Degradation", "").rstrip(".")
    cohorts = [d for d in params.datasets if "test" in d["subjects"]]
    report.report(
        snakemake.output.page,
        title=params.config["title"] or params.config["study"],
        summary=report.summarise(
            {d["label"]: d["subjects"]["test"] for d in cohorts if d["has_ground_truth"]},
            list(methods),
            list(scales),
            degradation[:1].lower() + degradation[1:],
            {d["label"]: d["subjects"]["test"] for d in cohorts if not d["has_ground_truth"]},
        ),
        tables=[inputs.table],
        folded=[("Significance: every method against the best", inputs.significance)],
        overlap=list(inputs.get("overlap", [])),
        figures=list(inputs.figures),
        models=[{**read_description(m["folder"]), **m} for m in params.models],
        datasets=list(params.datasets),
        manifest=manifest,
    )
    write_json(snakemake.output.manifest, manifest)
