"""One subject in a figure of images: the ground truth, and the slice and marks of every cell."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.evaluate.measured import COLLAPSED, DOUBTFUL, MARKS, UNDERTRAINED, Row, read_rows
from mrisr.figures.files import Record
from mrisr.figures.view import View, choose_view, load_like, load_truth, slice_axis, take, view_at
from mrisr.methods.model_files import with_models
from mrisr.volumes.io import Volume

NOT_APPLICABLE, MISSING = "n/a", "missing"
SAID = {UNDERTRAINED: "undertrained", COLLAPSED: "collapsed in training"}

Key = tuple[float, str]  # scale, name of the method


@dataclass(frozen=True)
class Scene:
    """One slice of a subject and of its reconstructions.

    Attributes:
        truth: The ground truth.
        view: The slice.
        wanted: The slice of the ground truth, shape (rows, columns).
        inside: The slice of the mask.
        top: End of the gray window, the 99.9th percentile of `wanted`.
        methods: Labels by name, in the order shown.
        scales: In the order shown.
        images: Slices by scale and method, or a word in place of a slice.
        above: PSNR and marks, by scale and method.
        remarks: Sentences of the caption on words and marks that appear.
    """

    truth: Volume
    view: View
    wanted: np.ndarray
    inside: np.ndarray
    top: float
    methods: dict[str, str]
    scales: list[float]
    images: dict[Key, np.ndarray | str]
    above: dict[Key, str]
    remarks: str


def read_scene(params: Mapping, view: View | None = None) -> Scene:
    """Read the files that `mrisr.plan.figures` planned for a figure of images.

    Args:
        params: subject, truth and mask (NIfTI, canonical RAS), cells (each with `image`, None
            where the method does not apply, and what `mrisr.evaluate.measured.read_rows` takes),
            baseline (a method's name or None), held (its cells that are not shown), and optionally
            `at`, a voxel (i, j, k) that the slice goes through.
        view: The slice; default through `at`, else where the mask's section is largest.

    Raises:
        InputError: A file is unusable, not RAS or off the grid, or `at` lies outside.
    """
    name = params["truth"]
    truth = load_truth(name)
    mask = load_like(params["mask"], truth, name)
    if view is None:
        view = chosen_view(mask, params)
    # A 2-D figure shows one slice with the values of that slice, not the means of its subject.
    one_slice = {
        key: [{**cell, "slices": False} for cell in params[key]] for key in ("cells", "held")
    }
    rows = measured_rows({**params, **one_slice})
    images: dict[Key, np.ndarray | str] = {}
    for cell in params["cells"]:
        key = cell["scale"], cell["method"]
        if cell["image"] is None:
            images[key] = NOT_APPLICABLE
        elif not Path(cell["image"]).exists():
            images[key] = MISSING
        else:
            images[key] = take(load_like(cell["image"], truth, name).data, view)
    wanted = take(truth.data, view)
    return Scene(
        truth=truth,
        view=view,
        wanted=wanted,
        inside=take(mask.data, view),
        top=window_top(wanted),
        methods={cell["method"]: cell["method_label"] for cell in params["cells"]},
        scales=list(dict.fromkeys(cell["scale"] for cell in params["cells"])),
        images=images,
        above={key: _above(row, params["subject"]) for key, row in rows.items()},
        remarks=remarks(images.values(), rows.values()),
    )


def first_of_several(cells: Iterable[Mapping]) -> str:
    """Return which methods are shown by the first of several trainings; empty without any."""
    labels = dict.fromkeys(cell["method_label"] for cell in cells if cell.get("seeds", 1) > 1)
    if not labels:
        return ""
    return f"The first of several trainings is shown, and its values, of {', '.join(labels)}."


def means_over_trainings(rows: Iterable[Row]) -> str:
    """Return which methods' values are means over several trainings; empty without any."""
    labels = dict.fromkeys(row.cell["method_label"] for row in rows if len(row.trainings) > 1)
    if not labels:
        return ""
    return f"Each subject's value is the mean over several trainings of {', '.join(labels)}."


def chosen_view(mask: Volume, params: Mapping) -> View:
    """Return the slice through `params["at"]`, else the largest section of the mask."""
    at = params.get("at")
    if at is None:
        return choose_view(mask, params["mask"])
    check_voxel(at, mask.data.shape, params)
    axis = slice_axis(mask.data.shape)
    return view_at(mask, axis, round(at[axis]))


def check_voxel(at: Iterable[float], shape: Iterable[int], params: Mapping) -> None:
    """Raise InputError if a voxel of the config lies outside the ground truth."""
    if not all(0 <= i <= n - 1 for i, n in zip(at, shape, strict=True)):
        raise InputError(
            f"{params['truth']}: has {' x '.join(map(str, shape))} voxels, so voxel {list(at)} of"
            " the config's key figures lies outside; correct inset or line"
        )


def measured_rows(params: Mapping) -> dict[Key, Row]:
    """Return the measured rows of the cells, with their marks, by scale and method."""
    cells = with_models([*params["cells"], *params["held"]])
    rows = read_rows(cells, params["baseline"])[: len(params["cells"])]
    return {(row.cell["scale"], row.cell["method"]): row for row in rows}


def remarks(words: Iterable[object], rows: Iterable[Row]) -> str:
    """Return sentences on words, marks and further trainings, for those that appear."""
    words = [word for word in words if isinstance(word, str)]
    rows = [row for row in rows if row.values]
    said = [first_of_several(row.cell for row in rows), means_over_trainings(rows)]
    found = [remark for remark in DOUBTFUL if any(remark in row.remarks for row in rows)]
    parts = [f"{MARKS[remark]}: {SAID[remark]}." for remark in found]
    if NOT_APPLICABLE in words:
        parts.append("n/a: outside the method's limits.")
    if MISSING in words:
        parts.append("missing: not there yet.")
    return text(*parts, *said)


def marks(row: Row) -> str:
    """Return the marks of a row's training, as tables print them."""
    return "".join(MARKS[remark] for remark in DOUBTFUL if remark in row.remarks)


def window_top(image: np.ndarray) -> float:
    """Return the end of a gray window that begins at 0."""
    return float(np.percentile(image, 99.9)) or 1.0


def text(*parts: str) -> str:
    """Return sentences as one text; empty ones are left out."""
    return " ".join(filter(None, parts))


def times(scales: Iterable[float]) -> str:
    """Return scales as words of a sentence: 2×, 2.5× and 3×."""
    names = [f"{scale_name(scale)}×" for scale in scales]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def record(params: Mapping, scene: Scene, heading: str, caption: str) -> Record:
    """Return the record of a figure that shows a scene."""
    return Record(
        title=heading,
        caption=caption,
        section="Reconstructions",
        dataset=params["dataset"],
        subject=params["subject"],
        methods=list(scene.methods),
        scales=scene.scales,
    )


def title(params: Mapping, scales: Iterable[float]) -> str:
    """Return a heading with dataset, subject and scales."""
    return ", ".join([params["label"], params["subject"], *[f"{scale_name(k)}×" for k in scales]])


def _above(row: Row, subject: str) -> str:
    psnr_by_subject = row.values.get(("psnr", "volume"))
    value = math.nan if psnr_by_subject is None else float(psnr_by_subject.get(subject, math.nan))
    text = "" if math.isnan(value) else "∞ dB" if math.isinf(value) else f"{value:.2f} dB"
    return f"{text} {marks(row)}".strip()
