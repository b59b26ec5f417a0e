"""Which figures a study has and what each is drawn from: the one list for rules and report.

The Snakefile imports this module at parse time, so it stays light. A figure's module has a function
`draw(params, outputs)`. A file that `params` names and that does not exist shows as missing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST
from mrisr.degrade.acquisition import of_scale
from mrisr.plan import cells as summary
from mrisr.study.figures_key import KINDS, one_model, options, shown_cells
from mrisr.study.study import Study

ARSSR = "10.1109/JBHI.2022.3223106"  # DOI of the paper whose encoders are compared
LEAST = 3  # fewest values of a hyper-parameter that make a line, and methods that make an order


@dataclass(frozen=True)
class Planned:
    """A figure of a study.

    Attributes:
        name: Stem of the files, `figures/<name>.{png,pdf,json}`.
        kind: Kind of figure, and the module of `mrisr.figures` that draws it.
        inputs: Files that the figure is drawn from.
        params: Arguments of the module's `draw`, plain values.
        about: One sentence about the figure, the same in every study.
    """

    name: str
    kind: str
    inputs: list[str]
    params: dict
    about: str

    @property
    def module(self) -> str:
        """The module that draws the figure."""
        return f"mrisr.figures.{self.kind}"


def figures(study: Study) -> list[Planned]:
    """Return the figures that a study's data allow, in the order of the report."""
    found = []
    for kind, about in KINDS.items():
        for name in about.drawn_of(study):
            settings = options(study, kind, name)
            planned = None if settings is None else _PLANNERS[kind](study, name, settings)
            if planned is not None:
                found.append(planned)
    return found


def lesion_subjects(study: Study) -> Iterator[tuple[str, str]]:
    """Yield dataset and subject of every figure of a lesion."""
    for name in study.measured_datasets:
        settings = options(study, "lesion", name)
        if settings is not None and _has_lesions(study, name, settings):
            yield name, _subject(study, name, settings)


def _subject(study: Study, dataset: str, settings: Mapping) -> str:
    return settings.get("subject", study.items(dataset, "test")[0])


def _wanted_scales(study: Study, dataset: str, settings: Mapping) -> list[float]:
    """Return the scales asked for that the dataset has, or all its scales if there are none."""
    there = [float(scale) for scale in study.scales(dataset)]
    return [scale for scale in map(float, settings.get("scales", there)) if scale in there] or there


def _cells(study: Study, dataset: str, settings: Mapping, truth: bool = False) -> list[dict]:
    """Return the cells of a figure; the ground truth, which images show anyway, only if `truth`."""
    scales = _wanted_scales(study, dataset, settings)
    return _with_looks(
        study,
        [
            cell
            for cell in summary.cells(study, dataset)
            if (truth or not cell["ground_truth"])
            and not cell["reference"]
            and float(cell["scale"]) in scales
            and cell["method"] in settings.get("methods", study.methods)
        ],
    )


def _with_looks(study: Study, cells: list[dict]) -> list[dict]:
    """Return cells with `look`, see `mrisr.figures.style.look`.

    The look of a method is its place among the study's methods without controls. The look of a
    control is the bound that it sets.
    """
    order = [method.name for method in study.methods.values() if not method.control]
    return [
        {
            **cell,
            "look": order.index(cell["method"])
            if cell["method"] in order
            else ("upper" if cell["ground_truth"] else "lower"),
        }
        for cell in cells
    ]


def _images(study: Study, cells: list[dict], subject: str) -> list[dict]:
    """Return cells with the `image` of a subject, None for skipped cells.

    Images, and the values beside them, are those of the first training.
    """
    return [
        {
            **cell,
            "repeats": [],
            "seeds": 1 + len(cell["repeats"]),
            "image": None
            if cell["skipped"]
            else study.layout.sr(
                cell["dataset"], cell["method"], scale_name(cell["scale"]), subject
            ),
        }
        for cell in cells
    ]


