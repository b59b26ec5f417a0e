"""What tables, figures and the report need to know about a study, as plain values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mrisr.common.layout import HR_REFERENCE, HR_REFERENCE_LABEL, SPLITS, scale_name
from mrisr.data.datasets import Dataset
from mrisr.degrade.acquisition import by_scale
from mrisr.methods.model_files import described
from mrisr.methods.shipped import is_shipped
from mrisr.segment import priors
from mrisr.study import tables_key
from mrisr.study.study import Cell, Study

#: Footnotes about real LR.
REAL_SCANS = (
    "the input is a scan, divided by its maximum; SR refines its grid by the scale along every axis"
    " and keeps its field of view."
)
REAL_THICK = (
    "the input is a scan with thick slices, divided by its maximum; SR refines its slice axis by"
    " the scale and keeps its field of view; where no acquisition has that scale, methods that use"
    " the thickness take slices without gaps."
)
REAL_STACKS = (
    "the input are stacks of thick slices, each with one gain and moved rigidly to one of them"
    " unless the dataset says otherwise; SR voxels are cubes of the slice thickness over the scale,"
    " and SR is 0 beyond the stacks' common mask."
)

#: Footnotes about each kind of mask.
MASKS = {
    "signal": "voxels with signal, closed and filled",
    "file": "given with the dataset",
    "template": "the brain of the MNI152 template, registered",
}


@dataclass(frozen=True)
class TableCell:
    """One method on one dataset at one scale, as tables and figures need it.

    Attributes:
        dataset: Name of the dataset.
        dataset_label: Display name of the dataset.
        simulated: Whether its scans are simulated.
        scale: Up-sampling scale k.
        method: Name of the method.
        method_label: Display name of the method.
        control: Whether the method is a control: a bound of the tables that is not ranked.
        ground_truth: Whether the method is the control that shows the ground truth itself.
        learned: Whether the method learned a network.
        skipped: Why the method is not applied, or None.
        path: CSV of the metrics (or overlaps); None where it is skipped.
        model: Folder of the model, or folders of the subjects' models; None without one.
        beyond: Whether a model for all scales is applied at a scale that it was not trained on.
        published_steps: Training steps of the paper, if the paper tells.
        published_training: Other settings of the paper's training.
        has_ground_truth: Whether the dataset has a ground truth.
        slices: Whether the study is 2-D.
        held_by: The metric by which learned methods are compared with the baseline.
        reference: Whether this is the row of the HR references of real LR scans.
        repeats: `path` and `model` of each further training of the method.
    """

    dataset: str
    dataset_label: str
    simulated: bool
    scale: float
    method: str
    method_label: str
    control: bool
    ground_truth: bool
    learned: bool
    skipped: str | None
    path: str | None
    model: str | list[str] | None
    beyond: bool
    published_steps: int | None
    published_training: dict
    has_ground_truth: bool
    slices: bool
    held_by: str
    reference: bool
    repeats: list[dict] = field(default_factory=list)

    @property
    def params(self) -> dict:
        """The plain values that rules hand to scripts, by attribute."""
        return dict(vars(self))


def table_cells(study: Study, dataset: str | None = None) -> list[TableCell]:
    """Return every cell of the tables, or those of one dataset, in their order.

    The HR references of real LR scans follow the methods of each scale as one more control.
    """
    found = [_table_cell(study, cell) for cell in study.cells(dataset)]
    for name in [dataset] if dataset else study.real_datasets:
        if study.datasets[name].reference:
            found = _with_references(study, name, found)
    return found


def cells(study: Study, dataset: str | None = None) -> list[dict]:
    """Return `table_cells` as plain values, which rules hand to scripts."""
    return [cell.params for cell in table_cells(study, dataset)]


def _table_cell(study: Study, cell: Cell) -> TableCell:
    method, dataset = cell.method, study.datasets[cell.dataset]
    path = study.layout.metrics(cell.dataset, method.name, scale_name(cell.scale))
    return TableCell(
        dataset=cell.dataset,
        dataset_label=dataset.label,
        simulated=dataset.spec["simulated"],
        scale=cell.scale,
        method=method.name,
        method_label=method.label,
        control=method.control,
        ground_truth=method.input == "ground_truth",
        learned=method.learned,
        skipped=cell.skipped,
        path=None if cell.skipped else path,
        model=_model(study, cell),
        beyond=_beyond(cell),
        published_steps=method.spec.get("published_steps"),
        published_training=method.published,
        has_ground_truth=dataset.has_ground_truth,
        slices=study.slices is not None,
        held_by=study.config["baseline_metric"],
        reference=False,
        repeats=[] if cell.skipped else _repeats(study, cell),
    )


def _repeats(study: Study, cell: Cell) -> list[dict]:
    """Return the metrics and the model of each further training of a cell's method."""
    return [
        {
            "path": study.layout.metrics(cell.dataset, method.name, scale_name(cell.scale)),
            "model": _model(study, replace(cell, method=method)),
        }
        for method in study.further[cell.method.name]
    ]


