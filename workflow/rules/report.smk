# Tables and figures -> the report and the manifest.
rule report_page:
    input:
        figures=[LAYOUT.figure(name, "json") for name in ALL_FIGURES],
        pictures=[LAYOUT.figure(name, "png") for name in ALL_FIGURES],
        models=FILES.models(),
        sources=report_plan.source_lists(STUDY) + FILES.atlas(),
        quality=LAYOUT.table("quality", "csv"),
        significance=LAYOUT.table("significance", "csv"),
        tables=TABLES,
        metrics=FILES.metrics(STUDY.measured_cells()),
        volumes=report_plan.viewer_files(report_plan.viewer_sets(STUDY)),
    output:
        page=report(
            LAYOUT.report(),
            caption="../report/page.rst",
            category="Report",
            labels={"page": "all of the study on one page"},
        ),
        manifest=LAYOUT.manifest(),
    log:
        LAYOUT.log(LAYOUT.report()),
    benchmark:
        LAYOUT.benchmark(LAYOUT.report())
    conda:
        ENV
    threads: REQUESTS["report"].threads
    resources:
        **REQUESTS["report"].resources,
    params:
        contents=report_plan.study_facts(STUDY),
        tables={name: (title, LAYOUT.table(name, "html")) for name, title in TABLE_NAMES.items()},
        benchmarks=f"{LAYOUT.root}/benchmarks",
        logs=f"{LAYOUT.root}/logs",
        code=code_digest("mrisr.report.content", "mrisr.report.manifest"),
        page=assets.page_digest(),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"


rule report:
    input:
        LAYOUT.report(),
        LAYOUT.manifest(),
        rules.dataset_terms.output,
