"""The config's key `figures`: which figures a study has, with subject, scales and methods.

It stays light, because a study checks its config with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mrisr.common.layout import scale_name
from mrisr.common.schema import nearest
from mrisr.study.study import Cell, Study


def _measured(study: Study) -> list[str]:
    return study.measured_datasets


def _first_measured(study: Study) -> list[str]:
    return study.measured_datasets[:1]


def _real_volumes(study: Study) -> list[str]:
    if study.degradation["kind"] == "through_plane":
        return []  # the figure `stacks` has their three planes
    return [name for name in study.real_datasets if not study.datasets[name].stacked]


def _stacks(study: Study) -> list[str]:
    thick = study.degradation["kind"] in ("stacks", "through_plane")
    return study.test_datasets if thick else []


def _measured_stacks(study: Study) -> list[str]:
    return [name for name in study.measured_datasets if name in _stacks(study)]


def _early_stopping(study: Study) -> list[str]:
    return list(study.early_stopping)


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
        options: Options that the config may set.
        drawn_of: Returns what the figure can be drawn of, with one figure for each: the study's
            datasets of the right sort, methods for early_stopping, None for one figure of
            everything.
    """

    options: frozenset[str]
    drawn_of: Callable[[Study], Sequence[str | None]] = _measured


IMAGES = frozenset({"subject", "scales", "methods"})
MEASURES = frozenset({"scales", "methods"})
#: Figures by kind, in the order of the report.
KINDS: dict[str, Kind] = {
    "scales": Kind(IMAGES, _first_measured),
    "comparison": Kind(IMAGES),
    "zoom": Kind(IMAGES | {"inset"}),
    "profile": Kind(IMAGES | {"line"}),
    "lesion": Kind(IMAGES | {"inset"}),
    "encoders": Kind(IMAGES | {"inset"}),
    "real": Kind(IMAGES, _real_volumes),
    "stacks": Kind(IMAGES, _stacks),
    "bars": Kind(MEASURES, _measured_stacks),
    "sweep": Kind(MEASURES),
    "segmentation": Kind(IMAGES),
    "quality_by_scale": Kind(MEASURES),
    "subjects": Kind(MEASURES),
    "critical_difference": Kind(MEASURES),
    "quality_by_cost": Kind(MEASURES),
    "queries": Kind(frozenset({"subject", "methods", "beyond"})),
    "curves": Kind(frozenset({"methods"}), lambda study: [None]),
    "training_time": Kind(frozenset({"methods"}), lambda study: [None]),
    "early_stopping": Kind(frozenset(), _early_stopping),
}


def options(study: Study, kind: str, dataset: str | None = None) -> dict | None:
    """Return the config's options of a figure, or None if the figure is not wanted.

    Args:
        study: The study.
        kind: One of `KINDS`.
        dataset: The figure's dataset, whose own options come last; None without a dataset.
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
    return {**chosen, **(for_dataset if isinstance(for_dataset, Mapping) else {})}


def shown_cells(study: Study) -> list[Cell]:
    """Return the cells of the figure `scales` at scales that no table has.

    Its one method reconstructs them, and they are measured, for this figure alone.
    """
    name = next(iter(_first_measured(study)), None)
    settings = options(study, "scales", name) if name else None
    if name is None or not settings or study.degradation["kind"] == "stacks":
        return []
    tested = {float(scale) for scale in study.scales(name)}
    scales = [scale for scale in settings.get("scales", []) if float(scale) not in tested]
    method = next(iter(settings.get("methods") or one_model(study)), None)
    if method not in study.methods:
        return []
    found = study.methods[method]
    return [Cell(name, scale, found, found.refuses(scale, name)) for scale in scales]


def one_model(study: Study) -> list[str]:
    """Return the methods that have one model for all scales."""
    return [name for name, method in study.methods.items() if method.models == "all_scales"]


def problems(study: Study) -> Iterator[str]:
    """Yield problems of the config's key `figures`."""
    wanted = study.config["figures"]
    if isinstance(wanted, bool):
        return
    for kind in wanted:
        if kind not in KINDS:
            yield f"figures: no figure '{kind}': {nearest(kind, KINDS)}"
    if not isinstance(wanted, Mapping):
        return
    for kind, chosen in wanted.items():
        if not isinstance(chosen, Mapping) or kind not in KINDS:
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
    for key in sorted(set(chosen) - KINDS[kind].options - {"datasets"}):
        known = ", ".join(sorted(KINDS[kind].options))
        yield f"{where}.{key}: this figure has no such option; it has {known}"
    for name in chosen.get("methods", []):
        if name not in study.methods:
            hint = nearest(name, study.methods)
            yield f"{where}.methods: '{name}' is not among the methods: {hint}"
    beyond = chosen.get("beyond")
    if beyond is not None and beyond not in one_model(study):
        yield (
            f"{where}.beyond: '{beyond}' is not among the methods with one model for all"
            f" scales: {nearest(beyond, one_model(study))}"
        )
    tested = {float(scale) for name in datasets for scale in study.scales(name)}
    shown = {
        float(cell.scale)
        for cell in (shown_cells(study) if kind == "scales" else [])
        if not cell.skipped and (not cell.method.learned or cell.method.models == "all_scales")
    }
    for scale in chosen.get("scales", []):
        if float(scale) not in tested | shown:
            yield (
                f"{where}.scales: nothing is reconstructed at {scale_name(scale)}; tested:"
                f" {', '.join(map(scale_name, sorted(tested)))}"
            )
    if "subject" in chosen:
        items = study.items(datasets[0], "test") if datasets else []
        if chosen["subject"] not in items:
            of, hint = ", ".join(datasets) or "a dataset", nearest(chosen["subject"], items)
            yield f"{where}.subject: '{chosen['subject']}' is no test subject of {of}: {hint}"