def metric_files(cells: Iterable[Mapping]) -> list[str]:
    """Return the metrics of cells (`cells`), of every training."""
    return [
        path
        for cell in cells
        for path in (cell["path"], *(repeat["path"] for repeat in cell["repeats"]))
        if path is not None
    ]


def describe(study: Study, cell: Cell) -> dict:
    """Return one cell as plain values."""
    return _table_cell(study, cell).params


def _beyond(cell: Cell) -> bool:
    """Say whether a model for all scales is applied at a scale that it was not trained on."""
    trained = cell.method.spec.get("scale_range")
    return trained is not None and not min(trained) <= cell.scale <= max(trained)


def _model(study: Study, cell: Cell) -> str | list[str] | None:
    method, trained = cell.method, cell.method.trained(scale_name(cell.scale))
    if cell.skipped or not (method.kind == "supervised" or method.per_subject):
        return None
    if method.per_subject:
        items = study.items(cell.dataset, "test")
        return [study.layout.model(method.name, trained, cell.dataset, item) for item in items]
    return study.layout.model(method.name, trained)


def model_files(study: Study) -> list[str]:
    """Return the `model.json` of every model behind a cell, each once."""
    folders = model_folders(cells(study))
    return [f"{folder}/model.json" for folder in folders]


def model_folders(cells: Iterable[Mapping]) -> list[str]:
    """Return the folders of the models behind cells (`cells`), of every training, each once."""
    found: list[str] = []
    for cell in cells:
        for model in (cell["model"], *(repeat["model"] for repeat in cell["repeats"])):
            found += [model] if isinstance(model, str) else model or []
    return list(dict.fromkeys(found))


def _with_references(study: Study, dataset: str, found: Sequence[TableCell]) -> list[TableCell]:
    """Return cells, with a row of the HR references added after each scale of a dataset."""
    complete = []
    for cell, following in zip(found, [*found[1:], None], strict=True):
        complete.append(cell)
        last = following is None or (following.dataset, following.scale) != (dataset, cell.scale)
        if cell.dataset == dataset and last:
            complete.append(
                replace(
                    cell,
                    method=HR_REFERENCE,
                    method_label=HR_REFERENCE_LABEL,
                    control=True,
                    learned=False,
                    skipped=None,
                    path=study.layout.hr_reference_scores(dataset),
                    model=None,
                    beyond=False,
                    published_steps=None,
                    published_training={},
                    reference=True,
                    repeats=[],
                )
            )
    return complete


