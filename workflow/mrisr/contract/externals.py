"""The contract of methods that are rules: Snakemake tries them on two tiny subjects."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrisr.common.errors import require
from mrisr.common.files import write_text
from mrisr.common.layout import Layout, scale_name
from mrisr.common.paths import SNAKEFILE
from mrisr.contract.methods import OVERSHOOT, Clause
from mrisr.contract.samples import claimed, truth
from mrisr.methods import method as methods
from mrisr.volumes.io import load, save

SECONDS = 600
# The same scan twice: a difference between the outputs does not come from the input.
SUBJECTS = ("sub-01", "sub-02")
SHAPE = (24, 26, 28)
CONFIG = """\
study: contract
seed: 1
preset: demo
plugins: [{plugins}]
datasets: {{contract: }}
scales: [{scale}]
degradation: {degradation}
methods: {{{name}: }}
metrics: [psnr]
"""
DATASET = """\
label: Contract
skull_stripped: true
source: {kind: bids, folder: bids}
split: test
"""


def reconstructs_by_its_rules(name: str, plugins: Sequence[str | Path]) -> None:
    """Run the rules on two subjects; check grid, affine, range, and equal output for equal input.

    Slices are not tried, because the workflow itself draws them from volumes.
    """
    method = methods.get(name, search=plugins)
    where = method.folder
    require(method.input != "slice", f"{where}: rules for slices cannot be tried; take volume")
    scale = min(claimed(method), key=lambda candidate: abs(candidate - 2))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for subject in SUBJECTS:
            save(truth(SHAPE), folder / f"bids/{subject}/anat/{subject}_T1w.nii.gz")
        write_text(folder / "here/datasets/contract.yaml", DATASET)
        paths = [*(str(Path(plugin).resolve()) for plugin in plugins), "here"]
        degradation = f"{{kind: {method.input}}}"
        if method.input == "through_plane":
            degradation = f"{{kind: through_plane, acquisitions: [{scale_name(scale)}|0]}}"
        config = CONFIG.format(
            name=name,
            scale=scale_name(scale),
            degradation=degradation,
            plugins=", ".join(paths),
        )
        write_text(folder / "config.yaml", config)
        layout = Layout("contract")
        targets = [layout.sr("contract", name, scale_name(scale), person) for person in SUBJECTS]
        said = _snakemake(folder, targets)
        made = [folder / target for target in targets]
        missing = [file.name for file in made if not file.exists()]
        require(not missing, f"{where}/rules.smk: Snakemake did not make {missing}:\n{said}")
        wanted = load(folder / layout.hr("contract", SUBJECTS[0]))
        found = [load(file) for file in made]
    for volume in found:
        require(
            volume.data.shape == wanted.data.shape,
            f"{where}: gave shape {volume.data.shape}, the ground truth has {wanted.data.shape}",
        )
        require(
            np.allclose(volume.affine, wanted.affine, atol=1e-4),
            f"{where}: the affine is not that of the ground truth",
        )
        low, high = float(volume.data.min()), float(volume.data.max())
        require(
            np.isfinite([low, high]).all() and low > -OVERSHOOT and high < 1 + OVERSHOOT,
            f"{where}: intensities {low:.3g} to {high:.3g}; the LR volume's are in [0,1]",
        )
    require(
        np.array_equal(found[0].data, found[1].data), f"{where}: the same scan gave two results"
    )


def _snakemake(folder: Path, targets: Sequence[str]) -> str:
    """Run Snakemake in a folder; return the end of its output."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--cores", "1"),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml"), "--", *targets),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=SECONDS, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} s"
    return "\n".join((done.stdout + done.stderr).splitlines()[-25:])


CLAUSES: dict[str, Clause] = {
    "reconstructs tiny subjects by its rules, on the grid, twice the same": (
        reconstructs_by_its_rules
    ),
}
