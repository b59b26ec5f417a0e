# Tables and figures -> the report and the manifest.
rule report_page:
    input:
        table=LAYOUT.table("quality", "html"),
        significance=LAYOUT.table("significance", "html"),
        overlap=[file for file in TABLES if file == OVERLAP[3]],
        figures=[LAYOUT.figure(name, "json") for name in ALL_FIGURES],
        pictures=[LAYOUT.figure(name, "png") for name in ALL_FIGURES],
        models=model_files(),
        sources=[
            LAYOUT.sources(dataset, split)
            for dataset in STUDY.datasets
            for split in STUDY.splits(dataset)
        ]
        + [LAYOUT.sources(dataset, "reference") for dataset in LOCAL_REFERENCES]
        + atlas_files(),
        tables=TABLES,
    output:
        page=report(LAYOUT.report(), caption="../report/page.rst", category="Report"),
        manifest=LAYOUT.manifest(),
    log:
        LAYOUT.log(LAYOUT.report()),
    benchmark:
        LAYOUT.benchmark(LAYOUT.report())
    conda:
        ENV
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=STUDY.config,
        cells=summary.cells(STUDY),
        models=summary.models(STUDY),
        datasets=summary.datasets(STUDY),
        notes=summary.notes(STUDY),
        code=code_digest("mrisr.report"),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"


rule report:
    input:
        LAYOUT.report(),
        LAYOUT.manifest(),
        rules.dataset_terms.output,
