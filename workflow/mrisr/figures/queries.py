"""A detail of one slice by every method, and by one method at twice the scale.

Figure 1 (right) of Van Veen et al. 2022: a scale-agnostic method does this with the same model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mrisr.common.layout import scale_name
from mrisr.figures.files import Record, plain, write
from mrisr.figures.view import View, choose_view, displayed, most_detail, take
from mrisr.methods import method as methods
from mrisr.methods.model_files import load_model
from mrisr.reconstruct.apply import reconstruct
from mrisr.volumes.io import load

COLUMNS = 4

Part = tuple[int, int, int, int]  # first row and column, rows and columns of a displayed image


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the slice with a box, and inside the box the input, the reconstructions and the truth.

    Args:
        params: As `mrisr.plan.figures` makes them: dataset, its label, subject, scale, grid, truth,
            mask, lr, cells (with `image`) and beyond: at most one scale-agnostic method and its
            model, which reconstructs the LR slice at twice the scale.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable.
    """
    truth, mask, lr = (load(params[key]) for key in ("truth", "mask", "lr"))
    scale, subject = params["scale"], params["subject"]
    view = choose_view(mask, params["mask"])
    whole = take(truth.data, view)
    found = most_detail(whole, take(mask.data, view), view.aspect)
    box = tuple(
        round(n)
        for n in (
            found.top / view.aspect,
            found.left,
            found.side / view.aspect,
            found.side,
        )
    )
    shape = truth.data.shape
    panels = {"Input (LR)": _crop(lr.data, shape, view, box)}
    for cell in params["cells"]:
        path = Path(cell["image"])
        image = _crop(load(path).data, shape, view, box) if path.exists() else None
        panels[cell["method_label"]] = image
    for entry in params["beyond"]:
        method = methods.unpack(entry["method"])
        model = load_model(method, entry["model"])
        sr = reconstruct(method, model, lr, scale=2 * scale, grid=params["grid"])
        label = f"{method.label}, at {scale_name(2 * scale)}×"
        panels[label] = _crop(sr.data, shape, view, box)
    panels["Ground truth"] = _crop(truth.data, shape, view, box)
    record = Record(
        title=f"{params['label']}, {subject}, {scale_name(scale)}×",
        caption=caption(params["label"], subject, view.plane, scale, bool(params["beyond"])),
        section="Reconstructions",
        dataset=params["dataset"],
        subject=subject,
        methods=[cell["method"] for cell in params["cells"]],
        scales=[scale, *([2 * scale] if params["beyond"] else [])],
    )
    with plain():
        write(_draw(whole, box, panels, view.aspect, record.title), record, outputs)


def caption(subject_of: str, subject: str, plane: str, scale: float, beyond: bool) -> str:
    """Return the figure's caption.

    Args:
        subject_of: Label of the dataset.
        subject: Name of the slice shown.
        plane: Plane of the slice.
        scale: Scale of the reconstructions.
        beyond: Whether one method is shown at twice the scale.
    """
    twice = (
        f" The scale-agnostic method was also asked for {scale_name(2 * scale)}× of the same input,"
        " without another training: there is no ground truth that fine."
        if beyond
        else ""
    )
    return (
        f"{subject_of}, {subject}: a {plane} slice of the ground truth (left), and of the part in"
        " the box, where the ground truth has most detail: the LR input, reconstructions at"
        f" {scale_name(scale)}× and the ground truth, in one gray window.{twice} Compare Van Veen"
        " et al. 2022, Fig. 1."
    )


def _crop(data: np.ndarray, shape: Sequence[int], view: View, box: Part) -> np.ndarray:
    """Return the part of a volume in the box, on any grid with the ground truth's field of view."""
    full = displayed(data, view.axis, view.index)
    across, up = (n for axis, n in enumerate(shape) if axis != view.axis)
    row, column = (view.window[i].start + box[i] for i in range(2))
    finer = full.shape[0] / up, full.shape[1] / across
    rows = slice(round(row * finer[0]), round((row + box[2]) * finer[0]))
    columns = slice(round(column * finer[1]), round((column + box[3]) * finer[1]))
    return full[rows, columns]


def _draw(
    whole: np.ndarray,
    box: Part,
    panels: Mapping[str, np.ndarray | None],
    aspect: float,
    title: str,
) -> Figure:
    # The slice takes the first place of a grid as wide as the page's text.
    wide, gap, head, text = 1.66, 0.06, 0.35, 0.2
    tall = wide * aspect * box[2] / box[3]
    rows = -(-(1 + len(panels)) // COLUMNS)
    width, height = COLUMNS * (wide + gap) + gap, head + rows * (tall + text + gap)
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(
        *(gap / width, 1 - 0.08 / height, title), fontsize=10, weight="bold", va="top",
        parse_math=False,
    )  # fmt: skip
    ceiling = float(np.percentile(whole, 99.9)) or 1.0
    for i, (name, image) in enumerate([("", whole), *panels.items()]):
        x = gap + (i % COLUMNS) * (wide + gap)
        y = head + (i // COLUMNS) * (tall + text + gap) + text
        axes = figure.add_axes(
            (x / width, 1 - (y + tall) / height, wide / width, tall / height), frame_on=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        if image is None:
            axes.text(0.5, 0.5, "missing", ha="center", va="center", color="0.4", fontsize=9)
            axes.set_aspect("auto")
        else:
            shape = aspect if i == 0 else "auto"  # the others fill their square
            axes.imshow(
                image, cmap="gray", vmin=0, vmax=ceiling, aspect=shape, interpolation="nearest"
            )
        if i == 0:
            corner = (box[1] - 0.5, box[0] - 0.5)
            part = Rectangle(corner, box[3], box[2], fill=False, edgecolor="red", linewidth=1)
            axes.add_patch(part)
            continue
        label = f"{chr(ord('A') + i - 1)}: {name}"
        size = min(8, 72 * wide / (0.55 * len(label)))  # a letter is about half its size wide
        axes.set_title(label, fontsize=size, pad=3, parse_math=False)
    return figure