def notes(study: Study, dataset: str | None = None) -> dict[str, str]:
    """Return the footnotes that say how every number of the study was made, by topic.

    Args:
        study: The study.
        dataset: Test dataset that the notes are limited to; None for all.
    """
    measured = [name for name in study.measured_datasets if dataset in (None, name)]
    real = [name for name in study.real_datasets if dataset in (None, name)]
    low = study.degradation
    how = {
        "volume": "all three axes",
        "stacks": "each axis in turn, which gives three orthogonal stacks",
        "slice": "the two in-plane axes",
        "through_plane": "",
    }[low["kind"]]
    kernel = {
        "slice_profile": "a Gaussian slice profile whose FWHM is the slice thickness",
        "bicubic": "cubic convolution (Keys, a = -0.5)",
        "spline": "cubic B-splines",
        "kspace": "the centre of k-space, magnitude",
    }[low["kernel"]]
    grid = (
        "first and last voxel centres kept (published)"
        if low["grid"] == "corners"
        else "field of view kept"
    )
    if low["kernel"] == "slice_profile":
        grid = "slices tile the field of view"
    blur = (
        f"after a Gaussian of FWHM {low['antialias']:g} LR voxels"
        if low["antialias"]
        else "stretched by the scale, its own anti-alias filter"
        if low["kernel"] == "bicubic"
        else f"{low['window'].title()} window"
        if low.get("window")
        else "without anti-alias filter"
    )
    made = f"{kernel} along {how}, {blur}, {grid}"
    if low["kind"] == "through_plane":
        made = _thick_slices(low)
    if low.get("noise"):
        made += f"; Rician noise, SNR {low['noise']['snr']:g} in the mask"
    crops = "; ".join(
        f"{study.datasets[name].label}: {_crop(study.datasets[name].spec['crop'])}"
        for name in measured
    )
    found = {}
    if measured:
        found = {
            "Degradation": f"{made}.",
            "Ground truth": f"one gain to [0, 1] for each subject, LR made from it. Crop: {crops}.",
            "Data range": "maximum minus minimum of the ground truth"
            + (" of each slice." if study.slices else "."),
            "Mask": f"{_masks(study, measured)}.",
        }
        if study.slices:
            found["Images"] = _slices(study.slices)
        if drawn := [
            _drawn(study.datasets[name]) for name in measured if study.datasets[name].drawn
        ]:
            found["Split"] = " ".join(drawn)
    elif study.supervised:
        found["Degradation in training"] = f"{made}."
    if scaled := _intensities(study):
        found["Intensity"] = f"{scaled}."
    if real:
        found["Real scans"] = _real(study, real)
    found["Seed"] = str(study.seed)
    if study.config["preset"] == "demo":
        found["Demo"] = "networks and training are shrunk; no row tells how good a method is."
    return found


def _thick_slices(low: dict) -> str:
    """Return how thick slices were made, with the acquisition that each scale stands for."""
    profile = {
        "gaussian": "a Gaussian slice profile",
        "rect": "a rectangular slice profile",
        "sinc": "the slice profile of a windowed sinc pulse",
    }[low["profile"]]
    listed = ", ".join(f"{scale_name(k)} is {a}" for k, a in by_scale(low["acquisitions"]).items())
    return (
        f"{low['axis']} thick slices with {profile}, field of view kept, in-plane nothing changed;"
        f" scale (a slice every so many voxels) as thickness|gap in voxels: {listed}"
    )


def _real(study: Study, real: list[str]) -> str:
    """Return the footnote about real LR scans."""
    datasets = [study.datasets[name] for name in real]
    labels = ", ".join(dataset.label for dataset in datasets)
    how = {"stacks": REAL_STACKS, "through_plane": REAL_THICK}.get(
        study.degradation["kind"], REAL_SCANS
    )
    sharpness = " and ".join(study.metrics.metadata(n).label for n in study.no_reference_metrics)
    said = [
        f"{labels}: {how} There is no ground truth: nothing is"
        " held against the baseline, and a metric that needs one has no value"
        + (" (–)." if study.measured_datasets else "."),
        f"{sharpness}: of the slices that meet the scan's foreground; sharpness, not truth, for"
        " blocks, noise and ringing count as sharp.",
    ]
    if any(dataset.reference for dataset in datasets):
        said.append(
            "HR references are other acquisitions of the same subjects, scored on their own voxels,"
            " which are the same at every scale."
        )
    return " ".join(said)


