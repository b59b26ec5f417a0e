"""Tiny studies that the tests make: scans, a dataset of them, a config, and Snakemake on it."""

import json
import os
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from scipy import ndimage

from warm_python import WarmPython

ROOT = Path(__file__).parent.parent
WARM = WarmPython()
TOYS = Path(__file__).parent / "workflow" / "toys"
# Fits in seconds and still learns something; the tests look at plumbing, not at quality.
TINY = {
    "srcnn3d": {
        "model": {"features": [4, 4], "kernels": [3, 1, 3]},
        "training": {"epochs": 3, "steps_per_epoch": 4, "batch": 2, "patch": 16, "border": 0},
    },
    "arssr_rdn": {
        "model": {"features": 4, "growth": 4, "blocks": 1, "layers": 2, "channels": 8, "width": 16},
        "training": {"epochs": 3, "steps_per_epoch": 4, "batch": 2, "queries": 64, "lr_patch": 4}
        | {"border": 0},
    },
}

TINY_IREM = {
    "model": {"encoding": 16, "width": 16},
    "training": {"epochs": 2, "batch": 2000, "learning_rate": 1e-3},
}

#: The least that a study of the demo's scans must say.
LEAST = {
    "study": "demo",
    "seed": 1,
    "datasets": {"demo": {"roles": ["test"]}},
    "scales": [2],
    "degradation": {"kind": "volume"},
    "methods": {"cubic": None},
    "metrics": ["psnr"],
}


def write_scan(path, seed, shape=(30, 34, 32)):
    """Write a blob with texture, like a skull-stripped scan."""
    random = np.random.default_rng(seed)
    distance = sum(
        ((np.arange(n) - n / 2 + 0.5) / (0.42 * n)).reshape([-1 if a == i else 1 for a in range(3)])
        ** 2
        for i, n in enumerate(shape)
    )
    texture = ndimage.gaussian_filter(random.random(shape), 1.2)
    data = np.where(distance < 1, 200 + 2000 * (texture - texture.min()), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, 1.1, 0.9, 1])
    nib.save(nib.Nifti1Image(data.astype(np.int16), affine), path)


def write_skm_tea(folder, splits=("train",) * 8 + ("val", "test")):
    """Write what a dry-run looks at of a copy of SKM-TEA, a scan for each of the splits."""
    record = {"voxel_spacing": [0.3125, 0.3125, 0.8], "orientation": ["SI", "AP", "LR"]}
    for place in ("annotations/v1.0.0", "files_recon_calib-24"):
        (folder / place).mkdir(parents=True)
    for number, split in enumerate(splits):
        images = [{"scan_id": f"MTR_{number:03}", **record}]
        file = folder / f"annotations/v1.0.0/{split}.json"
        known = json.loads(file.read_text())["images"] if file.exists() else []
        file.write_text(json.dumps({"images": known + images}))
        (folder / f"files_recon_calib-24/MTR_{number:03}.h5").touch()


class TinyStudy:
    """A study in a folder of its own: a BIDS dataset `tiny` with 2 + 1 + 2 subjects."""

    def __init__(self, folder, **config):
        self.folder = Path(folder)
        self.snakefile = ROOT / "Snakefile"
        self.bids = self.folder / "bids"
        self.plugins = self.folder / "plugins"
        splits = {"01": "train", "02": "train", "03": "val", "04": "test", "05": "test"}
        for subject in splits:
            write_scan(self.scan(subject), int(subject))
        (self.plugins / "datasets").mkdir(parents=True)
        if TOYS.exists():
            shutil.copytree(TOYS / "methods", self.plugins / "methods")
        rows = "".join(f"sub-{subject}\t{split}\n" for subject, split in splits.items())
        (self.plugins / "datasets" / "tiny.tsv").write_text("subject\tsplit\n" + rows)
        dataset = {
            "label": "Tiny",
            "skull_stripped": True,
            "source": {"kind": "bids", "folder": str(self.bids), "suffix": "T1w"},
            "split": "tiny.tsv",
        }
        (self.plugins / "datasets" / "tiny.yaml").write_text(yaml.safe_dump(dataset))
        self.config = {
            "study": "tiny",
            "seed": 1,
            "plugins": [str(self.plugins)],
            "datasets": {"tiny": None},
            "scales": [2],
            "degradation": {"kind": "volume"},
            "methods": {"cubic": None},
            "metrics": ["psnr", "ssim"],
            **config,
        }

    def scan(self, subject):
        """Return the raw scan of a subject."""
        return self.bids / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz"

    @property
    def results(self):
        """The study's results."""
        return self.folder / "results" / self.config["study"]

    def command(self, *arguments):
        """Return the Snakemake call that runs the study."""
        configfile = self.folder / "tiny.yaml"
        configfile.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)),
            *("--directory", str(self.folder), "--configfile", str(configfile), "--cores", "2"),
            *arguments,
        ]

    def environment(self):
        """Return the environment that Snakemake runs in."""
        return environment()

    def run(self, *arguments, check=True):
        """Run Snakemake; return its exit code and everything it printed."""
        command = self.command(*arguments)[1:]  # without Python itself
        code, output = WARM.run(command, self.environment(), Path.cwd())
        assert not check or code == 0, output
        return code, output


def environment():
    """Return the environment without what would tie a run to this checkout."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def jobs(output):
    """Return the rules that a dry-run would run, by the table that Snakemake prints."""
    assert "Job stats:" in output, output
    lines = output.split("Job stats:")[1].split("\ntotal")[0].splitlines()
    rows = [line.split() for line in lines if len(line.split()) == 2]
    return {rule: int(count) for rule, count in rows if count.isdigit()}
