import matplotlib
import numpy as np
import pytest
from PIL import Image

from figure_study import caught, texts
from mrisr.common.errors import InputError
from mrisr.figures.training_curves import (
    POINTS,
    Curve,
    _averaged,
    _draw,
    caption,
    draw,
    read_curves,
)
from mrisr.methods.model_files import LOSSES


def write(folder, losses, steps=50):
    """Write a log of (training, validation) losses, `steps` an epoch; return the folder."""
    folder.mkdir(parents=True)
    rows = [f"{i},{i * steps},{t},{v},0.001" for i, (t, v) in enumerate(losses, start=1)]
    (folder / "log.csv").write_text("\n".join([",".join(LOSSES), *rows]) + "\n")
    return folder


LABELS = ["Net", "All $x_", "Net 2"]


def about(label, trained, folder):
    """Return a model as `mrisr.plan.figures` plans it."""
    look = LABELS.index(label) if label in LABELS else len(LABELS)
    its = {"method": label.lower(), "look": look}
    return {**its, "label": label, "trained": trained, "folder": folder}


@pytest.fixture
def models(tmp_path):
    falling = [(0.03, 0.032), (0.02, 0.018), (0.018, 0.019)]
    found = []
    for label, trained in (("Net", "x4"), ("Net", "x2"), ("All $x_", "x2-4"), ("Net 2", "x2")):
        folder = write(tmp_path / label / trained, falling)
        found.append(about(label, trained, str(folder)))
    return found


def test_models_of_all_scales_come_first_then_by_scale(models):
    curves, without, _ = read_curves(models)
    shown = [(curve.trained, curve.label) for curve in curves]
    assert shown == [("x2-4", "All $x_"), ("x2", "Net"), ("x2", "Net 2"), ("x4", "Net")]
    assert without == []
    assert [curve.step[curve.kept] for curve in curves] == [100] * 4
    panels = _draw(curves).axes
    assert len(panels) == 3 * 2
    second = panels[2].get_legend_handles_labels()[1], panels[3].get_legend().get_texts()
    assert second[0] == ["Net", "Net 2"] == [text.get_text() for text in second[1]]


def test_a_band_spans_several_trainings(tmp_path, models):
    again = write(tmp_path / "again", [(0.05, 0.052), (0.01, 0.012), (0.009, 0.01)])
    models[1]["repeats"] = [str(again), str(tmp_path / "not-there")]
    curves, _, missing = read_curves(models)
    assert [model["label"] for model in missing] == ["Net, seed 3"]
    said = caption(curves, [], missing)
    assert "Trained several times with other seeds: Net; line and marker are of the first" in said
    panel = _draw(curves).axes[2]
    (band,) = panel.collections
    corners = band.get_paths()[0].vertices
    assert {(50, 0.03), (50, 0.05), (100, 0.01), (100, 0.02)} <= set(map(tuple, corners))


def test_lines_are_the_losses_and_the_kept_epoch_is_marked(models):
    curves, *_ = read_curves(models)
    left, right = _draw(curves).axes[:2]
    for panel, losses in ((left, [0.03, 0.02, 0.018]), (right, [0.032, 0.018, 0.019])):
        line, best = panel.get_lines()[:2]
        assert line.get_xdata().tolist() == [50, 100, 150]
        assert line.get_ydata().tolist() == losses
        assert (best.get_xdata()[0], best.get_ydata()[0]) == (100, losses[1])
        assert best.get_marker() != "None" and line.get_marker() == "None"


def test_a_method_looks_the_same_in_every_row_and_like_no_other_even_in_gray(models):
    panels = _draw(read_curves(models)[0]).axes
    looks = [[(x.get_color(), x.get_marker()) for x in its.get_lines()[1::3]] for its in panels]
    assert looks[2] == looks[3] and looks[2][0] == looks[4][0]
    colours, markers = zip(*looks[0], *looks[2], strict=True)
    assert len(set(colours)) == len(set(markers)) == 3


