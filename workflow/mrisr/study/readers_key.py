"""The key `reader_study` of a config: checked, completed, and the files that it leads to.

It stays light, because the Snakefile needs it at parse time.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mrisr.common.layout import scale_name, subject_of
from mrisr.common.schema import nearest
from mrisr.study import tables_key
from mrisr.study.study import Study

DEFAULTS: dict = {
    "dataset": None,
    "scale": 2,
    "pairs": None,
    "repeats": 0,
    "answers": None,
    "published": [],
}


def completed(study: Study) -> dict | None:
    """Return the settings, every key present, or None without a reader study.

    Published files have their paths. Without a named dataset, the only test dataset is taken.
    """
    asked = study.config["reader_study"]
    if asked is None:
        return None
    found = {**DEFAULTS, **asked}
    if found["dataset"] is None and len(study.test_datasets) == 1:
        (found["dataset"],) = study.test_datasets
    found["published"] = [
        {**entry, "file": tables_key.file(entry["file"])} for entry in found["published"]
    ]
    return found


def problems(study: Study) -> Iterator[str]:
    """Yield problems of the key that the schema does not find."""
    settings = completed(study)
    if settings is None:
        return
    name, scale = settings["dataset"], settings["scale"]
    if name is None:
        known = ", ".join(study.test_datasets)
        yield f"reader_study: say on which dataset, reader_study.dataset: one of {known}"
    elif name not in study.test_datasets:
        yield (
            f"reader_study.dataset: '{name}' is not among the test datasets:"
            f" {nearest(name, study.test_datasets)}"
        )
    elif study.slices is None and float(scale) not in map(float, study.scales(name)):
        tested = ", ".join(map(scale_name, study.scales(name)))
        yield (
            f"reader_study.scale: nothing of {name} is reconstructed at {scale_name(scale)};"
            f" tested: {tested}"
        )
    for method in settings["methods"]:
        if method not in study.methods:
            yield (
                f"reader_study.methods: '{method}' is not among the methods:"
                f" {nearest(method, study.methods)}"
            )
        elif reason := study.methods[method].refuses(scale):
            yield f"reader_study.methods: {method}: {reason}"
        elif study.slices is not None and study.methods[method].input != "slice":
            yield f"reader_study.methods: {method}: takes no slice; choose another"
    answers = settings["answers"]
    if answers is not None and not Path(answers).is_file():
        yield (
            f"reader_study.answers: {answers}: no such file (from {Path.cwd()}); write it with"
            " `mrisr readers export`, or leave the key out until there are answers"
        )
    for entry in settings["published"]:
        if not Path(entry["file"]).is_file():
            yield f"reader_study.published: {entry['file']}: no such file; correct the path"


def items(study: Study) -> list[dict]:
    """Return the items that pairs are drawn from, as `mrisr.readers.pairs.Item` takes them.

    In 2-D these are the super-resolved ground truths; of volumes, the reconstructions.
    """
    settings = completed(study)
    if settings is None:
        return []
    dataset, scale = settings["dataset"], scale_name(settings["scale"])
    beyond = study.slices is not None and dataset in study.measured_datasets
    path = study.layout.beyond if beyond else study.layout.sr
    return [
        {
            "dataset": dataset,
            "subject": subject_of(name) or name,
            "name": name,
            "scale": scale,
            "files": {method: path(dataset, method, scale, name) for method in settings["methods"]},
        }
        for name in study.items(dataset, "test")
    ]


def table(study: Study, settings: Mapping) -> dict:
    """Return the arguments of `mrisr.tables.from_files.readers`."""
    return {
        "answers": settings["answers"],
        "methods": list(settings["methods"]),
        "labels": [study.methods[name].label for name in settings["methods"]],
        "dataset": settings["dataset"],
        "dataset_label": study.datasets[settings["dataset"]].label,
        "scale": settings["scale"],
        "published": settings["published"],
        "seed": study.seed,
    }
