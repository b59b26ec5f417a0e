"""Checks of how the parts of a study go together, which the schema cannot check."""

from collections.abc import Iterator
from pathlib import Path

from mrisr.common.errors import ConfigError
from mrisr.common.layout import scale_name
from mrisr.common.optional_packages import (
    ANTS_LACKING,
    ANTSPYNET_LACKING,
    has_ants,
    has_antspynet,
)
from mrisr.common.schema import nearest
from mrisr.methods.method import Method
from mrisr.methods.model_files import described, read_description
from mrisr.methods.shipped import is_shipped
from mrisr.study import degradation_key, figures_key, tables_key
from mrisr.study import readers_key as reader_settings
from mrisr.study.degradation_key import TAKEN
from mrisr.study.study import Study


def check(study: Study) -> None:
    """Refuse a study whose parts do not go together.

    Raises:
        ConfigError: The message names every problem with the key and the nearest valid one.
    """
    problems = []
    known = study.metrics.names()
    for name in study.config["metrics"]:
        if name not in known:
            problems.append(f"metrics: no metric '{name}': {nearest(name, known)}")
    problems += [
        f"scales: {scale!r} has more digits than are printed, it would be {scale_name(scale)};"
        " round it"
        for name in study.test_datasets
        for scale in dict.fromkeys(study.scales(name))
        if float(scale_name(scale)) != scale
    ]
    base = study.config["baseline"]
    if base is not None and base not in study.methods:
        problems.append(
            f"baseline: '{base}' is not among the methods: {nearest(base, study.methods)}"
        )
    held = study.config["baseline_metric"]
    if base is not None and held not in known:
        problems.append(f"baseline_metric: no metric '{held}': {nearest(held, known)}")
    primary = study.config["primary_metric"]
    if primary not in known:
        problems.append(f"primary_metric: no metric '{primary}': {nearest(primary, known)}")
    for name in study.config["margins"]:
        if name not in known:
            problems.append(f"margins: no metric '{name}': {nearest(name, known)}")
    for entry in study.config["published"]:
        if entry["dataset"] not in study.datasets:
            problems.append(
                f"published: '{entry['dataset']}' is not among the datasets:"
                f" {nearest(entry['dataset'], study.datasets)}"
            )
    problems += _segmentation_problems(study)
    problems += _viewer_problems(study)
    problems += figures_key.problems(study)
    problems += _slice_problems(study)
    problems += degradation_key.problems(study)
    problems += reader_settings.problems(study)
    if not problems:
        problems += _real_problems(study)
        problems += tables_key.problems(study)
    kind = study.degradation["kind"]
    for method in study.methods.values():
        training = method.spec.get("training", {})
        if training.get("curve") and (kind != "volume" or method.per_subject):
            problems.append(
                f"methods.{method.name}.training.curve: is for volumes and a network of all"
                " subjects; leave it out"
            )
        for name in method.spec.get("limits", {}).get("datasets", []):
            if name not in study.datasets:
                problems.append(
                    f"methods.{method.name}.limits.datasets: '{name}' is not among the"
                    f" datasets: {nearest(name, study.datasets)}"
                )
        if method.input not in (*TAKEN.get(kind, (kind,)), "ground_truth"):
            problems.append(
                f"methods.{method.name}: takes {method.input}, but degradation.kind is {kind}"
            )
        if training.get("schedule_by") == "time" and not training.get("minutes"):
            problems.append(
                f"methods.{method.name}: training.schedule_by: time needs training.minutes; set it"
            )
        if method in study.supervised and study.train_dataset is None:
            problems.append(
                f"methods.{method.name}: is learned, but no dataset has role train; give it"
                " one, or import weights (methods.<name>.model: <file>)"
            )
    problems += _seeds_problems(study)
    problems += _weights_problems(study)
    problems += _patch_problems(study)
    if study.supervised:
        for split in ("train", "val"):
            name = study.train_dataset
            if name and not study.datasets[name].subjects.get(split):
                problems.append(f"datasets.{name}: no {split} subjects in its split")
    for name in study.test_datasets:
        if not study.datasets[name].subjects.get("test"):
            problems.append(f"datasets.{name}: no test subjects in its split")
    if (kind == "slice") != (study.slices is not None):
        problems.append("degradation.kind slice and the key slices go together")
    if problems:
        raise ConfigError("\n  ".join([f"{study.where}:", *problems]))


