"""Content of the page `report.html`; its look is in `workflow/report/page`."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup, escape
from PIL import Image

from mrisr import metrics as metric_modules
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.common.text import duration, listed
from mrisr.evaluate.measured import DOUBTFUL, MARKS, heading
from mrisr.evaluate.outliers import outliers, subject_values
from mrisr.evaluate.read_table import read_table
from mrisr.figures.files import read_record
from mrisr.methods.model_files import read_description, shipped_training
from mrisr.report.cost import by_stage, in_short
from mrisr.report.headline import headlines, mentioned
from mrisr.report.heatmap import heatmaps
from mrisr.report.leaderboard import leaderboard
from mrisr.report.left_out import left_out
from mrisr.report.methods_text import methods_text
from mrisr.report.page import write_page
from mrisr.report.shared_notes import shared
from mrisr.report.viewer import Gallery
from mrisr.tables import html

UNKNOWN = "–"
#: Most points of a figure that lead to their subject.
POINTS = 3000
#: Most pixels along a side of a WebP picture.
WEBP_SIDE = 16383
KINDS = {
    "control": "control: it bounds the tables and is not ranked",
    "interpolation": "interpolation",
    "supervised": "learned from a training set",
    "optimised": "optimised for each subject",
    "external": "computed by a program of its own",
}


def report(
    output: str | Path,
    *,
    study_facts: Mapping[str, Any],
    tables: Mapping[str, tuple[str, str | Path]],
    figures: Sequence[str | Path],
    manifest: Mapping[str, Any],
    viewer: Gallery | None = None,
    quality: str | Path | None = None,
    significance: str | Path | None = None,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Write one self-contained HTML page: nothing is loaded from elsewhere.

    Args:
        output: `report.html`.
        study_facts: See `mrisr.plan.report.study_facts`.
        tables: Title and HTML file by name, in the order to print.
        figures: Records of figures (see `mrisr.figures.files`), each beside its PNG.
        manifest: See `mrisr.report.manifest.manifest`.
        viewer: Volumes for the slice viewer, None for a page without one.
        quality: CSV of the table of image quality, which has the rows of each method.
        significance: CSV of the table of significance, from which the first sentence is made.
        state: State of an unfinished study, see `mrisr.plan.state.state`.

    Raises:
        InputError: A table or figure is missing.
    """
    labels = {cell["dataset"]: cell["dataset_label"] for cell in study_facts["cells"]}
    drawn = [_figure(Path(path), labels) for path in figures]
    trained = _each_training(study_facts["models"])
    models = [_model(model) for model in trained]
    means, contrasts = _frame(quality), _frame(significance, ("reference",))
    rows = _rows(study_facts, means)
    scores = subject_values(study_facts["cells"])
    # The viewer shows the first training, and the values beside an image are those of the image.
    shown = subject_values([{**cell, "repeats": []} for cell in study_facts["cells"]])
    cohorts = _cohorts(study_facts, scores)
    first, findings = mentioned(headlines(study_facts, means, contrasts, scores))
    remarks = viewer.remarks if viewer else []
    sections, notes = shared({name: _table(path, title) for name, (title, path) in tables.items()})
    summary = summarise(study_facts)
    write_page(
        output,
        title=study_facts["config"].get("title") or study_facts["config"]["study"],
        headline=first,
        findings=findings,
        heatmaps=heatmaps(study_facts, means),
        left_out=left_out(study_facts, means, cohorts, state=state, remarks=remarks),
        cost=in_short(manifest, trained),
        summary=summary,
        warnings=_warnings(study_facts["datasets"]),
        state=state,
        tables=[
            {"name": name, "title": title, "html": Markup(sections[name])}
            for name, (title, _) in tables.items()
        ],
        notes=[note | {"html": Markup(note["html"])} for note in notes],
        leaderboard=leaderboard(study_facts, means, models, output),
        methods_text=methods_text(study_facts, manifest, summary),
        figures=drawn,
        sections=list(dict.fromkeys(figure["section"] or "Figures" for figure in drawn)),
        viewer=_told(viewer, shown, means) if viewer and viewer.sets else None,
        methods=[
            _method(method, study_facts, models, drawn, rows) for method in study_facts["methods"]
        ],
        cohorts=cohorts,
        models=models,
        datasets=[_dataset(dataset) for dataset in study_facts["datasets"]],
        facts=_facts(manifest),
        durations=by_stage(manifest["durations"]),
        config=yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
        checksums=manifest["sha256"],
        choices=_choices(study_facts),
    )


