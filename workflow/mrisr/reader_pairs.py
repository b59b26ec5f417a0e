"""Blinded pairs of images for a reader study: what readers see, and apart from it the key.

Van Veen et al. 2022, 3.3: the same slice by two methods, side by side, in an order and on sides
that are drawn. Names, sizes and headers of the files say nothing about the methods.
"""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mrisr import seeds
from mrisr.errors import InputError
from mrisr.figure_view import choose_view, take
from mrisr.files import sha256, write_text
from mrisr.io import Volume, check_grid, load
from mrisr.progress import progress

SIDES = ("left", "right")
PAIRS = ("pair", *SIDES, "rows", "columns", "row_mm", "column_mm", "black", "white", "window")
KEY = ("pair", "item", *(f"{side}_{what}" for side in SIDES for what in ("method", "sha256")))
WHITE = 2**16 - 1


def export_pairs(
    images: Mapping[str, Sequence[str | Path]],
    items: Sequence[str],
    folder: str | Path,
    pairs: str | Path,
    key: str | Path,
    count: int | None,
    seed: int,
) -> None:
    """Write a 16-bit gray PNG for each image of each pair, `pairs.csv` and the key.

    Both images of a pair have one intensity scale, from 0 to the larger of their maxima, so that
    neither is brighter by its export. Rows run from superior to inferior (or anterior to
    posterior), as radiologists look at them.

    Args:
        images: By method, two of them, its SR slice of each item.
        items: Names of the slices, in the same order.
        folder: For the PNG files, `pair-001_left.png` and so on; replaced.
        pairs: CSV for readers: pair, file of each side, rows and columns, their spacing in mm, and
            the intensities (1 is the ground truth's maximum) that are black, that are white, and
            that a viewer should show as white at first (the 99.9th percentile).
        key: CSV that is not for readers: pair, item, method and sha256 of each side.
        count: How many items are drawn; None for all.
        seed: The study's seed.

    Raises:
        InputError: Fewer items than `count`, or the images of a pair are on different grids.
    """
    if count is not None and count > len(items):
        raise InputError(
            f"reader_study.pairs: {count} asked for, but there are {len(items)} slices; set fewer"
        )
    first, second = images
    random = seeds.generator(seed, "reader study")
    drawn = random.permutation(len(items))[:count]
    swapped = _balanced(len(drawn), random)
    digits = max(3, len(str(len(drawn))))
    shown, known = [], []
    folder = Path(folder)
    made = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for number, (index, swap) in enumerate(
        progress(zip(drawn, swapped, strict=True), "pairs", len(drawn)), start=1
    ):
        pair = f"pair-{number:0{digits}d}"
        names = (second, first) if swap else (first, second)
        files = [images[name][index] for name in names]
        volumes = [load(file) for file in files]
        check_grid(volumes[1], files[1], volumes[0], files[0])
        view = choose_view(Volume(np.ones(volumes[0].data.shape), volumes[0].affine))
        planes = [take(volume.data, view) for volume in volumes]
        white = max(float(image.max()) for image in planes) or 1.0
        window = float(np.percentile(planes, 99.9))
        written = [made / f"{pair}_{side}.png" for side in SIDES]
        for image, path in zip(planes, written, strict=True):
            _png(image, white, path)
        across, up = (volumes[0].voxel_size[axis] for axis in range(3) if axis != view.axis)
        paths = [f"{folder.name}/{path.name}" for path in written]
        spacing = (f"{up:g}", f"{across:g}")
        shown.append((pair, *paths, *planes[0].shape, *spacing, 0, f"{white:g}", f"{window:g}"))
        sums = [sha256(path) for path in written]
        known.append((pair, items[index], names[0], sums[0], names[1], sums[1]))
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)
    write_text(pairs, _csv(PAIRS, shown))
    write_text(key, _csv(KEY, known))


def _balanced(count: int, random: np.random.Generator) -> np.ndarray:
    """Return whether each pair is swapped: half of them, up to one, which are drawn."""
    swapped = np.arange(count) < (count + random.integers(2)) // 2
    return random.permutation(swapped)


def _png(image: np.ndarray, white: float, path: Path) -> None:
    from PIL import Image

    gray = np.round(np.clip(image / white, 0, 1) * WHITE).astype(np.uint16)
    Image.fromarray(gray).save(path, format="PNG", optimize=False)


def _csv(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
