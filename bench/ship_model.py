"""Put a model that a study trained into the package, with a card that says what it is.

    python bench/ship_model.py CONFIG METHOD --tested CONFIG

CONFIG is the study's, which has run in this folder. The card's quality are the differences to the
baseline of the study that tested the method, another one if `--tested` names it. What lies in the
package is replaced.
"""

import argparse
import csv
from pathlib import Path

import ship
from mrisr.common.layout import scale_name
from mrisr.methods import shipped
from mrisr.methods.model_files import read_description
from mrisr.study.load import load_study
from mrisr.study.study import Study

METRICS = {"psnr": ("PSNR (dB)", "+.2f"), "ssim": ("SSIM", "+.4f"), "vif": ("VIF", "+.3f")}
LIMITS = "skull-stripped T1w heads of adults, LR made by a known slice profile; not for diagnosis"
KEPT = (
    *("method", "folder", "preset", "network", "coordinates", "model", "scales", "degradation"),
    *("training", "started_from", "dataset", "train_subjects", "val_subjects", "seed", "steps"),
    *("seconds", "val_loss", "collapsed", "parameters", "commit", "versions", "device", "date"),
)


def description(made: dict, licence: str) -> dict:
    """Return what `model.json` says of shipped weights.

    Args:
        made: What it says in the study.
        licence: Of the training's scans.
    """
    said = {key: made[key] for key in KEPT if key in made}
    said["versions"] = {name: made["versions"][name] for name in ("python", "torch", "numpy")}
    said["date"] = made["date"][:10]
    if start := made.get("started_from"):  # paths of the machine say nothing elsewhere
        said["training"] = {**made["training"], "start_from": shipped.SHIPPED}
        said["started_from"] = {**start, "file": shipped.FILE}
    return said | {
        "shipped": True,
        "licence": licence,
        "limits": LIMITS,
        "core_hours": round(made["seconds"] / 3600, 2),
    }


def quality(study: Study, method: str) -> list[str]:
    """Return a table of the method's differences to the baseline, Markdown; [] if there is none."""
    file = Path(study.layout.root) / "tables/significance.csv"
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        rows = [
            row
            for row in csv.DictReader(opened)
            if row["method"] == method
            and row["reference"] == study.config["baseline"]
            and row["region"] == "volume"
            and row["metric"] in METRICS
        ]
    if not rows:
        raise SystemExit(f"{file}: nothing about {method}; let the study test it")
    cells: dict[tuple, dict[str, str]] = {}
    for row in rows:
        digits = METRICS[row["metric"]][1]
        cells.setdefault((row["dataset"], row["scale"], row["n"]), {})[row["metric"]] = format(
            float(row["difference"]), digits
        )
    names = " | ".join(name for name, _ in METRICS.values())
    return [
        f"| heads | n | distance between slices, in voxels | {names} |",
        f"|---|---:|---:|{len(METRICS) * '---:|'}",
        *(
            f"| {study.datasets[dataset].label} | {n} | {scale_name(float(scale))} |"
            f" {' | '.join(gains.get(metric, '-') for metric in METRICS)} |"
            for (dataset, scale, n), gains in cells.items()
        ),
    ]


def card(said: dict, study: Study, table: list[str]) -> str:
    """Return the model's card, Markdown.

    Args:
        said: See `description`.
        study: The study that tested it.
        table: Lines of its quality.
    """
    name, low = said["method"], said["degradation"]
    start = said.get("started_from")
    begun = "begun at random"
    if start:
        begun = f"begun with those of `{said['folder']}` ({start['steps']:,} steps)"
    gaps = said["training"]["thick_slices"]["gaps"]
    scales = " to ".join(map(scale_name, said["scales"]))
    use = (
        f"one axis with slices every {scales} voxels, gaps of {gaps[0]:.0%} to {gaps[1]:.0%} of"
        f" that, profile {low['profile']}"
    )
    tested = ", ".join(study.degradation["acquisitions"])
    baseline = study.methods[study.config["baseline"]].label
    return "\n".join(
        [
            f"# Weights of `{name}`",
            "",
            "Applied by `mrisr sr THICK.nii.gz` to one scan with thick slices, and in a study of",
            "such scans by `weights: shipped`. The network is that of",
            f"[{said['folder']}](../../methods/{said['folder']}/README.md).",
            "",
            *ship.facts(said, use, "weights", begun, ", without those before" * bool(start)),
            "",
            "## Quality",
            "",
            "Test subjects that no training and no choice saw, slices as thickness|gap in voxels:",
            f"{tested}. Means over n volumes of the differences to {baseline}, of whole volumes.",
            "",
            *(table or ["Not measured yet."]),
            "",
            "## Limits",
            "",
            "- **Not for diagnosis.** Between two slices nothing was measured: what is drawn there",
            "  is what other heads look like. A lesion in a gap stays unseen, and one may be drawn",
            "  sharper, thinner or elsewhere than it is.",
            f"- Trained on {said['limits'].split(';')[0]}. Other contrasts and",
            "  scanners gain more or less (above). Stripes, of slices whose brightness differs",
            "  from those beside them as interleaved ones often do, stay, plainer than before.",
            "- Real slice profiles differ from the assumed one; look at the result beside",
            "  `--method cubic`.",
            "- Studies that test on the subjects above refuse these weights.",
            "",
            "## Made again",
            "",
            "```text",
            "snakemake --configfile CONFIG",
            f"python bench/ship_model.py CONFIG {name}",
            "```",
            "",
            "All settings are in `model.json` under `training`. Where time ends a training,",
            "another machine takes another number of steps.",
            "",
        ]
    )


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("method")
    parser.add_argument("--tested", type=Path, help="config of another study, that tested it")
    parser.add_argument("--out", type=Path, default=shipped.FOLDER)
    arguments = parser.parse_args()
    study = load_study(arguments.config)
    method = study.methods[arguments.method]
    made = Path(study.layout.model(method.name, method.trained()))
    file = made / shipped.FILE
    ship.refuse_large(file)
    made_there = read_description(made)
    licence = study.datasets[made_there["dataset"]].spec["licence"]
    said = description(made_there, licence)
    study = load_study(arguments.tested) if arguments.tested else study
    text = card(said, study, quality(study, method.name))
    ship.put(file, said, text, arguments.out / method.name)


if __name__ == "__main__":
    main()
