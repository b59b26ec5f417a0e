"""Reconstructions from stacks: three planes of one subject, every method (IREM, Fig. 5 and 6).

One figure for a ground truth and one for real stacks; they differ in the first column. Planes go
through the middle of the mask. Display is radiological.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nibabel.affines import apply_affine
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.common.layout import HR_REFERENCE_LABEL, scale_name
from mrisr.evaluate.measured import Row
from mrisr.figures.files import Record, plain, write
from mrisr.figures.scene import marks, measured_rows, remarks, text
from mrisr.figures.style import HEAD, PAPER, TEXT
from mrisr.volumes.io import Volume, load
from mrisr.volumes.stacks import sampled

PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}
LETTERS = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
MARGIN = 4  # voxels shown around the mask
ENLARGED = 0.4  # side of the enlarged part, as a share of the shorter side of its plane
TRUTH, REFERENCE, STACK = "Ground truth", HR_REFERENCE_LABEL, "LR stack"


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw a subject's reconstructions at one scale, in three planes, one of them enlarged below.

    Columns are the stack that was acquired in the plane, the methods, and the ground truth or the
    HR reference. An image on another grid is interpolated linearly to the grid of the
    reconstructions.

    Args:
        params: dataset, its label, subject, scale, stacks (LR files of the subject by name), mask
            (on the SR grid), truth and reference (a file or None each), the plane enlarged, the
            acquisition of a single stack (or None), and cells, held and baseline, as
            `mrisr.plan.figures` makes them.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, or a reconstruction is off the grid of the mask.
    """
    mask = load(params["mask"])
    if not mask.data.any():
        raise InputError(f"{params['mask']}: no voxel is inside; make it again")
    views = _views(mask)
    stacks = [load(file) for file in params["stacks"].values()]
    columns: dict[str, dict[str, np.ndarray] | str] = {STACK: _acquired(stacks, mask, views)}
    rows = measured_rows(params) if params["truth"] else {}
    above = {}
    for cell in params["cells"]:
        label, image = cell["method_label"], cell["image"]
        if image is None:
            columns[label] = "n/a"
        elif not Path(image).exists():
            columns[label] = "missing"
        else:
            volume = load(image)
            if volume.data.shape != mask.data.shape or not np.allclose(
                volume.affine, mask.affine, atol=1e-3
            ):
                raise InputError(f"{image}: not on the grid of {params['mask']}; make it again")
            columns[label] = _planes(volume.data, views)
            if (row := rows.get((cell["scale"], cell["method"]))) is not None:
                above[label] = _psnr(row, params["subject"])
    last = [(TRUTH, params["truth"]), (REFERENCE, params["reference"])]
    for label, file in last:
        if file is not None:
            data, inside = sampled(load(file), mask.data.shape, mask.affine, 1)
            columns[label] = _planes(np.where(inside, data, 0), views)
    with plain():
        figure = _draw(columns, above, views, mask, _title(params), params["enlarged"])
        write(figure, _record(params, columns, rows), outputs)


def _title(params: Mapping) -> str:
    of = params["acquisition"]
    what = f"slices {of} in voxels" if of else f"{scale_name(params['scale'])}×"
    return f"{params['label']}, {params['subject']}, {what}"


def _record(params: Mapping, columns: Mapping, rows: Mapping) -> Record:
    beside = {
        (True, False): "the ground truth",
        (False, True): "an HR reference, another acquisition in a gray window of its own",
    }.get((params["truth"] is not None, params["reference"] is not None))
    number = "Fig. 5" if params["truth"] else "Fig. 6"
    one = params["acquisition"] is not None
    caption = (
        f"{_title(params)}: {'the stack' if one else 'the stack acquired in each plane'}, every"
        f" reconstruction{f', and {beside}' if beside else ''}; planes through the middle of the"
        f" mask, and below them the middle of the {params['enlarged']} one, enlarged"
        f"{'' if one else f' (as in {number} of the IREM paper)'}. The"
        " stack is interpolated linearly to the voxels of the"
        " reconstructions; all images but an HR reference share one gray window."
        + (" Above: PSNR of this subject's whole volume." if rows else "")
        + " Radiological display: the patient's right (in the sagittal plane anterior) is on the"
        " left."
    )
    caption = text(caption, remarks(columns.values(), rows.values()))
    return Record(
        title=_title(params),
        caption=caption,
        section="Stacks",
        dataset=params["dataset"],
        subject=params["subject"],
        methods=[cell["method"] for cell in params["cells"]],
        scales=[params["scale"]],
    )


def _views(mask: Volume) -> dict[str, tuple[int, int, tuple[slice, slice]]]:
    """Return axis, index and window of each plane; windows are of the displayed image."""
    middle = [round(float(place)) for place in ndimage.center_of_mass(mask.data != 0)]
    found = {}
    for plane, axis in PLANES.items():
        section = _displayed(mask.data != 0, axis, middle[axis])
        if not section.any():
            section = _displayed((mask.data != 0).any(axis=axis, keepdims=True), axis, 0)
        window = tuple(
            slice(max(0, hits[0] - MARGIN), hits[-1] + 1 + MARGIN)
            for hits in (np.flatnonzero(section.any(axis=side)) for side in (1, 0))
        )
        found[plane] = (axis, middle[axis], window)
    return found


