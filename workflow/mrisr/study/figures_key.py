"""The config's key `figures`: which figures a study has, of which subject, scales and methods.

Light, because a study checks its config with it.
"""

from collections.abc import Iterator, Mapping

from mrisr.common.layout import scale_name
from mrisr.common.schema import nearest
from mrisr.study.study import Study

#: Figures by kind, in the order of the report, and which options each takes.
IMAGES = {"subject", "scales", "methods"}
KINDS: dict[str, set[str]] = {
    "scales": {"subject", "scales", "methods"},
    "comparison": IMAGES,
    "zoom": IMAGES | {"inset"},
    "profile": IMAGES | {"line"},
    "lesion": IMAGES | {"inset"},
    "encoders": IMAGES | {"inset"},
    "real": IMAGES,
    "stacks": IMAGES,
    "bars": {"scales", "methods"},
    "sweep": {"scales", "methods"},
    "segmentation": IMAGES,
    "quality_by_scale": {"scales", "methods"},
    "subjects": {"scales", "methods"},
    "quality_by_cost": {"scales", "methods"},
    "queries": {"subject"},
    "curves": {"methods"},
    "early_stopping": set(),
}


def options(study: Study, kind: str, dataset: str | None = None) -> dict | None:
    """Return what the config says of a figure, or None if it is not wanted.

    Args:
        study: The study.
        kind: One of `KINDS`.
        dataset: Its dataset, whose own options come last; None for figures of no dataset.
    """
    wanted = study.config["figures"]
    if wanted is False:
        return None
    if isinstance(wanted, list):
        return {} if kind in wanted else None
    chosen = {} if wanted is True else wanted.get(kind)
    if chosen is False:
        return None
    chosen = dict(chosen) if isinstance(chosen, Mapping) else {}
    for_dataset = chosen.pop("datasets", {}).get(dataset)
    if for_dataset is False:
        return None
    return chosen | (for_dataset if isinstance(for_dataset, Mapping) else {})


def problems(study: Study) -> Iterator[str]:
    """Yield what is wrong with the config's key `figures`."""
    wanted = study.config["figures"]
    if not isinstance(wanted, Mapping):
        return
    for kind, chosen in wanted.items():
        if not isinstance(chosen, Mapping):
            continue
        where = f"figures.{kind}"
        of = {"real": study.real_datasets, "stacks": study.test_datasets}.get(
            kind, study.measured_datasets
        )
        for name in chosen.get("datasets", {}):
            if name not in of:
                yield f"{where}.datasets: no such figure of '{name}': {nearest(name, of)}"
        single = set(chosen) & {"subject", "inset", "line"}
        if single and len(of) > 1:
            yield (
                f"{where}: {', '.join(sorted(single))}: the study has {len(of)} test datasets; say"
                f" it for one of them, under {where}.datasets.<name>"
            )
            continue
        yield from _of_dataset(study, kind, where, chosen, of[:1] if single else of)
        for name, for_dataset in chosen.get("datasets", {}).items():
            if isinstance(for_dataset, Mapping) and name in of:
                yield from _of_dataset(study, kind, f"{where}.datasets.{name}", for_dataset, [name])


def _of_dataset(
    study: Study, kind: str, where: str, chosen: Mapping, datasets: list[str]
) -> Iterator[str]:
    for key in sorted(set(chosen) - KINDS[kind] - {"datasets"}):
        known = ", ".join(sorted(KINDS[kind]))
        yield f"{where}.{key}: this figure has no such option; it has {known}"
    for name in chosen.get("methods", []):
        if name not in study.methods:
            hint = nearest(name, study.methods)
            yield f"{where}.methods: '{name}' is not among the methods: {hint}"
    tested = {float(scale) for name in datasets for scale in study.scales(name)}
    for scale in chosen.get("scales", []):
        if float(scale) not in tested:
            yield (
                f"{where}.scales: nothing is reconstructed at {scale_name(scale)}; tested:"
                f" {', '.join(map(scale_name, sorted(tested)))}"
            )
    if "subject" in chosen:
        items = study.items(datasets[0], "test") if datasets else []
        if chosen["subject"] not in items:
            of, hint = ", ".join(datasets) or "a dataset", nearest(chosen["subject"], items)
            yield f"{where}.subject: '{chosen['subject']}' is no test subject of {of}: {hint}"
