"""Enlarged parts, lesions, profiles, and one model at several scales."""

import numpy as np
import pytest

from figure_study import AFFINE, SHAPE, FigureStudy, caught, head, texts
from mrisr.common.errors import InputError
from mrisr.figures import profile as figure_profile
from mrisr.figures import scales as figure_scales
from mrisr.figures import zoom as figure_zoom
from mrisr.figures.canvas import round_length
from mrisr.volumes.io import Volume, save


@pytest.fixture
def study(tmp_path):
    return FigureStudy(tmp_path)


def lesions(study, *spots):
    """Write a mask of lesions, stored right to left, and the list that names it."""
    data = np.zeros(SHAPE, np.uint8)
    for spot in spots:
        data[spot] = 1
    flipped = AFFINE @ np.array([[-1, 0, 0, 23], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    save(Volume(data[::-1].copy(), flipped), study.folder / "lesions.nii.gz")
    rows = ["subject\tpath", f"sub-01\t{study.folder / 'lesions.nii.gz'}"]
    (study.folder / "lesions.tsv").write_text("\n".join(rows) + "\n")
    return str(study.folder / "lesions.tsv")


@pytest.fixture
def small(tmp_path):
    return FigureStudy(tmp_path, scales=(2,), methods=3)


@pytest.fixture
def with_lr(study):
    return add_lr(study)


def add_lr(study):
    cells = [cell for cell in study.cells if cell["method"] == "good"]
    for cell in cells:
        cell |= {"lr": str(study.folder / f"lr{cell['scale']}.nii.gz"), "one_model": True}
    half = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    half[:3, 3] = AFFINE[:3, :3] @ [0.5, 0.5, 0.5]
    save(Volume(head()[0][::2, ::2, ::2].copy(), half), cells[0]["lr"])
    return study.params(cells=cells)


@pytest.mark.parametrize("kind", ["lesion", "profile", "scales"])
def test_same_input_same_bytes(kind, small):
    module = {"profile": figure_profile, "scales": figure_scales}.get(kind, figure_zoom)
    more = {"lesions": lesions(small, np.s_[9:13, 12:15, 6:9])} if kind == "lesion" else {}
    params = add_lr(small) if kind == "scales" else small.params(kind=kind, **more)
    for name in "ab":
        module.draw(params, small.outputs(name))
    for one, other in zip(small.outputs("a")[:2], small.outputs("b")[:2], strict=True):
        assert one.read_bytes() == other.read_bytes() and one.stat().st_size > 5000


def test_the_part_is_enlarged_and_framed_in_every_image(study, monkeypatch):
    figure, record = caught("zoom", study.params(kind="zoom"), monkeypatch)
    shown = [axes for axes in figure.axes if axes.images]
    framed = [axes for axes in shown if axes.patches]
    parts = [axes for axes in shown if not axes.patches]
    assert len(framed) == len(parts) == 2 * 4  # ground truth and three methods, two scales
    (box,) = {axes.patches[0].get_bbox().bounds for axes in framed}
    for axes in parts:
        left, right = axes.get_xlim()
        assert (left, right - left) == pytest.approx((box[0], box[2]))
    assert texts(figure).count("missing") == 3 and texts(figure).count("n/a") == 1
    assert "most local detail" in record.caption and "Figure 5" in record.caption
    _, record = caught("zoom", study.params(kind="encoders"), monkeypatch)
    assert "of the ArSSR encoders" in record.caption and "Figure 10" in record.caption


def test_the_config_chooses_slice_and_part(study, monkeypatch):
    inset = {"centre": [12, 13, 5], "size": 6}
    figure, record = caught("zoom", study.params(kind="zoom", inset=inset), monkeypatch)
    box = next(axes.patches[0] for axes in figure.axes if axes.patches)
    assert box.get_width() == pytest.approx(6)
    assert "axial slice 5" in record.caption and "chosen in the config" in record.caption
    with pytest.raises(InputError, match=r"24 x 26 x 12 voxels, so voxel \[12, 26, 5\]"):
        caught("zoom", study.params(kind="zoom", inset={"centre": [12, 26, 5]}), monkeypatch)


def test_an_arrow_points_at_the_largest_lesion_from_outside(study, monkeypatch):
    listed = lesions(study, np.s_[15:17, 17:19, 4], np.s_[7:10, 9:12, 5], np.s_[8:9, 9:10, 6])
    params = study.params(kind="lesion", lesions=listed)
    figure, record = caught("zoom", params, monkeypatch)
    # 27 and 1 voxels of 3 cubic mm.
    assert "axial slice 5" in record.caption and "largest lesion (0.03 ml)" in record.caption
    part = next(axes for axes in figure.axes if axes.images and not axes.patches)
    (arrow,) = [its for its in part.texts if hasattr(its, "arrow_patch")]
    truth = np.zeros(SHAPE)
    truth[7:10, 9:12, 5] = 1
    image = part.images[0].get_array()
    view_rows = image.shape[0]
    x, y = arrow.xy
    # The displayed lesion: x from the right, y from the top of the window around the mask.
    window = np.s_[26 - 1 - 19 - 4 : 26 - 8 + 4, 24 - 1 - 17 - 4 : 24 - 6 + 4]
    displayed = truth[:, :, 5].T[::-1, ::-1][window]
    assert displayed.shape[0] == view_rows
    assert displayed[int(y / 1.5), int(x)] == 1
    start = arrow.xyann
    assert displayed[int(start[1] / 1.5), int(start[0])] == 0


def test_without_a_lesion_the_subject_is_named(study, monkeypatch):
    params = study.params(kind="lesion", lesions=lesions(study))
    with pytest.raises(InputError, match=r"lesions\.nii\.gz: no lesion lies in"):
        caught("zoom", params, monkeypatch)
    with pytest.raises(InputError, match=r"lesions\.tsv: has no lesions of sub-02"):
        caught("zoom", params | {"subject": "sub-02"}, monkeypatch)


def test_a_profile_is_the_image_along_the_line(study, monkeypatch):
    line = {"from": [8, 10, 7], "to": [15, 10, 7]}
    figure, record = caught("profile", study.params(line=line), monkeypatch)
    panels = [axes for axes in figure.axes if not axes.images]
    assert len(panels) == 2 * 5 + 1
    together = panels.pop(0)  # all methods at one scale
    truth, cubic = (its.get_ydata() for its in panels[0].get_lines())
    shown = [its.get_ydata() for its in together.get_lines()]
    assert len(shown) == 1 + sum(len(its.get_lines()) == 2 for its in panels[5:])
    np.testing.assert_array_equal(shown[0], truth)
    wanted = head()[0][15:7:-1, 10, 7][::-1]
    np.testing.assert_allclose(truth[::2], wanted, atol=1e-5)
    np.testing.assert_allclose(cubic, 0.9 * truth, atol=1e-5)
    assert panels[0].get_lines()[0].get_xdata()[-1] == pytest.approx(7)  # mm
    assert "line of 7 mm in axial slice 7" in record.caption
    found = texts(figure)
    assert found.count("n/a") == 1 and found.count("missing") == 3
    assert any(its.endswith("†") for its in found)


def test_lr_lies_where_its_voxels_are(with_lr, monkeypatch):
    figure, record = caught("scales", with_lr, monkeypatch)
    coarse = [axes.images[0] for axes in figure.axes if axes.images][2:]
    low = next(its for its in coarse if its.get_array().shape == (13, 12))
    whole = head()[0]
    left, right, bottom, top = low.get_extent()
    assert right - left == pytest.approx(24) and bottom - top == pytest.approx(26 * 1.5)
    # The grids begin together; the window around the mask cuts one column off.
    assert (left, top) == pytest.approx((-1, 0))
    assert (low.get_array() == whole[::2, ::2, 6].T[::-1, ::-1]).all()
    assert "a single model, Good" in record.caption and "missing" in texts(figure)


@pytest.mark.parametrize("kind", ["comparison", "zoom"])
def test_the_input_stands_beside_the_ground_truth(kind, with_lr, study, monkeypatch):
    files = {f"{cell['scale']:g}": cell["lr"] for cell in with_lr["cells"]}
    params = study.params(lr=files, kind="zoom")
    figure, record = caught(kind, params, monkeypatch)
    low = [axes for axes in figure.axes if axes.images]
    low = [axes for axes in low if axes.images[0].get_array().shape == (13, 12)]
    assert len(low) == (1 if kind == "comparison" else 2)  # the part in the box too
    assert "LR" in texts(figure) and "LR: the nearest slice" in record.caption
    without, _ = caught(kind, study.params(kind="zoom"), monkeypatch)
    # LR at 2.5 is not there.
    assert texts(figure).count("missing") == texts(without).count("missing") + 1


def test_bars_are_a_round_number_of_millimetres_of_the_voxels(study, monkeypatch):
    figure, record = caught("comparison", study.params(), monkeypatch)
    panel = figure.axes[0]
    (bar,) = panel.get_lines()
    left, right = panel.get_xlim()
    assert "5 mm" in [its.get_text() for its in panel.texts]
    assert np.ptp(bar.get_xdata()) == pytest.approx(5)  # voxels are 1 mm wide
    assert 5 <= 0.35 * (right - left) < 10
    assert "Voxels are 1 mm wide and 1.5 mm high" in record.caption
    assert [round_length(most) for most in (0.9, 1, 4.9, 35)] == [0.5, 1, 2, 20]


@pytest.mark.parametrize(
    ("scales", "expected"), [([2, 2.5, 3, 3.5, 4], 3), ([2, 4], 4), ([2.0, 3.0], 3), ([2], 2)]
)
def test_all_methods_share_a_panel_at_the_papers_scale(scales, expected):
    assert figure_profile.overlaid(scales) == expected