def _scene(study: Study, dataset: str, settings: Mapping, cells: list[dict] | None = None) -> dict:
    """Return the arguments of `mrisr.figures.scene.read_scene`."""
    subject = _subject(study, dataset, settings)
    cells = _images(study, _cells(study, dataset, settings) if cells is None else cells, subject)
    return {
        "dataset": dataset,
        "label": study.datasets[dataset].label,
        "subject": subject,
        "truth": study.layout.hr(dataset, subject),
        "mask": study.layout.mask(dataset, subject),
        "cells": cells,
        "held": _held(study, dataset, cells),
        "baseline": study.config["baseline"],
    }


def _held(study: Study, dataset: str, cells: list[dict]) -> list[dict]:
    """Return the cells of the baseline for learned methods, where the figure lacks them."""
    scales = {cell["scale"] for cell in cells}
    shown = {(cell["scale"], cell["method"]) for cell in cells}
    return [
        cell
        for cell in summary.cells(study, dataset)
        if cell["method"] == study.config["baseline"]
        and cell["scale"] in scales
        and (cell["scale"], cell["method"]) not in shown
    ]


def _scene_files(scene: Mapping) -> list[str]:
    """Return the files that `mrisr.figures.scene.read_scene` reads."""
    images = [*_files(scene["cells"], "image"), *scene.get("lr", {}).values()]
    return [scene["truth"], scene["mask"], *images, *_measured(scene)]


def _measured(params: Mapping) -> list[str]:
    """Return the files of metrics, and the descriptions of models that tell what is marked."""
    cells = [*params["cells"], *params["held"]]
    folders = summary.model_folders(cells)
    return [*summary.metric_files(cells), *(f"{folder}/model.json" for folder in folders)]


def _files(cells: list[dict], *keys: str) -> list[str]:
    return [cell[key] for key in keys for cell in cells if cell[key] is not None]


