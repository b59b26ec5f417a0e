"""What docs/results.md says of a study that has run: kept as small files, written as a section."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mrisr.common.files import atomic, write_json
from mrisr.methods import method as methods
from mrisr.study.load import load_study
from mrisr.study.study import Study

WIDEST = 1300  # pixels of a picture
COLORS = 200
TABLES = ("quality", "significance", "segmentation")
ABOUT, NOTES = "study.json", "notes.md"


def keep(
    config: Path,
    figures: Sequence[str],
    command: str,
    folder: Path,
    name: str | None = None,
    rates: Path | None = None,
    notes: Path | None = None,
) -> Path:
    """Copy what the page needs of a study's results.

    Args:
        config: Config of the study, which has run in this folder.
        figures: Names of its figures, without suffix.
        command: How the study was run.
        folder: `docs/results`; the files go to a folder in it.
        name: Of that folder; default the study's.
        rates: Config of a study with short trainings, by which learning rates were chosen.
        notes: Markdown, what the study tells and what it does not.

    Returns:
        That folder.

    Raises:
        SystemExit: The study has no such table or figure.
    """
    study = load_study(config)
    made, kept = Path(study.layout.root), folder / (name or study.name)
    kept.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        file = made / "tables" / f"{name}.csv"
        if file.is_file():
            (kept / file.name).write_bytes(file.read_bytes())
        elif name != "segmentation":
            raise SystemExit(f"{file}: not there; run the study to its end")
    captions = {}
    for name in figures:
        file = made / "figures" / f"{name}.png"
        if not file.is_file():
            there = ", ".join(sorted(one.stem for one in file.parent.glob("*.png")))
            raise SystemExit(f"{file}: not there; figures: {there}")
        _small(file, kept / file.name)
        captions[name] = json.loads(file.with_suffix(".json").read_text())["caption"]
    about = {
        "title": study.config["title"],
        "command": command,
        "baseline": study.config["baseline"],
        "datasets": {
            name: {"label": study.datasets[name].label, "n": len(study.items(name, "test"))}
            for name in study.measured_datasets
        },
        "methods": {name: _training(study, name, made) for name in study.methods},
        "captions": captions,
        "rates": [] if rates is None else _rates(load_study(rates)),
    }
    write_json(kept / ABOUT, about)
    if notes is not None:
        (kept / NOTES).write_bytes(notes.read_bytes())
    return kept


def _small(file: Path, target: Path) -> None:
    """Write a picture at most `WIDEST` pixels wide, with few colours."""
    picture = Image.open(file).convert("RGB")
    picture.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
    with atomic(target) as temporary:
        picture.quantize(COLORS).save(temporary, format="PNG", optimize=True)


def _training(study: Study, name: str, made: Path) -> dict:
    """Return a method's label, and of its models: steps, minutes, what ended them."""
    said: dict = {"label": study.methods[name].label}
    files = sorted((made / "models" / name).glob("**/model.json"))
    models = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if not models:
        return said
    first = models[0]
    said |= {"parameters": first["parameters"], "models": len(models)}
    said["steps"] = [model["steps"] for model in models]
    said["minutes"] = [round(model["seconds"] / 60, 2) for model in models]
    said["ended"] = sorted({str(model.get("ended")) for model in models})
    said["shipped"] = bool(first.get("shipped"))
    if first.get("started_from"):
        said["started_from"] = first["started_from"].get("steps")
    return said


def _rates(study: Study) -> list[dict]:
    """Return of each model that a study has trained: method, learning rate, steps and loss."""
    found = []
    for name, chosen in study.config["methods"].items():
        method = (chosen or {}).get("base", name)
        for file in sorted((Path(study.layout.root) / "models" / name).glob("**/model.json")):
            model = json.loads(file.read_text(encoding="utf-8"))
            found.append(
                {
                    "method": methods.get(method).label,
                    "learning_rate": model["training"]["learning_rate"],
                    "minutes": round(model["seconds"] / 60, 2),
                    "steps": model["steps"],
                    "val_loss": model["val_loss"],
                }
            )
    return sorted(found, key=lambda row: (row["method"], row["learning_rate"]))


def section(kept: Path) -> list[str]:
    """Return the section about a study, Markdown.

    Args:
        kept: Folder that `keep` filled.
    """
    about = json.loads((kept / ABOUT).read_text(encoding="utf-8"))
    lines = [f"## {about['title']}", "", "```text", about["command"], "```", ""]
    lines += [*_trainings(about), *_gains(kept, about), *_overlaps(kept, about)]
    lines += _rates_table(about.get("rates", []))
    for name, caption in about["captions"].items():
        lines += [f"![{name.replace('_', ' ')}](results/{kept.name}/{name}.png)", "", caption, ""]
    if (kept / NOTES).is_file():
        lines += [(kept / NOTES).read_text(encoding="utf-8").rstrip(), ""]
    files = ", ".join(
        f"[{name}](results/{kept.name}/{name}.csv)"
        for name in TABLES
        if (kept / f"{name}.csv").is_file()
    )
    return [*lines, f"All means, intervals and tests: {files}.", ""]


