"""The figure of quality against training time, where methods are trained several times."""

from mrisr.common.files import write_json
from mrisr.figures.training_time import _draw, caption, read_lines


def model(folder, gains):
    """Write a `model.json` with a curve; return its folder."""
    rows = [
        {"minutes": minutes, "psnr_over_cubic": {"2": gain, "3": gain - 1}}
        for minutes, gain in zip((1, 2, 4), gains, strict=True)
    ]
    write_json(folder / "model.json", {"training": {"clock": "wall"}, "curve": rows})
    return str(folder)


def test_a_band_spans_several_trainings_in_the_panel_of_each_scale(tmp_path):
    again = [model(tmp_path / "again", (-3, 1.5, 1.6)), str(tmp_path / "not-there")]
    folder = model(tmp_path / "first", (-2, 1, 2))
    net = {"label": "Net", "look": 0, "folder": folder, "repeats": again}
    alone = {"label": "Alone", "look": 1, "folder": folder}
    lines, missing, core = read_lines([net, alone])
    assert list(lines) == [2, 3] and missing == ["Net, seed 3"] and not core
    said = caption(lines, missing, core)
    assert "Trained several times with other seeds: Net; line and marker are of the first" in said
    panels = _draw(lines, core).axes
    assert [axes.get_title() for axes in panels] == ["2×", "3×"]
    for axes, lower in zip(panels, (0, 1), strict=True):
        (band,) = axes.collections
        corners = set(map(tuple, band.get_paths()[0].vertices))
        ends = {(1, -3), (1, -2), (2, 1), (2, 1.5), (4, 1.6), (4, 2)}
        assert {(minute, gain - lower) for minute, gain in ends} <= corners


def test_a_training_that_ends_far_below_cubic_is_seen_and_its_beginning_is_not(tmp_path):
    folder = model(tmp_path / "slow", (-30, -9, -5))
    lines, _, core = read_lines([{"label": "Slow", "look": 0, "folder": folder}])
    panels = _draw(lines, core).axes
    lowest = [axes.get_ylim()[0] for axes in panels]
    assert all(-7 < low < -6 for low in lowest)  # the end at 3x, and one range for both
    assert {1, 2} <= {round(minute, 6) for minute in panels[0].get_xticks()}
