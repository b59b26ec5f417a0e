# Blinded pairs of two methods' images for readers; docs/reader-study.md.
PAIRS = []
READERS = readers_key.completed(STUDY)
if READERS:
    PAIRS = [LAYOUT.reader_study(name) for name in ("study.json", "images")]


# Readers who have links answer about these very images: they are never made again.
if PAIRS and not Path(LAYOUT.reader_study("answers.sqlite")).exists():

    rule reader_pairs:
        input:
            [file for item in readers_key.items(STUDY) for file in item["files"].values()],
        output:
            study=PAIRS[0],
            images=directory(PAIRS[1]),
            key=LAYOUT.reader_key(),
        log:
            LAYOUT.log(LAYOUT.reader_study("pairs")),
        conda:
            ENV
        threads: REQUESTS["reader_pairs"].threads
        resources:
            **REQUESTS["reader_pairs"].resources,
        params:
            pairs=readers_key.items(STUDY),
            number=READERS["pairs"],
            repeats=READERS["repeats"],
            seed=STUDY.seed,
            code=code_digest("mrisr.readers.pairs"),
        message:
            "Writing blinded pairs for readers"
        script:
            "../scripts/reader_pairs.py"


rule reader_study:
    input:
        PAIRS,
