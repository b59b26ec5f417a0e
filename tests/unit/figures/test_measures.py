"""Figures of measured values: by scale, by subject, by cost."""

from pathlib import Path

import numpy as np
import pytest

from figure_study import FigureStudy, caught, texts
from mrisr.figures import cost as figure_cost
from mrisr.figures import quality as figure_quality
from mrisr.figures import subjects as figure_subjects
from mrisr.figures.style import COLOURS, MARKERS, look
from mrisr.tables.quality import quality_table

MODULES = {"quality": figure_quality, "subjects": figure_subjects}


@pytest.fixture
def study(tmp_path):
    return FigureStudy(tmp_path)


def costly(study, benchmarks=True, device="a CPU, 1 thread"):
    """Return params of the figure of cost at 2."""
    cells = [cell for cell in study.cells if cell["scale"] == 2]
    for number, cell in enumerate(cells, start=1):
        run = {kind: study.folder / f"{number}.{kind}" for kind in ("benchmark", "log")}
        if benchmarks:
            run["benchmark"].write_text(f"s\tcpu_time\n{30 * number}\t1\n")
            lines = [f"on {device}", "... 3 of 3"]
            if number < 3:  # the later ones are programs that time no volume
                lines += [f"m: sr/{i}.nii.gz, net {i} s, CPU {10 * i} s" for i in (9, 1, 3)]
            stamp = "2026-01-01 00:00:00,000 "
            run["log"].write_text("".join(f"{stamp}{line}\n" for line in lines))
        cell |= {"runs": [{kind: str(file) for kind, file in run.items()}], "volumes": 3}
        if cell["method"] == "good":
            (study.folder / "good").mkdir(exist_ok=True)
            (study.folder / "good" / "model.json").write_text('{"parameters": 5000}')
            cell["model"] = str(study.folder / "good")
    return study.params(cells=cells)


def test_ten_methods_look_different_even_in_gray():
    looks = [look(number) for number in range(10)]
    assert len({its.marker for its in looks}) == len({its.colour for its in looks}) == 10
    assert len(COLOURS) == len(MARKERS)
    light = [np.dot([0.299, 0.587, 0.114], _rgb(its.colour)) for its in looks]
    assert max(light) < 0.75  # to be seen on white
    assert look(1) == look(1) and look("lower") != look("upper")