def summarise(study_facts: Mapping[str, Any]) -> str:
    """Return two sentences on what a study did, and a third one if it has real LR scans.

    Args:
        study_facts: See `report`; its cells, datasets and note on the degradation are used.
    """
    cells = study_facts["cells"]
    names = listed(list(dict.fromkeys(c["method_label"] for c in cells if not c["control"])))
    factors = listed([f"{scale_name(k)}×" for k in dict.fromkeys(c["scale"] for c in cells)])
    tested = [d for d in study_facts["datasets"] if "test" in d["subjects"]]
    measured = _subjects([d for d in tested if d["has_ground_truth"]])
    real = _subjects([d for d in tested if not d["has_ground_truth"]])
    low = study_facts["notes"].get("Degradation", "").rstrip(".")
    said = []
    if measured:
        said.append(
            f"Low-resolution input of {measured} was made from the ground truth by"
            f" {low[:1].lower() + low[1:]} at {factors}. {names} reconstructed it on the grid of"
            " the ground truth, against which every volume was measured."
        )
    if real:
        how = "likewise" if measured else f"by {names} at {factors}"
        said.append(
            f"Real low-resolution scans of {real} were reconstructed {how}; they have no ground"
            " truth, so only metrics without reference are given."
        )
    return " ".join(said)


def _subjects(datasets: Sequence[Mapping]) -> str:
    counts = [(d["label"], d["subjects"]["test"]) for d in datasets]
    return listed([f"{n} test subject{'s' * (n != 1)} of {label}" for label, n in counts])


def _warnings(datasets: Sequence[Mapping]) -> list[str]:
    made_up = [str(d["label"]) for d in datasets if d.get("simulated")]
    if not made_up:
        return []
    return [
        f"{listed(made_up)}: simulated scans. They show that the workflow runs; values measured"
        " on them say nothing about real brains."
    ]


