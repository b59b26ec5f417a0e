"""The figure of real LR scans: the same part of the head on every grid, and bad files."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from figure_study import texts
from mrisr.common.errors import InputError
from mrisr.figures import real_scans as figure_real
from mrisr.figures.real_scans import refined
from mrisr.figures.view import View, take
from mrisr.prepare.real_volumes import nearest, sr_grid
from mrisr.volumes.io import Volume, save

AFFINE = np.diag([1.0, 1.2, 1.4, 1.0])


@pytest.fixture
def files(tmp_path):
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in (20, 22, 18)], indexing="ij")
    inside = sum((axis / 0.8) ** 2 for axis in grid) < 1
    lr = (inside * (0.5 + 0.4 * grid[0])).astype(np.float32)
    scan = Volume(lr, AFFINE)
    save(scan, tmp_path / "lr.nii.gz")
    for scale in (2, 2.5):
        shape, affine = sr_grid(scan, scale)
        save(Volume(nearest(lr, shape), affine), tmp_path / f"sr{scale}.nii.gz")
    save(Volume(ndimage.zoom(lr, 3, order=1), AFFINE / [3, 3, 3, 1]), tmp_path / "hr.nii.gz")
    return tmp_path


def draw(lr, images, reference, outputs):
    cells = [
        {"scale": scale, "method": label, "method_label": label, "image": image, "look": 1}
        for (scale, label), image in images.items()
    ]
    about = {"dataset": "own", "label": "Own", "subject": "sub-01", "cells": cells}
    figure_real.draw({**about, "lr": lr, "reference": reference}, outputs)


@pytest.mark.parametrize("scale", [2, 2.5, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_refined_view_shows_the_same_part(scale, axis):
    view = View(axis, 7, (slice(4, 14), slice(2, 12)), 1.5)
    for place in np.indices((20, 22, 18)):
        shape, _ = sr_grid(Volume(place, AFFINE), scale)
        finer = refined(view, place.shape, shape)
        assert finer.aspect == pytest.approx(1.5)
        image = take(nearest(place, shape), finer)
        assert image.shape == (round(10 * scale), round(10 * scale))
        wanted = nearest(take(place, view)[..., None], (*image.shape, 1))[..., 0]
        # Between two LR voxels, the nearest depends on the side that one comes from.
        assert np.abs(image - wanted).max() <= (0 if scale == round(scale) else 1)


def test_the_same_files_give_the_same_bytes(files):
    images = {(2, "A $x"): files / "sr2.nii.gz", (2.5, "A $x"): files / "sr2.5.nii.gz"}
    images |= {(2, "B"): None, (2.5, "B"): files / "none.nii.gz"}
    outputs = [[files / f"{name}.{kind}" for kind in ("png", "pdf")] for name in "ab"]
    for its in outputs:
        draw(files / "lr.nii.gz", images, files / "hr.nii.gz", its)
    for one, other in zip(*outputs, strict=True):
        assert one.read_bytes() == other.read_bytes()
    draw(files / "lr.nii.gz", images, None, [files / "c.png"])
    wide, narrow = (Image.open(files / f"{name}.png").size for name in "ac")
    assert wide[0] > narrow[0]  # a column more


def test_a_reconstruction_off_the_grid_is_refused(files):
    with pytest.raises(InputError, match=r"sr2\.nii\.gz: shape .* refined by 2\.5"):
        draw(files / "lr.nii.gz", {(2.5, "A"): files / "sr2.nii.gz"}, None, [files / "a.png"])


def test_what_is_shown_is_said(files, monkeypatch):
    images = {(2, "A"): files / "sr2.nii.gz", (2, "B"): None, (2, "C"): files / "no.nii.gz"}
    for reference in (files / "hr.nii.gz", None):
        found = []
        monkeypatch.setattr(figure_real, "write", lambda *its, found=found: found.extend(its))
        draw(files / "lr.nii.gz", images, reference, [])
        figure, record = found[:2]
        assert {"LR scan", "A", "n/a", "missing", "R", "L", "mm"} <= set(texts(figure))
        assert "Own, sub-01: axial slice" in record.caption and "at 2×" in record.caption
        assert ("HR reference" in texts(figure)) == (reference is not None)
        said = "another acquisition" if reference else "No ground truth exists"
        assert said in record.caption


def test_profiles_of_all_grids_run_along_the_same_line(files, monkeypatch):
    """The scan rises linearly from left to right, and so does what is made of it."""
    found = []
    monkeypatch.setattr(figure_real, "write", lambda *its: found.extend(its))
    draw(files / "lr.nii.gz", {(2, "A"): files / "sr2.nii.gz"}, None, [])
    plots = [axes for axes in found[0].axes if not axes.images and axes.get_lines()]
    low, high = plots[-1].get_lines()
    assert high.get_xdata()[-1] == pytest.approx(low.get_xdata()[-1])
    # Nearest neighbours: within half a step of the scan's own voxels.
    step = np.abs(np.diff(low.get_ydata()[::2])).max()
    between = np.interp(high.get_xdata(), low.get_xdata(), low.get_ydata())
    assert np.abs(high.get_ydata() - between).max() <= 0.51 * step
