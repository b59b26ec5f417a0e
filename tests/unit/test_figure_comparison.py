import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

from mrisr import figure_comparison
from mrisr.errors import InputError
from mrisr.figure_comparison import caption, choose_view, take
from mrisr.io import Volume, save

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
SHAPE = (24, 26, 12)


def head(shape=SHAPE):
    """A volume with its mask; the section is largest at z = 7."""
    data = np.random.default_rng(1).random(shape).astype(np.float32)
    mask = np.zeros(shape, np.uint8)
    mask[6:18, 8:20, 3:9] = 1
    mask[5:19, 6:22, 7] = 1
    return data * mask, mask


@pytest.fixture
def files(tmp_path):
    data, mask = head()
    found = {"hr": data, "mask": mask, "good": data * 0.95, "bad": data * 0.5}
    for name, content in found.items():
        save(Volume(content, AFFINE), tmp_path / f"{name}.nii.gz")
    psnr = tmp_path / "psnr.csv"
    psnr.write_text("subject,metric,region,value\nsub-01,psnr,volume,31.234\n")
    return {name: tmp_path / f"{name}.nii.gz" for name in found} | {"psnr": psnr}


def draw(files, outputs, images=None):
    images = images or {
        (scale, label): files[name]
        for scale in (2, 2.5)
        for label, name in (("Bad $x", "bad"), ("Good", "good"))
    }
    cells = [
        {
            **{"scale": scale, "method": label.lower(), "method_label": label},
            **{"image": image, "path": files["psnr"] if label == "Good" else None},
        }
        for (scale, label), image in images.items()
    ]
    about = {"dataset": "demo", "label": "Demo", "subject": "sub-01", "cells": cells}
    figure_comparison.draw({**about, "truth": files["hr"], "mask": files["mask"]}, outputs)


def test_view_is_the_largest_section_with_its_margin():
    mask = Volume(head()[1], AFFINE)
    view = choose_view(mask)
    assert (view.plane, view.index, view.aspect) == ("axial", 7, 1.5)
    assert take(mask.data, view).shape == (16 + 2 * 4, 14 + 2 * 4)


def test_display_is_radiological():
    data = np.zeros(SHAPE, np.float32)
    data[0, :, 7] = 1  # x = 0 is the patient's left (RAS)
    data[:, -1, 7] = 2  # the last y is anterior
    full = Volume(np.ones(SHAPE), AFFINE)
    view = choose_view(full)
    image = take(np.roll(data, view.index - 7, axis=2), view)
    assert (image[0] == 2).all() and (image[1:, -1] == 1).all() and (image[1:, :-1] == 0).all()


@pytest.mark.parametrize(
    ("axis", "plane", "aspect"), [(0, "sagittal", 2 / 1.5), (1, "coronal", 2.0), (2, "axial", 1.5)]
)
def test_a_single_slice_shows_its_own_plane(axis, plane, aspect):
    shape = [12, 12, 12]
    shape[axis] = 1
    view = choose_view(Volume(np.ones(shape), AFFINE))
    assert (view.plane, view.index) == (plane, 0) and view.aspect == pytest.approx(aspect)
    assert plane in caption("sub-01", "Demo", plane)


def test_same_input_same_bytes(files, tmp_path):
    for name in ("a", "b"):
        draw(files, [tmp_path / f"{name}.png", tmp_path / f"{name}.pdf"])
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert "Software" not in image.info
        assert round(image.info["dpi"][0]) == 200
        assert image.width > 900


def test_settings_of_the_user_change_nothing(files, tmp_path):
    draw(files, [tmp_path / "a.png"])
    with matplotlib.rc_context({"font.size": 30, "image.origin": "lower", "savefig.dpi": 30}):
        draw(files, [tmp_path / "b.png"])
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_errors_differ_in_the_picture(files, tmp_path):
    draw(files, [tmp_path / "a.png"])
    images = {(s, label): files["good"] for s in (2, 2.5) for label in ("Bad $x", "Good")}
    draw(files, [tmp_path / "b.png"], images)
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert a.size == b.size
        assert (np.asarray(a) != np.asarray(b)).any()


def test_skipped_missing_and_perfect_are_drawn(files, tmp_path):
    images = {
        **{(2, "Skipped"): None, (2, "Missing"): tmp_path / "no.nii.gz"},
        (2, "Perfect"): files["hr"],
    }
    draw(files, [tmp_path / "a.png"], images)
    assert (tmp_path / "a.png").exists()


def test_nothing_to_show_yet(files, tmp_path):
    draw(files, [tmp_path / "a.png"], {(2, "Skipped"): None})
    assert (tmp_path / "a.png").exists()


def test_off_grid_empty_and_not_ras_are_refused(files, tmp_path):
    data, mask = head()
    save(Volume(data[1:], AFFINE), files["bad"])
    with pytest.raises(InputError, match=r"bad\.nii\.gz: not on the grid"):
        draw(files, [tmp_path / "a.png"])
    save(Volume(0 * mask, AFFINE), files["mask"])
    with pytest.raises(InputError, match=r"mask\.nii\.gz: no voxel is inside"):
        draw(files, [tmp_path / "a.png"])
    save(Volume(data, np.diag([-1.0, 1.5, 2.0, 1.0])), files["hr"])
    with pytest.raises(InputError, match=r"hr\.nii\.gz: not in canonical RAS"):
        draw(files, [tmp_path / "a.png"])
    assert not (tmp_path / "a.png").exists()


def test_the_record_says_what_is_shown(files, tmp_path):
    draw(files, [tmp_path / "comparison_demo.json"])
    record = json.loads((tmp_path / "comparison_demo.json").read_text())
    assert record.pop("caption") == caption("sub-01", "Demo")
    assert record == {
        **{"name": "comparison_demo", "title": "Demo, sub-01, 2×, 2.5×"},
        **{"section": "Reconstructions", "dataset": "demo", "subject": "sub-01"},
        **{"methods": ["bad $x", "good"], "scales": [2, 2.5]},
    }
