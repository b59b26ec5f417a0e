"""Blinded pairs of images for a reader study, and apart from them the key.

Van Veen et al. 2022, 3.3: the same slice by two methods, side by side, in an order and on sides
that are drawn; here volumes too. Names, sizes, times and headers of the files say nothing about
the methods.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mrisr.common import seeds
from mrisr.common.errors import InputError
from mrisr.common.files import atomic
from mrisr.common.progress import progress
from mrisr.readers.folder import Case, write_study
from mrisr.readers.key import Known, check_place, write_key
from mrisr.volumes.io import Volume, check_grid
from mrisr.volumes.raw import load_scan

#: The largest intensity of a pair becomes this; both images have the one gain.
WHITE = 2**15 - 1
PERCENTILE = 99.9


@dataclass(frozen=True)
class Item:
    """What two methods reconstructed.

    Attributes:
        dataset: Name of the dataset.
        subject: Name of the subject.
        name: Name of the slice or volume.
        scale: Up-sampling scale, as in paths.
        files: By method, two of them, its reconstruction.
    """

    dataset: str
    subject: str
    name: str
    scale: str
    files: Mapping[str, str | Path]


def make(
    items: Sequence[Item],
    folder: str | Path,
    key: str | Path,
    *,
    count: int | None = None,
    repeats: int = 0,
    seed: int,
) -> None:
    """Write a study: `study.json` and `images/` for the server, and the key apart from them.

    Both images of a pair are int16 with one gain, so that neither is brighter by its export, and
    have one window, from 0 to the 99.9th percentile of both together. Half of the pairs have a
    method on the left, up to one, which are drawn.

    Args:
        items: What pairs are drawn from; all with the same two methods.
        folder: For the study; a new one, or without a study.
        key: CSV that is not for readers, outside of the folder.
        count: How many items are drawn; None for all.
        repeats: How many of the pairs come a second time, with sides changed.
        seed: Order, sides and names of the images follow from it: whoever has the seed has the key.

    Raises:
        InputError: There is a study or a key already, the key would lie in the folder, there are
            fewer items than `count` or fewer pairs than `repeats`, or the images of a pair are on
            different grids.
    """
    folder, key = Path(folder), Path(key)
    count = len(items) if count is None else count
    check_place(key, folder)
    for path in (folder / "study.json", folder / "answers.sqlite", key):
        if path.exists():
            raise InputError(
                f"{path}: is there already; answers would lose their meaning: give another folder,"
                " or delete the study and its key"
            )
    if not 0 < count <= len(items):
        raise InputError(f"pairs: {count} asked for, of {len(items)} that there are")
    if not 0 <= repeats <= count:
        raise InputError(f"repeats: {repeats} asked for, of {count} pairs that there are")
    random = seeds.generator(seed, "reader study")
    drawn = [items[index] for index in random.permutation(len(items))[:count]]
    names = iter(_names(2 * count, random))
    swapped = _balanced(count, random)
    made = folder / ".images.new"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    pairs = []
    for item, swap in progress(list(zip(drawn, swapped, strict=True)), "pairs"):
        methods = tuple(item.files)[:: -1 if swap else 1]
        images = (next(names), next(names))
        shape, window = _write(
            [item.files[name] for name in methods], [made / name for name in images]
        )
        pairs.append((item, methods, images, shape, window))
    shutil.rmtree(folder / "images", ignore_errors=True)
    made.replace(folder / "images")
    cases, known = _cases(pairs, repeats, random)
    write_key(key, known)
    write_study(folder, cases)


def _cases(
    pairs: Sequence[tuple], repeats: int, random: np.random.Generator
) -> tuple[list[Case], list[Known]]:
    """Return cases and key: every pair once, and some of them again with their sides changed."""
    again = random.permutation(len(pairs))[:repeats]
    shown = [(index, False) for index in range(len(pairs))] + [(index, True) for index in again]
    shown = [shown[index] for index in random.permutation(len(shown))]
    digits = max(3, len(str(len(shown))))
    names = {which: f"case-{n:0{digits}d}" for n, which in enumerate(shown, start=1)}
    cases, known = [], []
    for (index, repeated), name in names.items():
        item, methods, images, shape, window = pairs[index]
        step = -1 if repeated else 1
        left, right = images[::step]
        left_method, right_method = methods[::step]
        cases.append(Case(name, left, right, shape, 1 in shape, window))
        known.append(
            Known(
                *(name, left, right, left_method, right_method),
                names[index, False] if repeated else "",
                *(item.dataset, item.subject, item.name, item.scale),
            )
        )
    return cases, known


def _names(count: int, random: np.random.Generator) -> list[str]:
    """Return names of files that differ."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"{random.bytes(8).hex()}.nii"] = None
    return list(found)


def _balanced(count: int, random: np.random.Generator) -> np.ndarray:
    """Return whether each pair is swapped: half of them, up to one, which are drawn."""
    swapped = np.arange(count) < (count + random.integers(2)) // 2
    return random.permutation(swapped)


def _write(
    files: Sequence[str | Path], paths: Sequence[Path]
) -> tuple[tuple[int, ...], tuple[float, float]]:
    """Write a pair; return its shape and window.

    Not gzipped: the smoother image of a pair would be the smaller file.
    """
    volumes = [load_scan(file) for file in files]
    check_grid(volumes[1], files[1], volumes[0], files[0])
    largest = max(float(np.abs(volume.data).max()) for volume in volumes)
    if not np.isfinite(largest):
        raise InputError(f"{files[0]} or {files[1]}: holds values that are not finite")
    gain = WHITE / (largest or 1.0)
    shown = np.percentile([volume.data for volume in volumes], PERCENTILE)
    window = (0.0, float(max(1.0, np.round(gain * shown))))
    for volume, path in zip(volumes, paths, strict=True):
        data = np.round(gain * volume.data).astype(np.int16)
        _save(Volume(data, volumes[0].affine), window, path)
    return tuple(map(int, volumes[0].data.shape)), window


def _save(volume: Volume, window: tuple[float, float], path: Path) -> None:
    """Write a NIfTI file with nothing in its header that its partner has not, and no time."""
    image = nib.Nifti1Image(volume.data, volume.affine)
    image.header.set_xyzt_units("mm")
    image.header["cal_min"], image.header["cal_max"] = window
    image.header["scl_slope"], image.header["scl_inter"] = 1, 0
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")
    with atomic(path) as temporary:
        nib.save(image, temporary)
    os.utime(path, (0, 0))
