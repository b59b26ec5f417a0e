"""What figures are drawn from: a subject, its reconstructions and metrics; some not there."""

import importlib

import numpy as np

from mrisr.volumes.io import Volume, save

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
SHAPE = (24, 26, 12)
VALUES = {"cubic": 30.0, "good": 31.234, "bad $x": 25.0, "identity": float("inf")}


def head(shape=SHAPE):
    """A volume with its mask; the section is largest at z = 7."""
    data = np.random.default_rng(1).random(shape).astype(np.float32)
    mask = np.zeros(shape, np.uint8)
    mask[6:18, 8:20, 3:9] = 1
    mask[5:19, 6:22, 7] = 1
    return data * mask, mask


class FigureStudy:
    """A dataset `demo` with the subjects sub-01 to sub-03, of which the first has images.

    Methods are cubic (the baseline), good, bad (undertrained), skipped at 2.5, and later, which
    is missing.
    """

    def __init__(self, folder, scales=(2, 2.5), methods=5):
        self.folder = folder
        data, mask = head()
        found = {"hr": data, "mask": mask, "cubic": data * 0.9, "good": data * 0.95}
        for name, content in {**found, "bad": data * 0.5}.items():
            save(Volume(content, AFFINE), folder / f"{name}.nii.gz")
        names = ["cubic", "good", "bad $x", "skipped", "later"][:methods]
        self.cells = [
            self.cell(scale, name, number) for scale in scales for number, name in enumerate(names)
        ]

    def cell(self, scale, name, number):
        """Return a cell as `mrisr.plan.figures` plans it."""
        skipped = "too large" if name == "skipped" and scale == 2.5 else None
        image = self.folder / f"{name.split()[0]}.nii.gz"
        return {
            **{"dataset": "demo", "dataset_label": "Demo", "scale": scale, "method": name},
            **{"method_label": name.capitalize(), "control": False, "learned": name != "cubic"},
            **{"skipped": skipped, "model": self.model(name), "look": number},
            **{"ground_truth": False, "published_steps": 1000},
            "image": None if skipped else str(image),
            "path": None if skipped else self.metrics(name, scale),
        }

    def model(self, name):
        """Write the description of a model; return its folder, None for no model."""
        if name != "bad $x":
            return None
        folder = self.folder / "model"
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text('{"steps": 10}')
        return str(folder)

    def metrics(self, name, scale):
        """Write the metrics of a method that has some; return their file."""
        file = self.folder / f"{name.split()[0]}{scale}.csv"
        if name in VALUES:
            rows = [
                f"sub-{n:02},{metric},volume,{VALUES[name] / unit + n - 1}"
                for metric, unit in (("psnr", 1), ("ssim", 100))
                for n in (1, 2, 3)
            ]
            file.write_text("\n".join(["subject,metric,region,value", *rows]) + "\n")
        return str(file)

    def params(self, **more):
        """Return what a figure's `draw` takes."""
        return {
            **{"dataset": "demo", "label": "Demo", "subject": "sub-01", "baseline": "cubic"},
            **{"truth": str(self.folder / "hr.nii.gz"), "mask": str(self.folder / "mask.nii.gz")},
            **{"cells": self.cells, "held": [], "metrics": ["psnr", "ssim"]},
            **more,
        }

    def outputs(self, name):
        """Return the files of a figure."""
        return [self.folder / f"{name}.{suffix}" for suffix in ("png", "pdf", "json")]


def caught(module, params, monkeypatch):
    """Draw; return the figure and its record in place of files."""
    module, found = importlib.import_module(f"mrisr.figures.{module}"), []
    monkeypatch.setattr(module, "write", lambda *its: found.extend(its))
    module.draw(params, [])
    return found[0], found[1]


def texts(figure):
    """Return all that is written in a figure."""
    from matplotlib.text import Text

    return [its.get_text() for its in figure.findobj(Text) if its.get_text()]