def _trainings(about: dict) -> list[str]:
    """Return the table of how each learned method was trained."""
    rows = []
    for said in about["methods"].values():
        if "steps" not in said:
            continue
        start = ""
        if said["shipped"]:
            start = "weights that come with mrisr"
        elif said.get("started_from"):
            start = f"begun with the weights that come with mrisr ({said['started_from']:,} steps)"
        ended = "" if said["shipped"] else ", ".join(said["ended"])
        rows.append(
            f"| {said['label']} | {said['parameters']:,} | {said['models']} |"
            f" {_span(said['steps'], ',.0f')} | {_span(said['minutes'], '.1f')} | {ended} |"
            f" {start} |"
        )
    head = "| method | parameters | models | steps of a model | minutes | ended by | remark |"
    return [head, "|---|---:|---:|---:|---:|---|---|", *rows, ""] if rows else []


def _rates_table(rates: Sequence[dict]) -> list[str]:
    """Return the table of the search for learning rates."""
    if not rates:
        return []
    return [
        "Learning rates, by the validation loss after a short training with each:",
        "",
        "| method | learning rate | minutes | steps | validation loss |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row['method']} | {row['learning_rate']:g} | {row['minutes']:.1f} |"
            f" {row['steps']:,} | {row['val_loss']:.4f} |"
            for row in rates
        ),
        "",
    ]


def _span(numbers: Sequence[float], digits: str) -> str:
    low, high = format(min(numbers), digits), format(max(numbers), digits)
    return low if low == high else f"{low} to {high}"


def rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; none if it is not there."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def _gains(kept: Path, about: dict) -> list[str]:
    """Return the table of PSNR against the baseline, a column for each dataset and scale."""
    found = [
        row
        for row in rows(kept / "significance.csv")
        if (row["metric"], row["region"]) == ("psnr", "volume")
        and row["reference"] == about["baseline"]
    ]
    places = list(dict.fromkeys((row["dataset"], row["scale"]) for row in found))
    cells = {(row["method"], row["dataset"], row["scale"]): _gain(row) for row in found}
    names = list(dict.fromkeys(row["method"] for row in found))
    heads = [
        f"{about['datasets'][dataset]['label']}, {float(scale):g}×"
        f" (n = {about['datasets'][dataset]['n']})"
        for dataset, scale in places
    ]
    baseline = about["methods"][about["baseline"]]["label"]
    return [
        f"PSNR of the whole volume over {baseline} (dB); in brackets 95 % intervals of the mean"
        " difference, of 5 subjects and more.",
        "",
        f"| method | {' | '.join(heads)} |",
        f"|---|{len(places) * '---:|'}",
        *(
            f"| {about['methods'][name]['label']} |"
            f" {' | '.join(cells.get((name, *place), '-') for place in places)} |"
            for name in names
        ),
        "",
    ]


def _gain(row: dict[str, str]) -> str:
    mean = f"{float(row['difference']):+.2f}"
    if not row["ci_low"]:
        return mean
    return f"{mean} [{float(row['ci_low']):+.2f}, {float(row['ci_high']):+.2f}]"


def _overlaps(kept: Path, about: dict) -> list[str]:
    """Return the table of Dice, mean of the six regions."""
    found = [
        row
        for row in rows(kept / "segmentation.csv")
        if (row["region"], row["metric"]) == ("mean", "dice") and row["mean"]
    ]
    if not found:
        return []
    places = list(dict.fromkeys((row["dataset"], row["scale"]) for row in found))
    cells = {
        (row["method"], row["dataset"], row["scale"]): f"{float(row['mean']):.3f}" for row in found
    }
    floors = {(row["dataset"], row["scale"]): row["noise_floor"] for row in found}
    heads = [
        f"{about['datasets'][dataset]['label']}, {float(scale):g}×" for dataset, scale in places
    ]
    floor = " | ".join(f"{float(floors[place]):.4f}" if floors[place] else "-" for place in places)
    return [
        "Dice of the segmentation with the ground truth's, mean of six regions. The noise floor is"
        " what noise of 0.1 % of the maximum changes.",
        "",
        f"| method | {' | '.join(heads)} |",
        f"|---|{len(places) * '---:|'}",
        *(
            f"| {about['methods'][name]['label']} |"
            f" {' | '.join(cells.get((name, *place), '-') for place in places)} |"
            for name in dict.fromkeys(row["method"] for row in found)
        ),
        f"| noise floor | {floor} |",
        "",
    ]
