# Reconstructions, metrics, segmentations and losses -> figures: one rule a figure.
# What a study shows, in the order of the report; a rules file that adds figures of its own
# appends their names before report.smk is included.
ALL_FIGURES = []


for figure in figure_plan.figures(STUDY):
    ALL_FIGURES.append(figure.name)

    rule:
        name:
            f"figure_{figure.name}"
        input:
            figure.inputs,
        output:
            png=report(
                LAYOUT.figure(figure.name, "png"),
                caption="../report/figure.rst",
                category="Figures",
                labels={"figure": figure.name.replace("_", " ")},
            ),
            pdf=LAYOUT.figure(figure.name, "pdf"),
            json=LAYOUT.figure(figure.name, "json"),
        log:
            LAYOUT.log(f"{LAYOUT.root}/figures/{figure.name}"),
        benchmark:
            LAYOUT.benchmark(f"{LAYOUT.root}/figures/{figure.name}")
        conda:
            ENV
        threads: REQUESTS["figure"].threads
        resources:
            **REQUESTS["figure"].resources,
        params:
            kind=figure.kind,
            drawn=figure.params,
            about=figure.about,
            code=code_digest(figure.module),
        message:
            f"Drawing {figure.name}"
        script:
            "../scripts/figure.py"


for dataset, subject in figure_plan.lesion_subjects(STUDY):
    LESIONS = [
        str(STUDY.datasets[dataset].lesions.local_file(subject))
        for folder in [STUDY.datasets[dataset].lesions.folder]
        if folder is not None
    ]

    rule:
        name:
            f"fetch_{dataset}_lesions"
        input:
            LESIONS,
        output:
            sources=LAYOUT.sources(dataset, "lesions"),
        log:
            LAYOUT.log(LAYOUT.sources(dataset, "lesions")),
        benchmark:
            LAYOUT.benchmark(LAYOUT.sources(dataset, "lesions"))
        localrule: True
        conda:
            ENV
        threads: REQUESTS["fetch_lesions"].threads
        resources:
            **REQUESTS["fetch_lesions"].resources,
        params:
            dataset=dataset,
            split="test",
            beside="lesions",
            source=STUDY.datasets[dataset].spec["lesions"],
            given=given(LAYOUT.sources(dataset, "lesions"), LESIONS),
            seed=STUDY.seed,
            overrides=STUDY.dataset_overrides(dataset, "test") | {"subjects": {"test": [subject]}},
            plugins=STUDY.plugins_of(STUDY.datasets[dataset].path),
            downloads=STUDY.config["downloads"],
        message:
            f"Fetching and checking the lesions of {subject} of {dataset}"
        script:
            "../scripts/fetch.py"


rule figures:
    input:
        [LAYOUT.figure(name, suffix) for name in ALL_FIGURES for suffix in FIGURE_SUFFIXES],
