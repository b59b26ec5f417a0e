"""Results of two methods, and reader studies of them, that the tests make."""

import json
import uuid
from pathlib import Path

import numpy as np
from scipy import ndimage

from mrisr.readers.folder import ReaderStudy
from mrisr.readers.found import found_items
from mrisr.readers.pairs import make
from mrisr.volumes.io import Volume, save

METHODS = ("coord_2x", "conv")


def write_results(folder, count=6, shape=(1, 24, 20), stage="beyond"):
    """Write `results/flat` with `count` images of either method: the second one's are smoother."""
    results = Path(folder) / "results" / "flat"
    for index in range(count):
        data = np.random.default_rng(index).random(shape)
        smooth = ndimage.gaussian_filter(data, [0 if n == 1 else 2 for n in shape])
        name = f"sub-{index // 2:02d}_slice-{index % 2 + 1}" if 1 in shape else f"sub-{index:02d}"
        for method, image in zip(METHODS, (0.8 * data, smooth), strict=True):
            path = results / stage / "knees" / method / "x2" / f"{name}.nii.gz"
            save(Volume(image.astype(np.float32), np.diag([3, 0.5, 0.7, 1])), path)
    return results


def make_study(folder, count=6, seed=1, repeats=0, **options):
    """Make a study of such results; return it."""
    items = found_items(write_results(folder, count, **options), METHODS)
    where = Path(folder) / "study"
    make(items, where, Path(folder) / "key.csv", repeats=repeats, seed=seed)
    return ReaderStudy.load(where)


def submission(noise=0, sharpness=0, revision=0, seconds=2.5, number=None):
    """Return an answer as the page sends it."""
    return {
        "id": str(uuid.uuid4() if number is None else uuid.UUID(int=number)),
        "scores": {"noise": noise, "sharpness": sharpness},
        "seconds": seconds,
        "revision": revision,
    }


def put(client, token, case, answer, **options):
    """Send an answer as the page does."""
    headers = {"content-type": "application/json", **options.pop("headers", {})}
    body = options.pop("content", json.dumps(answer))
    return client.put(f"/r/{token}/answer/{case}", content=body, headers=headers, **options)
