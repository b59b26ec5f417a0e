"""Put the weights of a long training into the package, with a card that says what they are.

    python bench/ship.py RUN --part decay --quality heads.csv

`RUN` is the folder of `bench/recipe.py long`, `heads.csv` what `bench/heads.py` measured of these
weights; without it the card says that nothing was measured. What lies in the package is replaced.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

import heads
import recipe
from mrisr.common.files import atomic, sha256, write_text
from mrisr.common.provenance import commit, versions
from mrisr.methods import method as methods
from mrisr.methods import shipped
from mrisr.methods.model_files import load_model, save_model

MOST = 6_000_000  # bytes
LIMITS = "skull-stripped T1w heads of adults, LR made by cubic B-splines; not for diagnosis"


def history(run: Path, part: str) -> dict:
    """Return the last row of a training's log of a part.

    Raises:
        SystemExit: There is none.
    """
    rows = [row for row in recipe.read_log(run / "log.csv") if row["part"] == part]
    if not rows:
        raise SystemExit(f"{run / 'log.csv'}: no row of the part '{part}'; let the training go on")
    return rows[-1]


def description(run: Path, part: str) -> dict:
    """Return what `model.json` says of the weights of a training."""
    method = methods.get(heads.METHOD)
    settings = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    last = history(run, part)
    seconds = float(last["core_seconds"])
    return {
        "method": method.name,
        "preset": "published",
        "shipped": True,
        **{key: method.spec[key] for key in ("network", "coordinates")},
        "model": {**method.spec["model"], **settings["model"]},
        "scales": [float(scale) for scale in method.spec["scale_range"]],
        "scale_per_axis": settings["aniso"] > 0,
        "limits": LIMITS,
        "degradation": {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None},
        "training": {key: value for key, value in settings.items() if key != "model"},
        "dataset": "ds002748",
        "train_subjects": [f"sub-{n:02d}" for n in recipe.TRAIN],
        "val_subjects": [f"sub-{n:02d}" for n in recipe.VAL],
        "licence": "CC0",
        "seed": recipe.SEED,
        "steps": int(last["step"]),
        "seconds": seconds,
        "core_hours": round(seconds / 3600, 2),
        "annealed": part == "decay" and float(last["rate"]) < recipe.OVER,
        "val_loss": float(last["val_loss"]),
        "collapsed": False,
        "parameters": method.spec["parameters"],
        "commit": commit(),
        "versions": {name: versions()[name] for name in ("python", "torch", "numpy")},
        "device": "cpu",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def quality(file: Path, weights: str) -> list[str]:
    """Return a table of the gains over cubic, by cohort and scale, in Markdown.

    Args:
        file: Of `bench/heads.py`.
        weights: The first digits of the weights' checksum.

    Raises:
        SystemExit: The file holds no measurement of these weights.
    """
    gains = heads.gains(file, weights)
    lines = [
        "| heads | n | scale | PSNR of cubic (dB) | PSNR gained (dB) | SSIM gained | VIF gained |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (cohort, scale), each in gains.items():
        cubic, psnr, ssim, vif = np.mean(list(each.values()), axis=0)
        lines.append(
            f"| {heads.COHORTS[cohort]} | {len(each)} | {scale:g}× | {cubic:.2f} | {psnr:+.2f} |"
            f" {ssim:+.4f} | {vif:+.3f} |"
        )
    return lines


def facts(said: dict, use: str, chosen: str, remark: str, before: str = "") -> list[str]:
    """Return the table of facts of a card, Markdown.

    Args:
        said: What `model.json` says.
        use: What the weights are for.
        chosen: What the validation subjects served for.
        remark: On the steps.
        before: On the hours.
    """
    return [
        "| | |",
        "|---|---|",
        f"| for | {use} |",
        f"| parameters | {said['parameters']:,} |",
        f"| data | OpenNeuro {said['dataset']}, licence {said['licence']}:"
        f" {', '.join(said['train_subjects'])} |",
        f"| validation | {', '.join(said['val_subjects'])}: for the choice of the {chosen} |",
        f"| steps | {said['steps']:,}, {patches(said['training'])} patches each; {remark} |",
        f"| core-hours | {said['core_hours']:g} of one CPU core{before} |",
        f"| seed | {said['seed']} |",
        f"| validation loss | {said['val_loss']:.5f} |",
        f"| commit | {said['commit']} |",
        f"| torch | {said['versions']['torch']} |",
        "| licence of the weights | Apache-2.0, as the code |",
    ]


def patches(training: dict) -> str:
    """Return the patches of a step of a training, and those of the parts before it if others."""
    each = [each["batch"] * each.get("processes", 1) for each in recipe.chain(training)]
    return " then ".join(str(number) for number, _ in groupby(each))


def refuse_large(file: Path) -> None:
    """Refuse weights that are too large for the repository.

    Raises:
        SystemExit: They are.
    """
    if file.stat().st_size > MOST:
        raise SystemExit(f"{file}: {file.stat().st_size} bytes, at most {MOST} are shipped")


def put(file: Path, said: dict, text: str, out: Path) -> None:
    """Write weights, their description and their card.

    Args:
        file: The weights.
        said: What `model.json` says.
        text: The card, Markdown.
        out: Folder.
    """
    save_model(out, load_file(file), [], said)
    write_text(out / "README.md", text)
    print(f"{out}: {said['steps']:,} steps, {said['core_hours']} core-hours")


def card(said: dict, table: list[str]) -> str:
    """Return the model's card, Markdown.

    Args:
        said: See `description`.
        table: Lines of its quality; none if nothing was measured.
    """
    ended = (
        "its learning rate annealed to 0"
        if said["annealed"]
        else "**not annealed: a stage of a training that goes on**"
    )
    measured = [
        "Whole heads that no training and no choice saw, at full resolution; LR made as in a study",
        "(`kernel: spline`, `grid: corners`). Means over n heads, of the whole volume; what is",
        "gained is over cubic B-spline interpolation.",
        "",
        *table,
    ]
    parts = recipe.chain(said["training"])
    runs = ["RUN", *(f"RUN{number + 1}" for number in range(1, len(parts)))]
    again = [
        f"python bench/recipe.py long FOLDER --variant {recipe.variant_of(part)} --out {out} {how}"
        " --decay MINUTES"
        + (f" --processes {part['processes']}" if part.get("processes", 1) > 1 else "")
        for out, part, how in zip(runs, parts, beginnings(parts, runs), strict=True)
    ]
    shipped_between = [
        "",
        "`SHIPPED` is what `bench/ship.py` made of the training before: weights without the state",
        "of an optimizer.",
    ] * any(part.get("begun") == recipe.WEIGHTS for part in parts)
    run = runs[-1]
    turned = [
        "- At last it was trained on heads in one orientation, RAS, in which mrisr hands it every",
        "  scan; arrays that lie otherwise are not what it knows.",
    ] * (not said["training"].get("turns", True))
    return "\n".join(
        [
            f"# Weights of `{said['method']}`",
            "",
            "Applied by `mrisr sr SCAN.nii.gz --scale 2`, and in a study by `weights: shipped`.",
            f"The method: [{said['method']}](../../methods/{said['method']}/README.md).",
            "",
            *facts(said, "scales 2 to 4, another one along each axis", "recipe", ended),
            "",
            "## Quality",
            "",
            *(measured if table else ["Not measured on whole heads yet."]),
            "",
            "## Limits",
            "",
            "- **Not for diagnosis.** Detail that a scan does not hold is made from what other",
            "  heads look like: a lesion may be smoothed away or drawn sharper than it is.",
            f"- Trained on {said['limits'].split(';')[0]}. Other contrasts and scanners",
            f"  gain more or less{' (above)' * bool(table)}; the profile of thick slices was not"
            " trained for.",
            *turned,
            "- The LR volumes were made from ground truths by resampling. Scans that are blurred",
            "  or noisy in other ways gain less; look at the result beside `--method cubic`.",
            "- Studies that test on the subjects above refuse these weights.",
            "",
            "## Made again",
            "",
            "```text",
            *again,
            f"python bench/heads.py {run}/decay.safetensors HEADS --out heads.csv",
            f"python bench/ship.py {run} --part decay --quality heads.csv",
            "```",
            "",
            "`FOLDER` holds the ground truths of the subjects above as a study prepares them,",
            "`ds002748_<subject>_hr.nii.gz`; MINUTES are of one core, of all processes together.",
            "All settings are in `model.json` under `training`. Parts end by time, so that",
            "another machine takes another number of steps: weights made again are not the same.",
            f"`{recipe.TRAINING}` is the log.",
            *shipped_between,
            "",
        ]
    )


def beginnings(parts: Sequence[dict], runs: Sequence[str]) -> list[str]:
    """Return the options that say what each part of a training begins from, and its stable part."""
    from_weights = [part.get("begun") == recipe.WEIGHTS for part in parts[1:]]
    starts = [
        "SHIPPED" if weights else f"{run}/decay-STEP.pt"
        for weights, run in zip(from_weights, runs, strict=False)
    ]
    return ["--stable MINUTES", *(f"--start {start} --stable 0" for start in starts)]


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", choices=("stable", "decay"), default="decay")
    parser.add_argument("--quality", type=Path, help="CSV of bench/heads.py")
    parser.add_argument("--out", type=Path, default=shipped.FOLDER / heads.METHOD)
    arguments = parser.parse_args()
    file = arguments.run / f"{arguments.part}.safetensors"
    refuse_large(file)
    load_model(methods.get(heads.METHOD), file)
    said = description(arguments.run, arguments.part)
    table = quality(arguments.quality, sha256(file)[:12]) if arguments.quality else []
    put(file, said, card(said, table), arguments.out)
    log = recipe.read_log(arguments.run / "log.csv")
    rows = [row for part in recipe.lineage(log) for row in part]
    with (
        atomic(arguments.out / recipe.TRAINING) as staged,
        staged.open("w", newline="") as opened,
    ):
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