def _choices(study_facts: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the filters of the page: value and label."""
    cells = study_facts["cells"]
    return {
        "dataset": list({c["dataset"]: c["dataset_label"] for c in cells}.items()),
        "scale": [
            (scale_name(k), f"{scale_name(k)}×") for k in dict.fromkeys(c["scale"] for c in cells)
        ],
        "method": [(method["name"], method["label"]) for method in study_facts["methods"]],
    }


def _table(path: str | Path, title: str) -> str:
    """Return the part of a table's page that goes into this page, below its heading."""
    section = html.section(_read(path).decode("utf-8"))
    return section.replace(f"<h3>{escape(title)}</h3>\n", "", 1)


def _figure(record: Path, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a figure; its kind, which several datasets share, is the start of its name."""
    image = _read(record.with_suffix(".png"))
    about = read_record(record)
    dataset = about.get("dataset") or ""
    kind = about["name"].removesuffix(f"_{dataset}").replace("_", " ")
    return {
        **about,
        "section": about.get("section") or "Figures",
        "title": about.get("title") or about["name"],
        "kind": kind[:1].upper() + kind[1:],
        "dataset_label": labels.get(dataset, dataset),
        "methods": about.get("methods") or [],
        "scales": [scale_name(scale) for scale in about.get("scales") or []],
        "dataset": dataset,
        "points": _links(dataset, about.get("points") or {}),
        "picture": picture(image),
    }


def picture(png: bytes) -> str:
    """Return a picture's address for the page: the same pixels as WebP, a third of the size.

    Args:
        png: The file of a figure, opaque.
    """
    with Image.open(io.BytesIO(png)) as image:
        packed = io.BytesIO()
        if max(image.size) > WEBP_SIDE:
            return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
        image.convert("RGB").save(packed, "WEBP", lossless=True, method=4, quality=50)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode('ascii')}"


def _links(dataset: str, points: Mapping[str, Sequence]) -> list[dict[str, str]]:
    """Return, for each subject of a figure, its address and its points as a path of dots.

    The path's coordinates are in thousandths of the figure's width and height. A figure with more
    than `POINTS` points has no links, so that the page stays small.
    """
    if sum(map(len, points.values())) > POINTS:
        return []
    return [
        {
            "subject": subject,
            "href": f"#subject-{dataset}-{subject}",
            "path": "".join(f"M{1000 * x:.0f} {1000 * y:.0f}h0" for x, y in places),
        }
        for subject, places in points.items()
    ]


def _each_training(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return models (`mrisr.plan.cells.models`) once for each training."""
    return [
        {**model, "folder": folder, "trained": f"{model['trained']}{seed}"}
        for model in models
        for seed, folder in [
            ("", model["folder"]),
            *((f", seed {n}", again) for n, again in enumerate(model.get("repeats", ()), start=2)),
        ]
    ]


def _model(model: Mapping[str, Any]) -> dict[str, str]:
    """Return a model's row of the page as text; unknown values stay visible."""
    try:
        about = {**read_description(model["folder"]), **model}
    except FileNotFoundError:
        about = {**model, "absent": True}

    def shown(key: str, pattern: str = "{}") -> str:
        value = about.get(key)
        return UNKNOWN if value is None else pattern.format(value)

    origin = None
    if about.get("shipped"):
        origin = shipped_training(about)
    elif about.get("imported"):
        origin = f"weights imported from {Path(about['file']).name}"
    done, goal = about.get("steps"), about.get("published_steps")
    remarks = [
        *(["not there yet"] if about.get("absent") else []),
        *([origin] if origin else []),
        *(["collapsed: supports no conclusion"] if about.get("collapsed") else []),
        *(["demo preset"] if about.get("preset") == "demo" else []),
    ]
    return {
        "method": model["method"],
        "folder": str(model["folder"]),
        "label": str(about["label"]),
        "trained": str(about["trained"]),
        "parameters": shown("parameters", "{:,}"),
        "steps": shown("steps", "{:,}"),
        "published_steps": shown("published_steps", "{:,}"),
        "share": f"{100 * done / goal:.2g} %" if done is not None and goal else "",
        "val_loss": shown("val_loss", "{:.4g}"),
        "best_epoch": shown("best_epoch"),
        "seconds": UNKNOWN if about.get("seconds") is None else duration(about["seconds"]),
        "restarts": shown("restarts"),
        "device": shown("device"),
        "sha256": about.get("sha256") or "",
        "remark": "; ".join(remarks),
    }


def _method(
    method: Mapping[str, Any],
    study_facts: Mapping[str, Any],
    models: Sequence[Mapping],
    figures: Sequence[Mapping],
    rows: Mapping[str, list[dict]],
) -> dict[str, Any]:
    """Return the page's content about one method."""
    cells = [cell for cell in study_facts["cells"] if cell["method"] == method["name"]]
    skipped = {
        f"{cell['dataset_label']}, {scale_name(cell['scale'])}×: {cell['skipped']}": None
        for cell in cells
        if cell["skipped"]
    }
    return {
        **{key: method[key] for key in ("name", "label", "control")},
        "kind": KINDS.get(method["kind"], method["kind"]),
        "paper": method["paper"] or {},
        "settings": yaml.safe_dump(method["settings"], sort_keys=False, allow_unicode=True)
        if method["settings"]
        else "",
        "models": [model for model in models if model["method"] == method["name"]],
        "own": _own_models(method["own"]),
        "skipped": list(skipped),
        "tables": rows.get(method["name"], []),
        "figures": [f for f in figures if method["name"] in f["methods"]],
    }


def _own_models(folders: Sequence[str]) -> str:
    """Return a sentence on how the models of one subject each were made."""
    if not folders:
        return ""
    there = [read_description(f) for f in folders if (Path(f) / "model.json").exists()]
    said = f"{len(there)} of {len(folders)} models, one for each subject and scale, are there."
    seconds = [model["seconds"] for model in there if model.get("seconds") is not None]
    if seconds:
        said += f" Time of one: {duration(min(seconds))} to {duration(max(seconds))}."
    return said


def _rows(study_facts: Mapping[str, Any], quality: pd.DataFrame) -> dict[str, list[dict]]:
    """Return each method's rows of the table of image quality, in one table for each dataset."""
    if quality.empty:
        return {}
    labels = {c["dataset"]: c["dataset_label"] for c in study_facts["cells"]}
    found: dict[str, list[dict]] = {}
    for (method, dataset), group in quality.groupby(["method", "dataset"], sort=False):
        columns = _shown_columns(group)
        if not columns:
            continue
        lines = []
        for scale, at in group.groupby("scale", sort=False):
            by = {(r.metric, r.region): r for r in at.itertuples(index=False)}
            remarks = next((r.note for r in by.values() if isinstance(r.note, str)), "")
            lines.append(
                {
                    "scale": scale_name(scale),
                    "marks": "".join(mark for note, mark in MARKS.items() if note in remarks),
                    "note": remarks,
                    "n": max(int(r.n) for r in by.values()),
                    "values": [_mean(by.get(column), column[0]) for column in columns],
                }
            )
        found.setdefault(method, []).append(
            {
                "dataset": dataset,
                "label": labels.get(dataset, dataset),
                "header": [heading(*column) for column in columns],
                "rows": lines,
            }
        )
    return found


def _shown_columns(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return metric and region of the columns that have any value."""
    there = frame[frame["n"] > 0]
    return list(dict.fromkeys(zip(there["metric"], there["region"], strict=True)))


def _mean(row: Any, metric: str) -> dict[str, str]:
    if row is None or not row.n:
        return {"text": UNKNOWN, "value": ""}
    text = number(row.mean, metric)
    if not math.isnan(row.std):
        text += f" ± {number(row.std, metric)}"
    if not math.isnan(row.ci_low):
        text += f" [{number(row.ci_low, metric)}, {number(row.ci_high, metric)}]"
    return {"text": text, "value": f"{row.mean:.9g}"}


def number(value: float, metric: str) -> str:
    """Return a value with the number of decimals of its metric."""
    digits = metric_modules.metadata(metric).digits
    return f"{value:.{digits}f}" if math.isfinite(value) else str(value).replace("inf", "∞")


def _told(viewer: Gallery, scores: pd.DataFrame, quality: pd.DataFrame) -> Gallery:
    """Return the viewer's content with marks and the PSNR of every reconstruction that has them."""
    notes: dict[tuple, str] = {}
    for row in quality.itertuples():
        place = (row.dataset, float(row.scale), row.method)
        notes[place] = f"{notes.get(place, '')} {row.note}"
    volume = scores[(scores["metric"] == "psnr") & (scores["region"] == "volume")]
    keys = ["dataset", "subject", "scale", "method"]
    known = {tuple(key): value for *key, value in volume[[*keys, "value"]].itertuples(index=False)}
    sets = []
    for image_set in viewer.sets:
        place = (image_set["dataset"], image_set["subject"], float(image_set["scale"]))
        images = []
        for image in image_set["images"]:
            psnr = known.get((*place, image["key"]))
            note = notes.get((place[0], place[2], image["key"]), "")
            marks = "".join(MARKS[remark] for remark in DOUBTFUL if remark in note)
            told = {**image, "label": image["label"] + marks}
            images.append(told if psnr is None else {**told, "psnr": number(psnr, "psnr")})
        sets.append({**image_set, "images": images})
    return replace(viewer, sets=sets)


def _cohorts(study_facts: Mapping[str, Any], scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, for each test dataset, the values of every subject."""
    methods = {c["method"]: c["method_label"] for c in study_facts["cells"]}
    labels = {c["dataset"]: c["dataset_label"] for c in study_facts["cells"]}
    striking = outliers(scores)
    found = []
    for dataset, subjects in study_facts["subjects"].items():
        of_dataset = scores[scores["dataset"] == dataset]
        order = list(dict.fromkeys(zip(of_dataset["metric"], of_dataset["region"], strict=True)))
        columns = [c for c in order if metric_modules.metadata(c[0]).better]
        apart = striking[striking["dataset"] == dataset]
        found.append(
            {
                "dataset": dataset,
                "label": labels.get(dataset, dataset),
                "header": [heading(*column) for column in columns],
                "subjects": [
                    _subject(
                        subject,
                        of_dataset[of_dataset["subject"] == subject],
                        apart[apart["subject"] == subject],
                        columns,
                        methods,
                    )
                    for subject in subjects
                ],
                "enough": bool(of_dataset["z"].notna().any()),
                "apart": len(apart),
            }
        )
    return found


def _subject(
    subject: str,
    scores: pd.DataFrame,
    apart: pd.DataFrame,
    columns: Sequence[tuple[str, str]],
    methods: Mapping[str, str],
) -> dict[str, Any]:
    marked = set(apart.index)
    rows = []
    for (scale, method), group in scores.groupby(["scale", "method"], sort=False):
        by = {(r.metric, r.region): r for r in group.itertuples()}
        rows.append(
            {
                "scale": scale_name(scale),
                "method": method,
                "label": methods.get(method, method),
                "values": [_value(by.get(column), marked) for column in columns],
            }
        )
    return {
        "name": subject,
        "rows": rows,
        "apart": [
            f"{heading(r.metric, r.region).split(' ↑')[0].split(' ↓')[0]} of"
            f" {methods.get(r.method, r.method)} at {scale_name(r.scale)}×:"
            f" {number(r.value, r.metric)} (median {number(r.median, r.metric)}, z {r.z:+.1f})"
            for r in apart.itertuples(index=False)
        ],
    }


def _value(row: Any, marked: set) -> dict[str, Any]:
    if row is None:
        return {"text": UNKNOWN, "value": "", "hint": "", "apart": False}
    hint = ""
    if not math.isnan(row.z):
        hint = f"median of all subjects {number(row.median, row.metric)}, z {row.z:+.1f}"
    text = number(row.value, row.metric)
    return {"text": text, "value": f"{row.value:.9g}", "hint": hint, "apart": row.Index in marked}


def _dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    subjects = dataset.get("subjects") or {}
    # Only web addresses become links: a dataset's YAML may come from anybody.
    url = str(dataset.get("url") or "")
    return {
        **{key: dataset.get(key) or "" for key in ("description", "licence", "citation", "doi")},
        "label": dataset["label"],
        "simulated": bool(dataset.get("simulated")),
        "subjects": ", ".join(f"{count} {split}" for split, count in subjects.items()),
        "link": url if url.startswith(("https://", "http://")) else "",
    }


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the manifest in short, one fact a line."""
    host = manifest["host"]
    return [
        ("Study", manifest["study"]),
        ("Made", manifest["time"]),
        ("mrisr", f"{manifest['mrisr']}, commit {manifest['commit']}"),
        ("Seed", str(manifest["seed"])),
        ("Page made on", f"{host['platform']}, {host['cpus']} CPUs, GPU: {host['gpu'] or 'none'}"),
        ("Versions", ", ".join(f"{name} {v}" for name, v in manifest["versions"].items())),
    ]


def _frame(path: str | Path | None, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a table's CSV; without rows if there is none yet."""
    return read_table(path, text) if path is not None and Path(path).exists() else pd.DataFrame()


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it, or leave it out of the report") from None
