"""How good weights of the residual network are on whole heads that no training and no choice saw.

Each ground truth is made low in resolution as a study does it, and reconstructed by cubic
interpolation and by the network. Every measurement is a row; those that are there are not taken
again, so that a run may be stopped and another scale or head added. One head of every cohort comes
first, then the second ones.

    python bench/heads.py WEIGHTS FOLDER --scales 2 3 4 --out heads.csv

`FOLDER` holds ground truths, `<cohort>_<subject>_hr.nii.gz`.
"""

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch

from mrisr.common.files import sha256
from mrisr.degrade.resample import degrade
from mrisr.evaluate.subjects import Options, evaluate_files
from mrisr.methods import method as methods
from mrisr.methods.model_files import load_model
from mrisr.reconstruct.apply import reconstruct
from mrisr.volumes.io import load, save

METHOD = "cubic_residual"
METRICS = ("psnr", "ssim", "vif")
COLUMNS = ("cohort", "subject", "scale", "grid", "method", "weights", *METRICS, "seconds")
SUFFIX = "_hr.nii.gz"
KEYS = COLUMNS[:6]
# In the order of cards and tables.
COHORTS = {
    "ds002748": "ds002748, test subjects: T1w, skull-stripped, the scanner of the training",
    "ds000011": "ds000011: T1w with skull, another scanner",
    "openms_T1": "Open MS: T1w of patients, another scanner",
    "openms_FLAIR": "Open MS: FLAIR, a contrast that the training never saw",
}


def heads(folder: Path, cohorts: list[str] | None, count: int | None) -> list[tuple[str, str]]:
    """Return cohorts and subjects, the first of every cohort first."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        cohort, subject = file.name.removesuffix(SUFFIX).rsplit("_", 1)
        if not cohorts or cohort in cohorts:
            found.setdefault(cohort, []).append(subject)
    turns = range(max(map(len, found.values()), default=0))
    return [
        (cohort, subjects[turn])
        for turn in turns
        for cohort, subjects in found.items()
        if turn < len(subjects[:count])
    ]


def measured(file: Path) -> set[tuple[str, ...]]:
    """Return which measurements a file of results holds."""
    if not file.exists():
        return set()
    with file.open(newline="") as opened:
        return {tuple(row[key] for key in KEYS) for row in csv.DictReader(opened)}


def gains(file: Path, weights: str) -> dict[tuple[str, float], dict[str, list[float]]]:
    """Return what weights gain over cubic interpolation, in the order of `COHORTS` and scales.

    Args:
        file: Of this program; only heads that both methods were measured on count.
        weights: The first digits of the weights' checksum.

    Returns:
        By cohort and scale, and then by subject: PSNR of cubic (dB), and the differences of
        `METRICS`.

    Raises:
        SystemExit: The file holds no measurement of these weights.
    """
    found: dict[tuple, dict[str, dict]] = defaultdict(dict)
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            if row["grid"] == "corners" and row["weights"] in ("", weights):
                key = (row["cohort"], float(row["scale"]), row["subject"])
                found[key][row["method"]] = row
    gained: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(dict)
    order = list(COHORTS)
    for cohort, scale, subject in sorted(found, key=lambda key: (order.index(key[0]), *key[1:])):
        pair = found[cohort, scale, subject]
        if len(pair) == 2:
            ours, cubic = pair[METHOD], pair["cubic"]
            taken = [float(ours[metric]) - float(cubic[metric]) for metric in METRICS]
            gained[cohort, scale][subject] = [float(cubic["psnr"]), *taken]
    if not gained:
        raise SystemExit(f"{file}: no measurement of the weights {weights}; run bench/heads.py")
    return gained


def rows(arguments: argparse.Namespace) -> Iterator[dict]:
    """Take the measurements that are lacking, one after the other."""
    done = measured(arguments.out)
    mark = sha256(arguments.weights)[:12]
    low = {"kind": "volume", "kernel": "spline", "grid": arguments.grid, "antialias": None}
    chosen = {"cubic": "", METHOD: mark}
    network = load_model(methods.get(METHOD), arguments.weights)
    for cohort, subject in heads(arguments.folder, arguments.cohorts, arguments.count):
        truth = arguments.folder / f"{cohort}_{subject}{SUFFIX}"
        hr = load(truth)
        for scale in arguments.scales:
            for name, weights in chosen.items():
                row = dict(
                    zip(
                        KEYS,
                        (cohort, subject, f"{scale:g}", arguments.grid, name, weights),
                        strict=True,
                    )
                )
                if tuple(row.values()) in done:
                    continue
                lr = degrade(hr, scale, low)[""]
                begun = time.perf_counter()
                sr = reconstruct(
                    methods.get(name),
                    network if weights else None,
                    *(lr, hr.data.shape, scale, hr.affine, arguments.grid),
                )
                row["seconds"] = round(time.perf_counter() - begun, 2)
                with tempfile.TemporaryDirectory() as folder:
                    image = Path(folder) / "sr.nii.gz"
                    save(sr, image)
                    table = evaluate_files(image, truth, None, Options(METRICS))
                yield row | {
                    metric: round(value, 5)
                    for metric, value in zip(table["metric"], table["value"], strict=True)
                }


def main() -> None:
    """Measure, and append to a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="a safetensors file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("heads.csv"))
    parser.add_argument("--scales", type=float, nargs="+", default=[2, 3, 4])
    parser.add_argument("--cohorts", nargs="+", help="default all")
    parser.add_argument("--count", type=int, help="of heads of a cohort; default all")
    parser.add_argument("--grid", choices=("corners", "centres"), default="corners")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for row in rows(arguments):
        new = not arguments.out.exists()
        with arguments.out.open("a", newline="") as opened:
            writer = csv.DictWriter(opened, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(*(row[key] for key in COLUMNS), sep="\t", flush=True)


if __name__ == "__main__":
    main()