def _rgb(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


@pytest.mark.parametrize("name", ["quality", "subjects", "cost"])
def test_same_input_same_bytes(name, tmp_path):
    study = FigureStudy(tmp_path, scales=(2,), methods=3)
    params = costly(study) if name == "cost" else study.params()
    for its in "ab":
        (MODULES | {"cost": figure_cost})[name].draw(params, study.outputs(its))
    for one, other in zip(study.outputs("a")[:2], study.outputs("b")[:2], strict=True):
        assert one.read_bytes() == other.read_bytes() and one.stat().st_size > 5000


@pytest.mark.parametrize("name", [*MODULES, "cost"])
def test_a_study_without_metrics_yet_says_so(name, study, monkeypatch):
    for file in study.folder.glob("*.csv"):
        file.unlink()
    params = costly(study) if name == "cost" else study.params()
    figure, record = caught(name, params, monkeypatch)
    assert "nothing is measured yet" in texts(figure)
    assert "nothing is measured yet" in record.caption


def test_quality_means_lie_at_their_scale_with_their_interval(study, monkeypatch):
    bound = {**study.cell(2, "identity", 0), "control": True, "learned": False, "look": "upper"}
    figure, record = caught("quality", study.params(cells=[*study.cells, bound]), monkeypatch)
    psnr, ssim = figure.axes
    assert (psnr.get_title(), ssim.get_title()) == ("PSNR ↑ (dB)", "SSIM ↑")
    marks = {
        line.get_marker(): line for line in psnr.get_lines() if line.get_marker() in ("s", "D")
    }
    assert marks["s"].get_ydata()[0] == pytest.approx(VALUE + 1)
    assert marks["s"].get_xdata()[0] == 2.5
    assert marks["D"].get_markerfacecolor() == "white" != marks["s"].get_markerfacecolor()
    found = texts(figure)
    assert "Bad $x (†)" in found and "Later (missing)" in found
    assert "Skipped (n/a 2.5×, missing 2×)" in found
    for part in ("2× and 2.5×", "n = 3 test subjects", "95 %", "undertrained (†)", "controls"):
        assert part in record.caption


def test_quality_is_drawn_in_the_order_of_the_table(study, monkeypatch):
    """Steep lines that nearly meet: joined at shifted places, they would cross."""
    means = {"cubic": (30.0, 20.0), "good": (30.1, 20.1), "later": (29.9, 19.9)}
    cells = [cell for cell in study.cells if cell["method"] in means]
    for cell in cells:
        value = means[cell["method"]][cell["scale"] == 2.5]
        rows = [f"sub-{n:02},psnr,volume,{value + (n - 4) / 100}" for n in range(1, 8)]
        Path(cell["path"]).write_text("\n".join(["subject,metric,region,value", *rows]) + "\n")
    figure, _ = caught("quality", study.params(cells=cells), monkeypatch)
    table = quality_table(cells).frame
    lines = {
        line.get_color(): line.get_xydata()
        for line in figure.axes[0].get_lines()
        if len(line.get_xydata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]
    }
    looks = {look(cell["look"]).colour: cell["method"] for cell in cells}
    assert {looks[colour] for colour in lines} == set(means)
    for scale in (2.0, 2.2, 2.5):
        drawn = sorted(lines, key=lambda colour: np.interp(scale, *lines[colour].T))
        wanted = table[table["scale"] == (2.5 if scale == 2.5 else 2)].sort_values("mean")
        assert [looks[colour] for colour in drawn] == list(wanted["method"])


VALUE = 31.234


def test_subjects_are_paired_with_the_baseline(study, monkeypatch):
    figure, record = caught("subjects", study.params(), monkeypatch)
    assert len(figure.axes) == 4 * 2  # two metrics, as they are and as differences; two scales
    points = [line for line in figure.axes[2].get_lines() if line.get_marker() == "s"]
    np.testing.assert_allclose(points[0].get_ydata(), VALUE - 30, atol=1e-9)
    values = [line for line in figure.axes[0].get_lines() if line.get_marker() == "s"]
    np.testing.assert_allclose(values[0].get_ydata(), VALUE + np.arange(3))
    found = texts(figure)
    assert found.count("n/a") == 4 and found.count("missing") == 4 * 3 and found.count("†") == 8
    assert "PSNR − Cubic" in found and "difference to Cubic" in record.caption
    assert "n = 3 test subjects" in record.caption and "2× and 2.5×" in record.caption


def test_cost_is_seconds_a_volume_and_parameters(study, monkeypatch):
    figure, record = caught("cost", costly(study), monkeypatch)
    seconds, parameters = figure.axes[:2]
    at = [line.get_xdata()[0] for line in seconds.get_lines() if line.get_marker() == "s"]
    assert at == [20]  # without the first volume: 10 and 30 s, of all cores
    spread = [its for its in seconds.get_lines() if len(set(its.get_ydata())) == 1]
    assert [10, 30] in [list(line.get_xdata()) for line in spread]
    at = [line.get_xdata()[0] for line in seconds.get_lines() if line.get_marker() == "D"]
    assert at == [30]  # 90 s of a benchmark for three volumes
    assert "start included, by its benchmark: Bad $x" in record.caption
    at = [line.get_xdata()[0] for line in parameters.get_lines() if line.get_marker() == "s"]
    assert at == [5000]
    assert "Timed on a CPU, 1 thread." in record.caption and "n = 3" in record.caption
    assert "Without parameters, so a line across: Cubic" in record.caption


def test_the_legend_is_hollow_where_the_markers_are(study, monkeypatch):
    figure, _ = caught("quality", study.params(), monkeypatch)
    (legend,) = figure.legends
    found = {
        text.get_text().split(" (")[0]: handle.get_markerfacecolor()
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert found["Bad $x"] == "white" and found["Good"] != "white"


def test_points_of_a_subject_are_joined_and_their_places_recorded(study, monkeypatch):
    figure, record = caught("subjects", study.params(), monkeypatch)
    panel = figure.axes[0]
    joined = [line for line in panel.get_lines() if line.get_linewidth() == 0.4]
    values = [line for line in panel.get_lines() if line.get_linestyle() == "None"]
    assert len(joined) == 3 * (len(values) - 1)  # each subject, from method to method
    whole = panel.transAxes.inverted().transform(figure.transFigure.transform([[0, 0], [1, 1]]))
    for number, points in enumerate(record.points.values()):
        at = np.array([points[0][0], 1 - points[0][1]])
        inside = panel.transLimits.inverted().transform(whole[0] + at * (whole[1] - whole[0]))
        drawn = values[0].get_xdata()[number], values[0].get_ydata()[number]
        np.testing.assert_allclose(inside, drawn, atol=0.01)


def test_without_benchmarks_there_is_a_word_and_a_reason(study, monkeypatch):
    figure, record = caught("cost", costly(study, benchmarks=False), monkeypatch)
    assert texts(figure).count("not timed") == 2
    assert "Nothing was timed" in record.caption and "were not recorded" in record.caption


def test_differences_are_only_drawn_where_there_are_any(study, monkeypatch):
    baseline = study.params()["baseline"]
    with_others, record = caught("subjects", study.params(), monkeypatch)
    assert any("−" in found for found in texts(with_others)) and "difference" in record.caption
    alone = [cell for cell in study.cells if cell["method"] == baseline]
    figure, record = caught("subjects", study.params(cells=alone), monkeypatch)
    assert figure.axes and not any("−" in found for found in texts(figure))
    assert "difference" not in record.caption
    assert all(axes.get_lines() for axes in figure.axes)