def _seeds_problems(study: Study) -> Iterator[str]:
    """Yield why methods cannot be trained as often as the config says."""
    if study.config["seeds"] > 1 and not any(method.trained_here for method in study.supervised):
        yield "seeds: no method of this study is trained on a training set; leave it out"
    for name, trainings in study.further.items():
        for method in trainings:
            if method.name in study.methods:
                yield (
                    f"methods.{method.name}: is also the name of training {method.repeat} of"
                    f" {name}, which has seeds; rename it"
                )


def _weights_problems(study: Study) -> Iterator[str]:
    for method in study.imported:
        where, pattern = f"methods.{method.name}.model", method.spec["weights"]
        scales = [scale for learned, scale in study.model_scales() if learned is method]
        if method.models == "per_scale" and "{scale}" not in pattern and len(scales) > 1:
            yield (
                f"{where}: '{pattern}' is one file, but there is a model for each of the"
                f" scales {', '.join(scales)}; write {{scale}} where the path differs"
            )
            continue
        for file in dict.fromkeys(method.weights(scale) for scale in scales):
            if not file.is_file():
                yield f"{where}: {file}: no such file (from {Path.cwd()}); correct the path"
            elif file.resolve().is_relative_to(Path(study.layout.root).resolve()):
                yield (
                    f"{where}: {file} is a result of this study itself, which the import would"
                    " replace; copy it elsewhere, or leave the key out to use it"
                )
            elif is_shipped(file):
                yield from _seen_in_training(study, f"methods.{method.name}.weights", file)
    for method in study.methods.values():
        yield from _start_problems(study, method)


def _start_problems(study: Study, method: Method) -> Iterator[str]:
    """Yield what is wrong with weights that a training begins with."""
    for name in method.start:
        file, where = Path(name), f"methods.{method.name}.training.start_from"
        if method not in study.supervised:
            yield f"{where}: nothing is trained here for {study.where}; leave it out"
        elif not file.is_file():
            yield f"{where}: {file}: no such file (from {Path.cwd()}); correct the path"
        elif file.resolve().is_relative_to(Path(study.layout.root).resolve()):
            yield f"{where}: {file} is a result of this study itself; copy it elsewhere"
        elif described(file):
            yield from _seen_in_training(study, where, file)


def _patch_problems(study: Study) -> Iterator[str]:
    """Yield what training patches do not allow, and test subjects that they were cut from."""
    for name in study.test_datasets:
        if study.datasets[name].holds_patches:
            yield (
                f"datasets.{name}: holds training patches, and no volume to test on; set roles:"
                " [train], and give another dataset the role test"
            )
    train = study.train_dataset
    if train is None or not study.datasets[train].holds_patches:
        return
    for method in study.supervised:
        if method.spec.get("training", {}).get("patches_per_subject", 1) != 1:
            yield (
                f"methods.{method.name}: training.patches_per_subject: {train} holds patches, each"
                " taken once; leave it out"
            )
    names = [n for split in ("train", "val") for n in study.datasets[train].subjects[split]]
    cut = {name.rsplit("_", 1)[0] for name in names}
    for name in study.test_datasets:
        seen = [subject for subject in study.datasets[name].subjects["test"] if subject in cut]
        if seen:
            yield (
                f"datasets.{name}: {len(seen)} test subjects are those that patches of {train} were"
                f" cut from: {', '.join(seen[:5])}; take them out of its test split"
            )


def _seen_in_training(study: Study, where: str, file: Path) -> Iterator[str]:
    """Yield the test subjects that served to train weights or to choose them."""
    made = read_description(file.parent)
    what = "the shipped weights" if is_shipped(file) else str(file)
    for name in study.test_datasets:
        dataset = study.datasets[name]
        if made.get("dataset") not in (name, dataset.path.stem):
            continue
        used = {*made["train_subjects"], *made["val_subjects"]}
        seen = [subject for subject in dataset.subjects.get("test", []) if subject in used]
        if seen:
            yield (
                f"{where}: {what} were trained on test subjects of"
                f" datasets.{name}: {', '.join(seen)}; take them out of its test split, or train"
                " the method here"
            )