def _slices(slices: dict) -> str:
    """Return the footnote about the slices of a 2-D study, and about what n counts."""
    count, axis = slices["count"], slices.get("axis", "sagittal")
    among = f"the central {slices['central']}" if "central" in slices else "all"
    multiple = slices.get("multiple", 1)
    cropped = f", cropped to a multiple of {multiple} pixels" if multiple > 1 else ""
    return (
        f"{count} {axis} slices of each subject, drawn from {among}{cropped}. A subject's value is"
        " the mean over its slices, which are not independent: n counts subjects, and standard"
        " deviations, intervals and tests are taken over subjects."
    )


def _drawn(dataset: Dataset) -> str:
    """Return the footnote about splits that the study drew."""
    how, counts = dataset.drawn or {}, dataset.subjects
    shares = "/".join(f"{100 * fraction:g}" for fraction in how["fractions"])
    return (
        f"{dataset.label}: drawn by subject across the publisher's own split, {shares} %"
        f" ({', '.join(f'{len(counts[split])} {split}' for split in SPLITS)}), seed {how['seed']}:"
        " not the subjects that others train and test on."
    )


def _masks(study: Study, measured: list[str]) -> str:
    used = {name: study.datasets[name].spec["mask"]["kind"] for name in measured}
    if len(set(used.values())) == 1:
        return MASKS[next(iter(used.values()))]
    return "; ".join(f"{study.datasets[n].label}: {MASKS[kind]}" for n, kind in used.items())


def _intensities(study: Study) -> str:
    """Return the footnote about datasets whose 0 and maximum do not become 0 and 1."""
    said = {dataset.label: dataset.intensity for dataset in study.datasets.values()}
    return "; ".join(f"{label}: {text}" for label, text in said.items() if text)


def _crop(crop: dict) -> str:
    if crop["kind"] == "brain":
        return f"box of the mask and {crop['margin']} voxels around it"
    if crop["kind"] == "shape":
        return "cropped or padded to " + " x ".join(map(str, crop["shape"]))
    return "none"


def published(study: Study) -> list[dict]:
    """Return the published values that stand beside a dataset: file, dataset, source.

    They come from `tables` and from `published` in the config; `published` has the last word.
    """
    return _published(study, "quality", study.config["published"])


def models(study: Study) -> list[dict]:
    """Return method, label, folder name and folder of every model of the training set.

    `repeats` are the folders of the further trainings of a method.
    """
    return [
        {
            "method": method.name,
            "label": method.label,
            "trained": trained,
            "folder": study.layout.model(method.name, trained),
            "repeats": [
                study.layout.model(again.name, trained) for again in study.further[method.name]
            ],
            "published_steps": method.spec.get("published_steps"),
            "keeps_last": method.spec.get("training", {}).get("keep") == "last",
            "denoised": bool(method.denoising),
        }
        for method, trained in study.models()
    ]


def has_losses(study: Study) -> bool:
    """Say whether any model has losses to draw: one trained here, or imported with its description.

    Shipped weights do not count: they were trained with another loss.
    """
    return any(
        not method.imported
        or (described(method.weights(scale)) and not is_shipped(method.weights(scale)))
        for method, scale in study.model_scales()
    )


def datasets(study: Study) -> list[dict]:
    """Return what the report shows of every dataset, with the number of subjects by split."""
    keys = ("description", "licence", "citation", "doi", "url", "simulated")
    return [
        {
            "label": dataset.spec["label"],
            **{key: dataset.spec.get(key) for key in keys},
            "has_ground_truth": dataset.has_ground_truth,
            "subjects": {s: len(dataset.subjects[s]) for s in study.splits(name)},
        }
        for name, dataset in study.datasets.items()
    ]


def segmented_cells(study: Study, dataset: str | None = None) -> list[TableCell]:
    """Return the cells of the table of overlap; `path` is the overlap's CSV.

    Of several trainings the first alone is segmented.
    """
    segmented = {
        (cell.dataset, cell.scale, cell.method.name) for cell in study.segmented_cells(dataset)
    }
    found = []
    for cell in table_cells(study, dataset):
        if (cell.dataset, cell.scale, cell.method) in segmented:
            path = study.layout.overlap(cell.dataset, cell.method, scale_name(cell.scale))
            found.append(replace(cell, path=None if cell.skipped else path, repeats=[]))
    return found