def _displayed(data: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Return a slice of a RAS volume: first row on top, the patient's left on the right."""
    return np.take(data, index, axis=axis).T[::-1, ::-1]


def _planes(data: np.ndarray, views: Mapping) -> dict[str, np.ndarray]:
    return {
        plane: _displayed(data, axis, index)[window]
        for plane, (axis, index, window) in views.items()
    }


def _acquired(stacks: Sequence[Volume], mask: Volume, views: Mapping) -> dict[str, np.ndarray]:
    """Return, for each plane, a slice of the stack whose slices are most parallel to it."""
    found = {}
    for plane, (axis, index, window) in views.items():
        across = mask.affine[:3, axis] / np.linalg.norm(mask.affine[:3, axis])

        def along(stack: Volume, across: np.ndarray = across) -> float:
            thick = int(np.argmax(stack.voxel_size))
            return abs(float(stack.affine[:3, thick] @ across)) / stack.voxel_size[thick]

        best = max(stacks, key=along)
        # One slice of the SR grid is enough.
        thin = list(mask.data.shape)
        thin[axis] = 1
        affine = mask.affine.copy()
        start = [index if a == axis else 0 for a in range(3)]
        affine[:3, 3] = apply_affine(mask.affine, start)
        data, inside = sampled(best, thin, affine, 1)
        found[plane] = _displayed(np.where(inside, data, 0), axis, 0)[window]
    return found


def _fitting(text: str, wide: float) -> float:
    """Return the font size of a line `wide` inches long: a letter is about 0.6 of it wide."""
    return 72 * wide / (0.6 * max(1, len(text)))


def _psnr(row: Row, subject: str) -> str:
    """Return the PSNR of a subject's whole volume, with the row's marks."""
    psnr_by_subject = row.values.get(("psnr", "volume"))
    if psnr_by_subject is None or subject not in psnr_by_subject:
        return marks(row)
    value = float(psnr_by_subject[subject])
    return f"PSNR {'∞' if np.isinf(value) else f'{value:.2f} dB'} {marks(row)}".strip()


def _draw(
    columns: Mapping[str, Mapping[str, np.ndarray] | str],
    above: Mapping[str, str],
    views: Mapping,
    mask: Volume,
    title: str,
    enlarged: str,
) -> Figure:
    edges = mask.voxel_size
    sides = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}
    aspect = {plane: edges[up] / edges[across] for plane, (across, up) in sides.items()}
    shown_image = next(planes for planes in columns.values() if not isinstance(planes, str))
    rows = {
        plane: shown_image[plane].shape[0] * aspect[plane] / shown_image[plane].shape[1]
        for plane in views
    }
    # Inches; as wide as a page's text at most.
    gap, left, head = 0.04, 0.35, 0.85 if above else 0.65
    wide = min(1.5, (PAPER - left - 0.05) / len(columns) - gap)
    tall = [wide * ratio for ratio in rows.values()] + [wide]
    width = left + len(columns) * (wide + gap) + 0.05
    height = head + sum(tall) + gap * len(tall) + 0.05
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    ceiling = float(np.percentile(_all(columns, REFERENCE, out=True), 99.7)) or 1.0
    of_reference = _all(columns, REFERENCE, out=False)
    window = {
        REFERENCE: float(np.percentile(of_reference, 99.7)) or 1.0 if of_reference.size else 1.0
    }
    small = min([TEXT, *(_fitting(text, wide) for text in above.values())])
    for column, (label, planes) in enumerate(columns.items()):
        x = left + column * (wide + gap)
        size = min(HEAD, _fitting(label, wide))
        figure.text(
            *((x + wide / 2) / width, 1 - 0.42 / height, label),
            ha="center", va="top", fontsize=size, parse_math=False,
        )  # fmt: skip
        if label in above:
            figure.text(
                *((x + wide / 2) / width, 1 - 0.64 / height, above[label]),
                ha="center", va="top", fontsize=small,
            )  # fmt: skip
        y = head
        for row, high in enumerate(tall):
            plane = list(views)[row] if row < 3 else enlarged
            box = (x / width, 1 - (y + high) / height, wide / width, high / height)
            axes = figure.add_axes(box, frame_on=False)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(plane.capitalize() if row < 3 else "Enlarged", fontsize=8.5)
            if isinstance(planes, str):
                axes.text(
                    *(0.5, 0.5, planes), ha="center", va="center", color="0.4", fontsize=9,
                    transform=axes.transAxes,
                )  # fmt: skip
            else:
                _show(axes, planes[plane], aspect[plane], window.get(label, ceiling), row == 3)
                if column == 0 and row < 3:
                    _letters(axes, plane)
            y += high + gap
    figure.text(
        *(left / width, 1 - 0.1 / height, title), ha="left", va="top", fontsize=11,
        fontweight="bold", parse_math=False,
    )  # fmt: skip
    return figure


def _all(columns: Mapping, label: str, out: bool) -> np.ndarray:
    """Return all intensities shown, of one column or of all columns but it."""
    parts = [
        image.ravel()
        for name, planes in columns.items()
        if (name != label) == out and not isinstance(planes, str)
        for image in planes.values()
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _show(axes: Axes, image: np.ndarray, aspect: float, ceiling: float, enlarged: bool) -> None:
    extent = (0, image.shape[1], image.shape[0] * aspect, 0)
    axes.imshow(
        image, cmap="gray", vmin=0, vmax=ceiling, extent=extent, aspect=1, interpolation="nearest"
    )
    if enlarged:
        half = ENLARGED / 2 * min(extent[1], extent[2])
        x, y = extent[1] / 2, extent[2] / 2
        axes.set_xlim(x - half, x + half)
        axes.set_ylim(y + half, y - half)


def _letters(axes: Axes, plane: str) -> None:
    for letter, x, side in zip(LETTERS[plane], (0.02, 0.98), ("left", "right"), strict=True):
        axes.text(
            *(x, 0.02, letter), ha=side, va="bottom", color="white", fontsize=7,
            transform=axes.transAxes,
        )  # fmt: skip
