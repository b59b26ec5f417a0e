import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

from figure_study import AFFINE, FigureStudy, caught, head, texts
from mrisr.common.errors import InputError
from mrisr.figures.comparison import draw
from mrisr.volumes.io import Volume, save


@pytest.fixture
def study(tmp_path):
    return FigureStudy(tmp_path)


def test_same_input_same_bytes_whatever_the_user_has_set(study):
    study = FigureStudy(study.folder, scales=(2,), methods=3)
    draw(study.params(), study.outputs("a"))
    with matplotlib.rc_context({"font.size": 30, "image.origin": "lower", "savefig.dpi": 30}):
        draw(study.params(), study.outputs("b"))
        assert matplotlib.rcParams["font.size"] == 30
    for one, other in zip(study.outputs("a")[:2], study.outputs("b")[:2], strict=True):
        assert one.read_bytes() == other.read_bytes()
    pdf = (study.folder / "a.pdf").read_bytes()
    assert b"CreationDate" not in pdf and b"/Type3" not in pdf  # journals refuse Type 3 fonts
    with Image.open(study.folder / "a.png") as image:
        assert "Software" not in image.info
        assert round(image.info["dpi"][0]) % 100 == 0 and round(image.info["dpi"][0]) >= 200
        assert image.width <= 7.21 * image.info["dpi"][0]  # as wide as a page's text


def test_words_marks_and_values_stand_in_the_picture(study, monkeypatch):
    figure, record = caught("comparison", study.params(), monkeypatch)
    found = texts(figure)
    assert found.count("n/a") == 1  # `skipped` is, at 2.5
    assert found.count("missing") == 3  # it is not there at 2, nor is `later`
    assert found.count("25.00 dB †") == 2 and found.count("31.23 dB") == 2
    assert {"Demo, sub-01, 2×, 2.5×", "2×", "2.5×", "Bad $x", "R", "L"} <= set(found)
    for part in ("Demo, sub-01", "2× and 2.5×", "†: undertrained", "n/a: outside", "missing: not"):
        assert part in record.caption


def test_the_pdf_says_what_it_is(study):
    draw(study.params(), [study.folder / "a.pdf"])
    found = (study.folder / "a.pdf").read_bytes()
    title = "Demo, sub-01, 2×, 2.5×".encode("utf-16-be")
    for part in (b"/Title", b"/Subject", b"/Keywords", b"super-resolution"):
        assert part in found
    assert title in found or title.hex().encode() in found.lower()


def test_the_record_says_what_is_shown(study):
    draw(study.params(), [study.folder / "comparison_demo.json"])
    record = json.loads((study.folder / "comparison_demo.json").read_text())
    assert "axial slice 7" in record.pop("caption")
    assert record == {
        **{"name": "comparison_demo", "title": "Demo, sub-01, 2×, 2.5×"},
        **{"section": "Reconstructions", "dataset": "demo", "subject": "sub-01"},
        **{"methods": ["cubic", "good", "bad $x", "skipped", "later"], "scales": [2, 2.5]},
        "points": None,
    }


def test_errors_differ_in_the_picture(study):
    study = FigureStudy(study.folder, scales=(2,), methods=3)
    draw(study.params(), [study.folder / "a.png"])
    save(Volume(head()[0] * 0.7, AFFINE), study.folder / "good.nii.gz")
    draw(study.params(), [study.folder / "b.png"])
    with Image.open(study.folder / "a.png") as a, Image.open(study.folder / "b.png") as b:
        assert a.size == b.size
        assert (np.asarray(a) != np.asarray(b)).any()


def test_nothing_to_show_yet(study, monkeypatch):
    later = [cell for cell in study.cells if cell["method"] == "later"]
    figure, _ = caught("comparison", study.params(cells=later), monkeypatch)
    assert texts(figure).count("missing") == 2


def test_off_grid_empty_and_not_ras_are_refused(study):
    data, mask = head()
    save(Volume(data[1:], AFFINE), study.folder / "bad.nii.gz")
    with pytest.raises(InputError, match=r"bad\.nii\.gz: not on the grid"):
        draw(study.params(), [study.folder / "a.png"])
    save(Volume(0 * mask, AFFINE), study.folder / "mask.nii.gz")
    with pytest.raises(InputError, match=r"mask\.nii\.gz: no voxel is inside"):
        draw(study.params(), [study.folder / "a.png"])
    save(Volume(data, np.diag([-1.0, 1.5, 2.0, 1.0])), study.folder / "hr.nii.gz")
    with pytest.raises(InputError, match=r"hr\.nii\.gz: not in canonical RAS"):
        draw(study.params(), [study.folder / "a.png"])
    assert not (study.folder / "a.png").exists()