def test_same_input_same_bytes_whatever_the_user_has_set(models, tmp_path):
    draw({"models": models}, [tmp_path / "a.png", tmp_path / "a.pdf"])
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 30, "lines.linewidth": 9}):
        draw({"models": models}, [tmp_path / "b.png", tmp_path / "b.pdf"])
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert round(image.info["dpi"][0]) == 300 and "Software" not in image.info


def test_long_and_unequal_trainings_get_logarithmic_axes(models, tmp_path):
    def drawn(*more):
        curves, without, _ = read_curves([*models, *more])
        axes = _draw(curves).axes[0]
        return axes.get_xscale(), axes.get_yscale(), caption(curves, without)

    x, y, text = drawn()
    assert (x, y) == ("linear", "linear") and "Logarithmic" not in text and "means" not in text
    folder = write(tmp_path / "far", [(0.3, 0.01)] * 3, steps=500)
    x, y, text = drawn(about("Far", "x2-4", folder))
    assert (x, y) == ("log", "log") and "Logarithmic axes: steps and loss." in text
    folder = write(tmp_path / "long", [(0.02, 0.02)] * (POINTS + 1), steps=1)
    x, y, text = drawn(about("Long", "x2-4", folder))
    assert x == "log" and f"more than {POINTS} epochs are means" in text


@pytest.mark.parametrize("log", [False, True])
def test_many_epochs_are_averaged_without_losing_any(log, tmp_path):
    random = np.random.default_rng(0).random((737, 2))
    model = about("Net", "x2", write(tmp_path / "m", random.tolist()))
    curve = read_curves([model])[0][0]
    steps, losses = _averaged(curve, "val_loss", log)
    assert len(steps) == len(losses) <= POINTS and len(steps) > POINTS / 2
    assert (np.diff(steps) > 0).all() and steps[-1] <= 737 * 50
    if not log:  # of equal length but for one epoch: means of means are means
        assert losses.mean() == pytest.approx(random[:, 1].mean(), abs=0.01)
    assert curve.losses["val_loss"][curve.kept] == random[:, 1].min()


def test_imported_models_without_losses_are_named(models, tmp_path):
    folder = write(tmp_path / "imported", [])
    curves, without, _ = read_curves([*models, about("I", "x2.5", folder)])
    assert len(curves) == 4
    text = caption(curves, without)
    assert text.endswith("Not shown, because their weights were imported: I (2.5×).")
    assert "trained for: 2× to 4×, 2×, 4×." in text
    assert caption([], without).startswith("No losses are recorded. Not shown")
    draw({"models": []}, [tmp_path / "a.png"])
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize("text", ["", "epoch,step\n1,2\n", ",".join(LOSSES) + "\n1,2,a,b,c"])
def test_a_damaged_log_is_named(text, tmp_path):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"log\.csv: not a table of epoch, step"):
        read_curves([{"label": "Net", "trained": "x2", "folder": tmp_path}])


def test_models_that_are_not_there_yet_are_said_to_be_missing(models, tmp_path, monkeypatch):
    later = about("Later $x", "x2", str(tmp_path / "none"))
    figure, record = caught("training_curves", {"models": [*models, later]}, monkeypatch)
    assert "missing: Later $x (2×)" in texts(figure)
    assert record.caption.endswith("Missing, not there yet: Later $x (2×).")
    assert len(figure.axes) == 3 * 2


def test_where_training_stops_early_the_marker_is_at_the_end():
    losses = {name: np.array([3.0, 1.0, 2.0]) for name in ("train_loss", "val_loss")}
    step = np.array([10, 20, 30])
    best = Curve("A", "x2", step, losses)
    last = Curve("B", "x2", step, losses, keeps_last=True, denoised=True)
    assert (best.kept, last.kept) == (1, 2)
    assert "the last, where" not in caption([best], []) and "denoising" not in caption([best], [])
    assert "(at the last, where training stops early)" in caption([best, last], [])
    assert "and the denoising term of methods that have one" in caption([last], [])