def tissue_cells(study: Study) -> list[TableCell]:
    """Return the cells of the table of tissues; `path` is the CSV of the tissues."""
    return [
        cell
        if cell.path is None
        else replace(
            cell, path=study.layout.tissues(cell.dataset, cell.method, scale_name(cell.scale))
        )
        for cell in segmented_cells(study)
    ]


def segmentation_notes(study: Study) -> dict[str, str]:
    """Return the footnotes of the table of overlap, by topic."""
    settings = study.segmentation
    anew = settings["registration"] == "own"
    transform = "affine and SyN" if settings["transform"] == "syn" else "affine"
    size = settings["voxel_size"]
    found = {
        "Segmentation": "ANTs (antspyx), one pass: intensities cut at the 0.995 quantile, N4, and"
        " Atropos with six tissue priors (weight 0.25), separately for the ground truth and for"
        " every reconstruction.",
        "Priors": f"{priors.label(settings['priors'])}.",
        "Registration": f"{transform} of the template to "
        + (
            "each reconstruction anew; the brain mask is the ground truth's."
            if anew
            else "the ground truth, once a subject; its priors and brain mask serve every"
            " reconstruction. This moves Dice by less than 0.01, alike for every method."
        ),
        "Voxels": "the ground truth's own."
        if size is None
        else f"segmented on voxels of about {size:g} mm where the ground truth's are smaller;"
        " coarser voxels hide differences.",
        "Seed": str(study.seed),
    }
    if settings["engine"] == "deep_atropos":
        found |= {
            "Segmentation": "deep_atropos (ANTsPyNet), the network that the ArSSR paper used, on"
            " the ground truth and on every reconstruction; labels beyond the mask are dropped.",
            "Priors": "the network's own.",
            "Registration": f"{transform} of the template, for the brain mask alone.",
        }
    if any(study.further[cell.method.name] for cell in study.segmented_cells()):
        found["Trainings"] = "of methods trained several times the first alone is segmented."
    if study.config["preset"] == "demo":
        found["Demo"] = notes(study)["Demo"]
    return found


def published_overlap(study: Study) -> list[dict]:
    """Return the published overlaps that stand beside a dataset, as `published` does."""
    return _published(study, "overlap", study.segmentation["published"])


def _published(study: Study, kind: str, entries: list[dict]) -> list[dict]:
    found = [
        {**entry, "dataset": spec["dataset"]}
        for spec in tables_key.specs(study)
        for entry in spec["published"]
        if spec["kind"] == kind
    ]
    found += [{**entry, "file": tables_key.file(entry["file"])} for entry in entries]
    return list({(entry["file"], entry["dataset"]): entry for entry in found}.values())


def paper_tables(study: Study) -> dict[str, dict]:
    """Return the tables laid out as in papers, by name; see `mrisr.study.tables_key.specs`."""
    return {spec["name"]: spec for spec in tables_key.specs(study)}


def paper_cells(study: Study, spec: dict) -> list[TableCell]:
    """Return the cells of one of `paper_tables`."""
    names = {method["name"] for method in spec["methods"]}
    scales = set(map(float, spec["scales"]))
    return [
        cell
        for cell in table_cells(study, spec["dataset"])
        if cell.method in names and float(cell.scale) in scales
    ]


def paper_models(study: Study, spec: dict) -> list[str]:
    """Return the folders of the models behind one of `paper_tables`."""
    return model_folders(cell.params for cell in paper_cells(study, spec))


def baseline_label(study: Study) -> str | None:
    """Return the label of the baseline that learned methods are compared with, or None."""
    name = study.config["baseline"]
    return None if name is None else study.methods[name].label


def paper_notes(study: Study, spec: dict) -> dict[str, str]:
    """Return the footnotes of one of `paper_tables`, by topic."""
    if spec["kind"] == "overlap":
        return segmentation_notes(study)
    return notes(study, spec["dataset"])
