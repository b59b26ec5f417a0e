"""Intensity along a line: the ground truth and every reconstruction, with a panel for each.

As Figures 6 and 8 of the ArSSR paper, versions 2 and 1 (arXiv 2110.14476). The paper lays all
methods over each other at 3x; the panel below the image does the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mrisr.common.layout import scale_name
from mrisr.figures.canvas import Canvas, fitted, show, sides, stroke, word
from mrisr.figures.files import plain, write
from mrisr.figures.scene import Scene, check_voxel, read_scene, record, text, times, title
from mrisr.figures.style import PAPER, SMALL, TEXT, look
from mrisr.figures.view import Place, along, most_varied


def draw(params: Mapping, outputs: Sequence[str | Path]) -> None:
    """Draw the slice with the line, and the profiles: one row a scale, one column a method.

    Args:
        params: dataset, its label, `line`, and what `mrisr.figures.scene.read_scene` takes; cells
            also have `look`. `line` has two voxels of the ground truth in one slice, `from` and
            `to`. None takes the horizontal or vertical line inside the mask along which the ground
            truth varies most.
        outputs: `.png`, `.pdf` and `.json` files to write.

    Raises:
        InputError: A file is unusable, not RAS, or off the grid; or the line is outside.
    """
    given = params.get("line")
    scene = read_scene({**params, "at": given["from"] if given else None})
    if given:
        shape = scene.truth.data.shape
        for end in ("from", "to"):
            check_voxel(given[end], shape, params)
        line = tuple(scene.view.place(given[end], shape) for end in ("from", "to"))
    else:
        line = most_varied(scene.wanted, scene.inside, scene.view.aspect)
    shown = record(
        params, scene, title(params, scene.scales), _caption(params, scene, line, bool(given))
    )
    looks = {cell["method"]: cell["look"] for cell in params["cells"]}
    with plain():
        write(_draw(scene, line, looks, shown.title).figure, shown, outputs)


def overlaid(scales: Sequence[float]) -> float:
    """Return the scale at which all methods share a panel: the paper's 3, else the middle one."""
    return next((scale for scale in scales if float(scale) == 3), scales[len(scales) // 2])


def _length(scene: Scene, line: tuple[Place, Place]) -> float:
    """Return the length of a line in mm."""
    return float(np.hypot(*np.subtract(line[1], line[0])) * scene.view.width)


def _caption(params: Mapping, scene: Scene, line: tuple[Place, Place], given: bool) -> str:
    how = (
        "chosen in the config"
        if given
        else "the horizontal or vertical one inside the mask along which the ground truth varies"
        " most"
    )
    return text(
        f"{params['label']}, {params['subject']}: intensity, in units of the ground truth's"
        f" maximum, along the line of {_length(scene, line):.0f} mm in {scene.view.plane} slice"
        f" {scene.view.index} (counted from 0) from its marked end on; the line is {how}. In each"
        " panel the ground truth (wide, gray) and one method (coloured, with the root of the mean"
        f" squared difference along the line), at {times(scene.scales)}. Below the image all"
        f" methods together, at {times([overlaid(scene.scales)])}, in the same colours."
        f" {scene.view.orientation}",
        scene.remarks,
        "As Figure 6 of Wu et al. (arXiv 2110.14476, version 2; 8 in version 1).",
    )


def _draw(scene: Scene, line: tuple[Place, Place], looks: Mapping[str, int], title: str) -> Canvas:
    # Inches. As many methods side by side as stay readable, the others below them.
    left, image, gap, wide_least = 0.05, 1.5, 0.06, 0.55
    x0 = left + image + 0.53
    across = min(len(scene.methods), int((PAPER - x0) / (wide_least + gap)))
    wide = min(1.5, (PAPER - x0 - 0.05) / max(1, across) - gap)
    lines = -(-len(scene.methods) // max(1, across))
    # Names stand above every line of panels, but only once if all rows are the same.
    once = lines == 1
    tall, name, between = min(0.85, 1.2 * wide), 0.24, 0.12
    ratio = scene.wanted.shape[0] * scene.view.aspect / scene.wanted.shape[1]
    pitch = tall + between if once else lines * (tall + name) + between
    head, foot = 0.28, 0.3
    width = max(x0 + across * (wide + gap), 4.0)
    below, together = head + name + image * ratio + 0.3, 1.15
    canvas = Canvas(
        width, max(head + len(scene.scales) * pitch + once * name, below + together) + foot
    )
    canvas.heading(left, title)
    canvas.text(left + image / 2, head + 0.08, "Ground truth", TEXT, ha="center")
    axes = canvas.panel(left, head + name, image, image * ratio)
    show(axes, scene.wanted, scene.view.aspect, scene.top)
    sides(axes, scene.view)
    axes.autoscale(False)
    stroke(axes, *zip(*line, strict=True))
    axes.plot(*line[0], marker="o", markersize=3, markerfacecolor="white", markeredgecolor="black",
              markeredgewidth=0.6)  # fmt: skip

    wanted = along(scene.wanted, scene.view.aspect, line)
    profiles = {
        key: along(shown_image, scene.view.aspect, line)
        for key, shown_image in scene.images.items()
        if not isinstance(shown_image, str)
    }
    intensities = np.concatenate([wanted, *profiles.values()])
    room = 0.06 * float(np.ptp(intensities) or 1)
    # Leave room for the number at the upper end.
    limits = float(intensities.min()) - room, float(intensities.max()) + 4 * room
    mm = np.linspace(0, _length(scene, line), len(wanted))
    _together(canvas.axes(left + 0.3, below, image - 0.3, together), scene, profiles, wanted, mm,
              limits, looks)  # fmt: skip
    for row, scale in enumerate(scene.scales):
        for place, method in enumerate(scene.methods):
            x = x0 + place % across * (wide + gap)
            y = head + row * pitch + place // across * (tall + name) + name
            axes = canvas.axes(x, y, wide, tall)
            _frame(axes, limits, mm[-1], first=place % across == 0)
            last = place + across >= len(scene.methods) and row == len(scene.scales) - 1
            axes.tick_params(labelbottom=last)
            if last:
                axes.set_xlabel("mm", fontsize=SMALL, labelpad=1)
            if row == 0 or not once:
                size, label = fitted(scene.methods[method], wide, SMALL)
                canvas.text(x + wide / 2, y - 0.02, label, size, ha="center", va="bottom",
                            linespacing=1.0)  # fmt: skip
            key = scale, method
            if key not in profiles:
                word(axes, scene.images[key])
                continue
            axes.plot(mm, wanted, color="0.72", linewidth=2.4)
            axes.plot(mm, profiles[key], linewidth=1.0, color=look(looks[method]).colour)
            off = float(np.sqrt(np.mean((profiles[key] - wanted) ** 2)))
            mark = scene.above[key].partition("dB")[2]
            axes.text(*(0.97, 0.95, f"{off:.3f}{mark}"), ha="right", va="top", fontsize=SMALL,
                      transform=axes.transAxes)  # fmt: skip
        y = head + row * pitch + name + tall / 2
        canvas.text(x0 - 0.5, y, f"{scale_name(scale)}×", TEXT + 1, weight="bold", va="center",
                    ha="left")  # fmt: skip
    return canvas


def _together(
    axes: Axes,
    scene: Scene,
    profiles: Mapping[tuple[float, str], np.ndarray],
    wanted: np.ndarray,
    mm: np.ndarray,
    limits: tuple[float, float],
    looks: Mapping[str, int],
) -> None:
    """Lay the ground truth and all methods at one scale over each other."""
    scale = overlaid(scene.scales)
    _frame(axes, limits, mm[-1], first=True)
    axes.set_title(f"all at {scale_name(scale)}×", fontsize=SMALL, pad=2)
    axes.set_xlabel("mm", fontsize=SMALL, labelpad=1)
    axes.plot(mm, wanted, color="0.72", linewidth=2.4)
    for method in scene.methods:
        if (scale, method) in profiles:
            colour = look(looks[method]).colour
            axes.plot(mm, profiles[scale, method], linewidth=0.8, color=colour)


def _frame(axes: Axes, limits: tuple[float, float], end: float, first: bool) -> None:
    axes.set_xlim(0, end)
    axes.set_ylim(*limits)
    axes.grid(True, color="0.93", linewidth=0.4)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1, labelleft=first)
    if first:
        axes.set_ylabel("intensity", fontsize=SMALL - 1, labelpad=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