def _slice_problems(study: Study) -> Iterator[str]:
    """Yield problems of settings that only 2-D studies can have."""
    low, flat = study.degradation, study.degradation["kind"] == "slice"
    if low["kernel"] == "bicubic" and low["antialias"]:
        yield "degradation.antialias: the kernel bicubic has a filter of its own; leave it out"
    multiple = (study.slices or {}).get("multiple", 1)
    for method in study.methods.values():
        if flat and method.spec.get("network") == "upscale":
            factor = method.spec["model"]["factor"]
            if method.spec.get("limits", {}).get("scales") != [factor]:
                yield f"methods.{method.name}: is for one scale; set limits.scales: [{factor}]"
            if multiple % factor:
                yield (
                    f"methods.{method.name}: makes {factor} times the LR slice; set"
                    f" slices.multiple to a multiple of {factor}"
                )
        if not flat and method.denoising:
            yield (f"methods.{method.name}: training.denoise is for 2-D studies; set its weight: 0")
    known = [method.name for method in study.supervised]
    for name in study.early_stopping:
        if name not in known:
            yield (
                f"early_stopping: '{name}' is not among the methods trained here:"
                f" {nearest(name, known)}"
            )
        elif not flat:
            yield "early_stopping: is for 2-D studies; leave it out"
        elif reason := study.methods[name].refuses(study.early_stopping[name]["scale"]):
            yield f"early_stopping.{name}: {reason}"


def _real_problems(study: Study) -> Iterator[str]:
    """Yield settings that real LR scans do not allow."""
    real = [name for name, about in study.datasets.items() if not about.has_ground_truth]
    if study.train_dataset in real:
        yield (
            f"datasets.{study.train_dataset}: real LR scans have no ground truth to train on;"
            " set roles: [test], and give another dataset the role train"
        )
    for name in study.real_datasets:
        stacked = study.datasets[name].stacked
        how, kinds = (
            ("several stacks", ["stacks"])
            if stacked
            else ("one volume", ["volume", "through_plane"])
        )
        if study.degradation["kind"] not in kinds:
            yield (
                f"datasets.{name}: is real LR, {how} a subject; degradation.kind must be"
                f" {' or '.join(kinds)}"
            )
        if not study.no_reference_metrics:
            known = [n for n in study.metrics.names() if not study.metrics.metadata(n).reference]
            yield (
                f"metrics: none can be taken on {name}, whose LR scans are real and have no"
                f" ground truth; add one of {', '.join(known)}"
            )


def _segmentation_problems(study: Study) -> Iterator[str]:
    settings = study.segmentation
    if settings is None:
        return
    if study.slices is not None:
        yield "segmentation: needs volumes, but the study is about 2-D slices"
    if not study.measured_datasets:
        yield (
            "segmentation: is compared with the ground truth's, but no test dataset has one;"
            " leave the key out"
        )
        return
    if not has_ants():
        yield f"segmentation: {ANTS_LACKING}, or leave the key out"
    if settings["engine"] == "deep_atropos" and not has_antspynet():
        yield ANTSPYNET_LACKING
    for name in settings["datasets"] or []:
        if name not in study.measured_datasets:
            yield (
                f"segmentation.datasets: '{name}' is not among the test datasets with a ground"
                f" truth: {nearest(name, study.measured_datasets)}"
            )
    for name in settings["methods"] or []:
        if name not in study.methods:
            yield (
                f"segmentation.methods: '{name}' is not among the methods:"
                f" {nearest(name, study.methods)}"
            )
    tested = {float(scale) for name in study.segmented_datasets for scale in study.scales(name)}
    for scale in settings["scales"] or []:
        if float(scale) not in tested:
            yield (
                f"segmentation.scales: nothing is reconstructed at {scale_name(scale)}; tested:"
                f" {', '.join(map(scale_name, sorted(tested)))}"
            )
    for entry in settings["published"]:
        if entry["dataset"] not in study.datasets:
            yield (
                f"segmentation.published: '{entry['dataset']}' is not among the datasets:"
                f" {nearest(entry['dataset'], study.datasets)}"
            )


def _viewer_problems(study: Study) -> Iterator[str]:
    viewer = study.config["report"]["viewer"]
    tested = {float(scale) for name in study.test_datasets for scale in study.scales(name)}
    wanted = viewer.get("scales") if isinstance(viewer, dict) else None
    for scale in wanted or []:
        if float(scale) not in tested:
            yield (
                f"report.viewer.scales: nothing is reconstructed at {scale_name(scale)};"
                f" tested: {', '.join(map(scale_name, sorted(tested)))}"
            )