def _scales(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    if study.degradation["kind"] == "stacks":
        return None  # there are three LR volumes
    cells = _without_controls(study, dataset, settings)
    single = one_model(study)
    # The first model for all scales, else the first learned method.
    names = settings.get("methods") or [
        *single,
        *(cell["method"] for cell in cells if cell["learned"]),
    ]
    cells = [cell for cell in cells if cell["method"] == (names or [None])[0]]
    extra = _with_looks(study, [summary.describe(study, cell) for cell in shown_cells(study)])
    cells = sorted([*cells, *extra], key=lambda cell: float(cell["scale"]))
    cells = [cell for cell in cells if not cell["skipped"]]
    if not cells:
        return None
    subject = _subject(study, dataset, settings)
    cells = [
        {
            **cell,
            "lr": study.layout.lr(dataset, scale_name(cell["scale"]), subject),
            "one_model": cell["method"] in single,
        }
        for cell in cells
    ]
    scene = _scene(study, dataset, settings, cells)
    return Planned(
        "scales",
        "scales",
        [*_scene_files(scene), *_files(scene["cells"], "lr")],
        scene,
        "LR and SR of one method at every scale.",
    )


def _with_low(study: Study, scene: dict) -> dict:
    """Return a scene with its LR volumes by scale; without, where several make the input."""
    dataset, subject = scene["dataset"], scene["subject"]
    inputs = study.inputs(dataset, subject)
    if len(inputs) != 1:
        return scene
    names = dict.fromkeys(scale_name(cell["scale"]) for cell in scene["cells"])
    return {**scene, "lr": {name: study.layout.lr(dataset, name, inputs[0]) for name in names}}


def _comparison(study: Study, dataset: str, settings: Mapping) -> Planned:
    scene = _with_low(study, _scene(study, dataset, settings))
    return Planned(
        f"comparison_{dataset}",
        "comparison",
        _scene_files(scene),
        scene,
        "One slice of every method and scale, and below each image its absolute error.",
    )


def _enlarged(study: Study, dataset: str, settings: Mapping, kind: str, about: str) -> Planned:
    scene = _with_low(study, _scene(study, dataset, settings))
    scene |= {"kind": kind, "inset": settings.get("inset")}
    return Planned(f"{kind}_{dataset}", "zoom", _scene_files(scene), scene, about)


def _zoom(study: Study, dataset: str, settings: Mapping) -> Planned:
    about = "One slice of every method and scale, and below each image a part of it, enlarged."
    return _enlarged(study, dataset, settings, "zoom", about)


def _encoders(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    # At the first scale, as the paper shows them.
    encoders = [
        name
        for name, method in study.methods.items()
        if (method.spec.get("paper") or {}).get("doi") == ARSSR
    ]
    settings = {"scales": study.scales(dataset)[:1], "methods": encoders, **settings}
    if len(settings["methods"]) < 2:
        return None
    about = "The encoders of ArSSR: one slice of each, and below it a part, enlarged."
    return _enlarged(study, dataset, settings, "encoders", about)


def _has_lesions(study: Study, dataset: str, settings: Mapping) -> bool:
    """Say whether a mask of the subject's lesions exists, or an address of one."""
    lesions = study.datasets[dataset].lesions
    if lesions is None or study.slices is not None:
        return False
    if lesions.folder is None:
        return True
    try:
        lesions.local_file(_subject(study, dataset, settings))
    except InputError:  # the folder holds only the scans
        return False
    return True


def _lesion(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    if not _has_lesions(study, dataset, settings):
        return None
    planned = _enlarged(
        study, dataset, settings, "lesion", "A lesion in every reconstruction, with an arrow."
    )
    planned.params["lesions"] = study.layout.sources(dataset, "lesions")
    planned.inputs.append(planned.params["lesions"])
    return planned


def _profile(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    cells = _without_controls(study, dataset, settings)
    if not cells:
        return None
    scene = {**_scene(study, dataset, settings, cells), "line": settings.get("line")}
    return Planned(
        f"profile_{dataset}",
        "profile",
        _scene_files(scene),
        scene,
        "Intensity along a line of the ground truth and of every method and scale.",
    )


def _segmentation(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    segmented = summary.segmented_cells(study, dataset)
    if not segmented:
        return None
    # One subject at the first scale that is segmented, as the paper shows it.
    settings = {"scales": [segmented[0].scale], **settings}
    scale = float(settings["scales"][0])
    paths = {cell.method: cell.path for cell in segmented if float(cell.scale) == scale}
    subject, layout = _subject(study, dataset, settings), study.layout
    cells = [
        {
            **cell,
            "overlap": paths[cell["method"]],
            "labels": None
            if cell["skipped"]
            else layout.segmentation(dataset, subject, cell["method"], scale_name(scale)),
        }
        for cell in _cells(study, dataset, {**settings, "scales": [scale]})
        if cell["method"] in paths
    ]
    if not cells:
        return None
    scene = _scene(study, dataset, settings, cells)
    scene["labels"] = layout.segmentation(dataset, subject)
    return Planned(
        f"segmentation_{dataset}",
        "segmentation",
        [*_scene_files(scene), scene["labels"], *_files(scene["cells"], "labels", "overlap")],
        scene,
        "The same automatic segmentation of the ground truth and of every reconstruction.",
    )


def _stacks(study: Study, dataset: str, settings: Mapping) -> Planned:
    # One scale, as the paper shows it.
    scale = _wanted_scales(study, dataset, settings)[0]
    about, subject = study.datasets[dataset], _subject(study, dataset, settings)
    layout, name = study.layout, scale_name(scale)
    cells = _images(study, _cells(study, dataset, {**settings, "scales": [scale]}), subject)
    truth = layout.hr(dataset, subject) if about.has_ground_truth else None
    mask = (
        layout.mask(dataset, subject)
        if truth
        else layout.foreground_on_sr_grid(dataset, name, subject)
    )
    reference = layout.hr_reference(dataset, subject) if about.reference else None
    one = study.degradation["kind"] == "through_plane"
    names = zip(study.stacks(dataset, subject) or [""], study.inputs(dataset, subject), strict=True)
    stacks = {stack: layout.lr(dataset, name, file) for stack, file in names}
    compared = {"cells": cells, "held": _held(study, dataset, cells)}
    compared["baseline"] = study.config["baseline"]
    measured = _measured(compared) if truth else []
    first = [file for file in (truth, reference, mask) if file is not None]
    return Planned(
        f"stacks_{dataset}",
        "stacks",
        [*first, *stacks.values(), *_files(cells, "image"), *measured],
        {
            "dataset": dataset,
            "label": about.label,
            "subject": subject,
            "scale": scale,
            "stacks": stacks,
            "mask": mask,
            "truth": truth,
            "reference": reference,
            # Between thick slices is what is worth enlarging.
            "enlarged": "coronal" if one and study.degradation["axis"] != "coronal" else "axial",
            "acquisition": str(of_scale(study.degradation, float(scale))) if one else None,
            **compared,
        },
        "Three planes of every reconstruction from thick slices.",
    )


def _bars(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    cells = _without_controls(study, dataset, settings)
    if not cells or not {"psnr", "ssim"} <= set(study.config["metrics"]):
        return None
    params = {
        "dataset": dataset,
        "label": study.datasets[dataset].label,
        "cells": cells,
        "held": _held(study, dataset, cells),
        "baseline": study.config["baseline"],
    }
    return Planned(
        f"bars_{dataset}",
        "bars",
        _measured(params),
        params,
        "PSNR and SSIM of every method as bars, in groups by scale.",
    )


def _sweep(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    """Plan the first hyper-parameter that alone tells three or more methods apart."""
    if not {"psnr", "ssim"} <= set(study.config["metrics"]):
        return None
    families: dict[Path, list] = {}
    for method in study.methods.values():
        if method.name in settings.get("methods", study.methods):
            families.setdefault(method.folder, []).append(method)
    for family in families.values():
        for key, by_method in _swept(family):
            names = list(by_method)
            cells = [
                {**cell, "value": by_method[cell["method"]]}
                for cell in _cells(study, dataset, {**settings, "methods": names})
            ]
            full = [
                scale
                for scale in dict.fromkeys(c["scale"] for c in cells)
                if sum(c["scale"] == scale and not c["skipped"] for c in cells) >= LEAST
            ]
            cells = [cell for cell in cells if cell["scale"] in full]
            if cells:
                return Planned(
                    f"sweep_{key}_{dataset}",
                    "sweep",
                    summary.metric_files(cells),
                    {
                        "dataset": dataset,
                        "label": study.datasets[dataset].label,
                        "method": family[0].label,
                        "parameter": key,
                        "cells": cells,
                    },
                    "PSNR and SSIM against one hyper-parameter of a method.",
                )
    return None


def _swept(family: list) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each numeric hyper-parameter, with its values by methods that share all others.

    The other methods are compared with the first method of a folder.
    """
    first = family[0].spec
    for key, value in first.get("model", {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        by_method = {
            method.name: method.spec["model"][key]
            for method in family
            if method.spec.get("training") == first.get("training")
            and {**method.spec["model"], key: value} == first["model"]
        }
        if len(set(by_method.values())) >= LEAST:
            yield key, by_method


def _real(study: Study, dataset: str, settings: Mapping) -> Planned:
    about, subject = study.datasets[dataset], _subject(study, dataset, settings)
    cells = _images(study, _cells(study, dataset, settings), subject)
    lr = study.layout.lr(dataset, scale_name(study.scales(dataset)[0]), subject)
    reference = study.layout.hr_reference(dataset, subject) if about.reference else None
    return Planned(
        f"real_{dataset}",
        "real_scans",
        [lr, *([reference] if reference else []), *_files(cells, "image")],
        {
            "dataset": dataset,
            "label": about.label,
            "subject": subject,
            "lr": lr,
            "reference": reference,
            "cells": cells,
        },
        "One slice of a real low-resolution scan, of every reconstruction, and of the HR reference"
        " if there is one; and the intensity along a line.",
    )


def _measures(study: Study, dataset: str, cells: list[dict]) -> dict:
    return {
        "dataset": dataset,
        "label": study.datasets[dataset].label,
        "cells": cells,
        "held": _held(study, dataset, cells),
        "baseline": study.config["baseline"],
        "metrics": study.config["metrics"],
    }


def _quality_by_scale(study: Study, dataset: str, settings: Mapping) -> Planned:
    params = _measures(study, dataset, _cells(study, dataset, settings, truth=True))
    return Planned(
        f"quality_by_scale_{dataset}",
        "quality",
        _measured(params),
        params,
        "Every metric against the up-sampling scale, with 95 % intervals of the means.",
    )


def _without_controls(study: Study, dataset: str, settings: Mapping) -> list[dict]:
    return [cell for cell in _cells(study, dataset, settings) if not cell["control"]]


def _subjects(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    cells = _without_controls(study, dataset, settings)
    if not cells:
        return None
    params = _measures(study, dataset, cells)
    return Planned(
        f"subjects_{dataset}",
        "subjects",
        _measured(params),
        params,
        "Every subject's PSNR and a perceptual metric, and its difference to the baseline.",
    )


def _critical_difference(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    cells = [cell for cell in _cells(study, dataset, settings, truth=True) if not cell["skipped"]]
    ranked = {cell["method"] for cell in cells if not cell["control"]}
    if len(ranked) < LEAST or len(study.datasets[dataset].subjects["test"]) < FEWEST:
        return None
    params = {**_measures(study, dataset, cells), "primary": study.config["primary_metric"]}
    return Planned(
        f"critical_difference_{dataset}",
        "critical_difference",
        _measured(params),
        params,
        "Mean ranks of the methods, and which of them Friedman's and Nemenyi's tests tell apart.",
    )


def _quality_by_cost(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    # Only the first scale: another scale changes the costs of all methods alike.
    settings = {**settings, "scales": _wanted_scales(study, dataset, settings)[:1]}
    cells = [
        {**cell, **_runs(study, cell)}
        for cell in _without_controls(study, dataset, settings)
        if not cell["skipped"]
    ]
    if not cells:
        return None
    params = _measures(study, dataset, cells)
    # Benchmarks are no inputs: they differ from run to run, and the figure says which are missing.
    return Planned(
        f"quality_by_cost_{dataset}",
        "cost",
        _measured(params),
        params,
        "PSNR and a perceptual metric against the seconds for a volume and the parameters.",
    )


def _runs(study: Study, cell: dict) -> dict:
    """Return benchmark and log of the jobs that reconstructed a cell, and volumes of each job."""
    items = study.items(cell["dataset"], "test")
    stem = study.layout.sr(cell["dataset"], cell["method"], scale_name(cell["scale"]), "{}")
    stem = stem.removesuffix(".nii.gz")
    one = study.methods[cell["method"]].granularity == "subject"
    stems = [stem.format(item) for item in items] if one else [str(Path(stem).parent)]
    layout = study.layout
    return {
        "runs": [{"benchmark": layout.benchmark(stem), "log": layout.log(stem)} for stem in stems],
        "volumes": 1 if one else len(items),
    }


def _models(study: Study, settings: Mapping) -> list[dict]:
    """Return the models of the training set that a figure shows, with `look`."""
    order = [method.name for method in study.methods.values() if not method.control]
    return [
        {**model, "look": order.index(model["method"])}
        for model in summary.models(study)
        if model["method"] in settings.get("methods", order)
    ]


def _trainings(model: Mapping) -> list[str]:
    """Return the folders of all trainings of a model."""
    return [model["folder"], *model["repeats"]]


def _curves(study: Study, _: None, settings: Mapping) -> Planned | None:
    # Studies without learned methods have no losses.
    if not summary.has_losses(study):
        return None
    models = _models(study, settings)
    return Planned(
        "curves",
        "training_curves",
        [f"{folder}/log.csv" for model in models for folder in _trainings(model)],
        {"models": models},
        "Training and validation loss of every model against optimiser steps.",
    )


def _training_time(study: Study, _: None, settings: Mapping) -> Planned | None:
    measured = {
        method.name for method in study.supervised if method.spec.get("training", {}).get("curve")
    }
    models = [model for model in _models(study, settings) if model["method"] in measured]
    if not models:
        return None
    return Planned(
        "training_time",
        "training_time",
        [f"{folder}/model.json" for model in models for folder in _trainings(model)],
        {"models": models},
        "PSNR over cubic interpolation against the time that a model was trained for.",
    )


def _queries(study: Study, dataset: str, settings: Mapping) -> Planned | None:
    if study.slices is None:
        return None
    subject, layout = _subject(study, dataset, settings), study.layout
    scale = min(study.scales(dataset), key=lambda k: abs(k - 2))
    shown = settings.get(
        "methods", [name for name, method in study.methods.items() if not method.control]
    )
    cells = [
        c for c in summary.cells(study, dataset) if c["scale"] == scale and c["method"] in shown
    ]
    cells.sort(key=lambda cell: shown.index(cell["method"]))
    cells = [cell for cell in _images(study, cells, subject) if not cell["skipped"]]
    asked = settings.get("beyond")
    agnostic = [
        method
        for method in study.methods.values()
        if method.models == "all_scales"
        and not method.refuses(2 * scale)
        and asked in (None, method.name)
    ][:1]
    beyond = [
        {
            "method": method.pack("label", "input", "network", "coordinates", "model"),
            "model": layout.model_file("model.safetensors", method.name, method.trained()),
        }
        for method in agnostic
    ]
    truth, mask = layout.hr(dataset, subject), layout.mask(dataset, subject)
    lr = layout.lr(dataset, scale_name(scale), subject)
    return Planned(
        f"queries_{dataset}",
        "queries",
        [truth, mask, lr, *_files(cells, "image"), *(entry["model"] for entry in beyond)],
        {
            "dataset": dataset,
            "label": study.datasets[dataset].label,
            "subject": subject,
            "scale": scale,
            "grid": study.degradation["grid"],
            "truth": truth,
            "mask": mask,
            "lr": lr,
            "cells": cells,
            "beyond": beyond,
        },
        "A detail of one slice by every method, and at twice that scale from the same input.",
    )


def _early_stopping(study: Study, name: str, settings: Mapping) -> Planned:
    method, about = study.methods[name], study.early_stopping[name]
    trained = method.trained(scale_name(about["scale"]))
    files = {
        key: study.layout.early_stopping(name, trained, file)
        for key, file in (("curve", "curve.csv"), ("images", "images.npz"))
    }
    return Planned(
        f"early_stopping_{name}",
        "early_stopping",
        list(files.values()),
        {"method": name, "label": method.label, "scale": about["scale"], **files}
        | {"dataset": study.train_dataset},
        "Metrics on the validation slices against the steps of a training that goes on.",
    )


#: The function that plans each kind of figure; it returns None if there is nothing to draw.
_PLANNERS: dict[str, Callable[..., Planned | None]] = {
    "scales": _scales,
    "comparison": _comparison,
    "zoom": _zoom,
    "profile": _profile,
    "lesion": _lesion,
    "encoders": _encoders,
    "real": _real,
    "stacks": _stacks,
    "bars": _bars,
    "sweep": _sweep,
    "segmentation": _segmentation,
    "quality_by_scale": _quality_by_scale,
    "subjects": _subjects,
    "critical_difference": _critical_difference,
    "quality_by_cost": _quality_by_cost,
    "queries": _queries,
    "curves": _curves,
    "training_time": _training_time,
    "early_stopping": _early_stopping,
}
