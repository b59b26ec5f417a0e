import nibabel as nib
import numpy as np
import pytest

from figure_study import texts
from mrisr.common.errors import InputError
from mrisr.figures import segmentation as figure_segmentation
from mrisr.figures.segmentation import choose_views, drawn, overlay
from mrisr.figures.view import take
from mrisr.segment.labels import save_labels
from mrisr.volumes.io import Volume, save
from mrisr.volumes.regions import COLOURS, REGIONS

AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])


@pytest.fixture
def labels():
    """Six boxes in a row along each axis; only slice 5, 6, 7 cuts all of them."""
    data = np.zeros((16, 18, 20), np.uint8)
    for label in REGIONS.values():
        data[5, 2 * label : 2 * label + 2, 7] = label
        data[2 * label, 6, 7] = label
    data[5, 6, 3:15] = 2
    return Volume(data, AFFINE)


def test_views_show_most_of_all_regions(labels):
    views = choose_views(labels)
    assert [view.plane for view in views] == ["axial", "sagittal", "coronal"]
    assert [view.index for view in views] == [7, 5, 6]
    assert [view.aspect for view in views] == [1.5, 2 / 1.5, 2.0]
    for view in views:
        assert take(labels.data, view).any()
    with pytest.raises(InputError, match=r"empty\.nii\.gz: no voxel has a label"):
        choose_views(Volume(np.zeros((4, 4, 4)), AFFINE), "empty.nii.gz")


def test_colours_of_labels():
    found = overlay(np.array([[0, 1], [2, 6]], np.uint8))
    assert found.shape == (2, 2, 4)
    assert found[0, 0, 3] == 0
    assert tuple(found[0, 1, :3]) == COLOURS["csf"]
    assert tuple(found[1, 1, :3]) == COLOURS["cerebellum"]
    # As in the paper: CSF red, gray matter blue, white matter green.
    assert np.argmax(found[0, 1, :3]) == 0 and np.argmax(found[1, 0, :3]) == 2
    assert np.argmax(COLOURS["white_matter"]) == 1


@pytest.fixture
def files(labels, tmp_path):
    image = Volume((0.2 + labels.data / 10).astype(np.float32), AFFINE)
    save(image, tmp_path / "image.nii.gz")
    save(labels, tmp_path / "labels.nii.gz")
    return tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz"


def segmentation(truth, methods, outputs, values=None):
    """Draw; `values` is the file of overlaps."""
    cells = [
        {
            **{"scale": 2, "method": label, "method_label": label, "overlap": values or "none.csv"},
            **{"dataset": "demo", "path": None, "model": None, "learned": False, "control": False},
            **dict(zip(("image", "labels"), files or (None, None), strict=True)),
            "skipped": "too large" if files is None else None,
        }
        for label, files in methods.items()
    ]
    about = {"dataset": "demo", "label": "Demo", "subject": "sub-01", "cells": cells}
    about |= {"held": [], "baseline": None}
    figure_segmentation.draw({**about, "truth": truth[0], "labels": truth[1]}, outputs)


def test_same_input_same_bytes(files, tmp_path):
    (tmp_path / "dice.csv").write_text("subject,region,metric,value\nsub-01,mean,dice,0.9\n")
    for name in ("a", "b"):
        segmentation(
            files,
            {"Cubic $x$": files, "None": None, "Later": (tmp_path / "no", tmp_path / "no")},
            [tmp_path / f"{name}.png", tmp_path / f"{name}.pdf"],
            tmp_path / "dice.csv",
        )
    for suffix in ("png", "pdf"):
        a, b = (tmp_path / f"{name}.{suffix}" for name in ("a", "b"))
        assert a.read_bytes() == b.read_bytes() and a.stat().st_size > 5000


def test_colours_are_in_the_picture(files, tmp_path):
    from matplotlib.image import imread

    segmentation(files, {"Cubic": files}, [tmp_path / "a.png"])
    pixels = imread(tmp_path / "a.png")[..., :3].reshape(-1, 3)
    for colour in map(drawn, COLOURS):  # the legend has the colours as they lie on gray
        assert (np.abs(pixels - colour).max(axis=1) < 0.01).sum() > 20


def test_colours_differ_without_the_cones_for_green():
    from skimage.color import rgb2lab

    # Machado et al., A physiologically-based model for simulation of color vision deficiency, 2009.
    seen_as = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    linear = np.array([drawn(name) for name in COLOURS]) ** 2.2
    seen = rgb2lab(np.clip(linear @ seen_as.T, 0, 1)[None] ** (1 / 2.2))[0]
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(len(seen), 1)]
    assert apart.min() > 20


def test_what_is_off_the_grid_is_named(files, labels, tmp_path):
    save(Volume(labels.data[1:], AFFINE), tmp_path / "off.nii.gz")
    with pytest.raises(InputError, match=r"off\.nii\.gz: not on the grid"):
        segmentation(files, {"Cubic": (files[0], tmp_path / "off.nii.gz")}, [])
    save(Volume(labels.data, np.diag([-1.0, 1, 1, 1])), tmp_path / "lr.nii.gz")
    with pytest.raises(InputError, match=r"lr\.nii\.gz: not in canonical RAS"):
        segmentation((tmp_path / "lr.nii.gz", files[1]), {"Cubic": files}, [])


def test_labels_that_changed_since_they_were_made_are_not_drawn(files, labels, tmp_path):
    changed = Volume(labels.data.copy(), AFFINE)
    save_labels(changed, tmp_path / "changed.nii.gz")
    image = nib.load(tmp_path / "changed.nii.gz")
    other = np.asarray(image.dataobj).copy()
    other[tuple(np.argwhere(other)[0])] = 0
    nib.save(nib.Nifti1Image(other, image.affine, image.header), tmp_path / "changed.nii.gz")
    outputs = [tmp_path / f"a.{suffix}" for suffix in ("png", "pdf", "json")]
    methods = {"cubic": (files[0], tmp_path / "changed.nii.gz")}
    with pytest.raises(InputError, match=r"changed\.nii\.gz: labels changed since they were made"):
        segmentation(files, methods, outputs)


def test_what_is_shown_is_said(files, tmp_path, monkeypatch):
    (tmp_path / "dice.csv").write_text("subject,region,metric,value\nsub-01,mean,dice,0.9\n")
    found = []
    monkeypatch.setattr(figure_segmentation, "write", lambda *its: found.extend(its))
    methods = {"Cubic": files, "None": None, "Later": ("no", "no")}
    segmentation(files, methods, [], tmp_path / "dice.csv")
    written = texts(found[0])
    assert {"Dice 0.900", "n/a", "missing", "axial", "sagittal", "coronal"} <= set(written)
    caption = found[1].caption
    assert "Demo, sub-01, 2×" in caption and "axial 7, sagittal 5, coronal 6" in caption
    assert "n/a: outside" in caption and "missing: not there" in caption
