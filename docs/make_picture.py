"""Draw docs/head.png, of the README: a slice of a head as LR, cubic, ours, ground truth.

    python docs/make_picture.py ds002748/sub-03/anat/sub-03_T1w.nii.gz

The scan is prepared and degraded as in a study; the PSNR in the titles is that of the whole volume.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle

from mrisr.api import (
    Volume,
    downsample,
    get_method,
    load,
    load_model,
    lr_affine,
    psnr,
    reconstruct,
)
from mrisr.methods import shipped
from mrisr.prepare.ground_truth import prepare_volume

PICTURE = Path(__file__).with_name("head.png")
SCALE = 3
CREDIT = "OpenNeuro ds002748, sub-03 (CC0)"


def main(scan: str) -> None:
    """Draw the picture.

    Args:
        scan: A skull-stripped T1w scan that the model has not been trained on.
    """
    truth, _ = prepare_volume(load(scan), {"kind": "none"}, {"kind": "signal"}, scan)
    data = downsample(truth.data, scale=SCALE)
    lr = Volume(data, lr_affine(truth.affine, truth.data.shape, data.shape, grid="corners"))
    ours = get_method("cubic_residual")
    model = load_model(ours, shipped.weights_file("cubic_residual", "picture"))
    shape = truth.data.shape
    made = {
        "cubic": reconstruct(get_method("cubic"), None, lr, shape=shape, scale=SCALE),
        "mrisr sr": reconstruct(ours, model, lr, shape=shape, scale=SCALE),
    }
    nearest = reconstruct(get_method("nearest"), None, lr, shape=shape, scale=SCALE)
    panels = {f"LR, {SCALE}× larger voxels": nearest.data}
    for name, volume in made.items():
        panels[f"{name}, {psnr(truth.data, volume.data):.2f} dB"] = volume.data
    draw(panels | {"ground truth": truth.data}, truth)
    print(*panels, sep="\n")


def draw(panels: dict[str, np.ndarray], truth: Volume) -> None:
    """Draw a slice of each volume, and a part of it enlarged.

    Args:
        panels: Volumes by title, one shape, canonical RAS.
        truth: The ground truth, for voxel size and brightness.
    """
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    inside = np.argwhere(truth.data > 0)
    low, high = inside.min(axis=0), inside.max(axis=0)
    level = int(low[2] + 0.62 * (high[2] - low[2]))
    width = (high[0] - low[0]) // 3
    left, front = low[0] + width // 5, low[1] + int(0.12 * (high[1] - low[1]))
    window = {
        "cmap": "gray",
        "vmin": 0,
        "vmax": float(np.quantile(truth.data[truth.data > 0], 0.995)),
    }
    edge = truth.voxel_size
    figure, rows = plt.subplots(
        2, len(panels), figsize=(10, 6.3), layout="constrained", facecolor="black"
    )
    for (title, data), whole, part in zip(panels.items(), *rows, strict=True):
        plane = data[low[0] : high[0], low[1] : high[1], level].T
        whole.imshow(plane, origin="lower", aspect=edge[1] / edge[0], **window)
        corner = (left - low[0], front - low[1])
        whole.add_patch(Rectangle(corner, width, width, fill=False, color="#ffcc33", lw=1.2))
        whole.set_title(title, color="white", fontsize=11)
        zoom = data[left : left + width, front : front + width, level].T
        part.imshow(
            zoom, origin="lower", aspect=edge[1] / edge[0], interpolation="nearest", **window
        )
    for panel in rows.flat:
        panel.axis("off")
    figure.text(0.995, 0.004, CREDIT, color="#999999", fontsize=7, ha="right")
    figure.savefig(PICTURE, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main(sys.argv[1])
