"""Figures of studies of stacks: what they show, say and leave out; the same bytes every time."""

import json

import numpy as np
import pytest
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.degrade.resample import degrade
from mrisr.figures import bars as figure_bars
from mrisr.figures import stacks as figure_stacks
from mrisr.figures import sweep as figure_sweep
from mrisr.figures.scene import measured_rows
from mrisr.plan import figures
from mrisr.study.load import checked
from mrisr.volumes.io import Volume, save
from mrisr.volumes.stacks import average

STACKS = {"kind": "stacks", "kernel": "slice_profile", "grid": "corners", "antialias": None}
OUTPUTS = ("png", "pdf", "json")


def outputs(folder, name="figure"):
    return [folder / f"{name}.{kind}" for kind in OUTPUTS]


def record(folder, name="figure"):
    return json.loads((folder / f"{name}.json").read_text())


def write_metrics(path, psnr, ssim=0.9, subjects=("sub-01", "sub-02")):
    lines = ["subject,metric,region,value"]
    for number, subject in enumerate(subjects):
        for metric, value in (("psnr", psnr + number), ("ssim", ssim)):
            lines.append(f"{subject},{metric},volume,{value}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def cell(method, scale=4, **changes):
    return {
        **{"dataset": "its", "method": method, "method_label": method.upper(), "scale": scale},
        **{"skipped": None, "image": None, "path": None, "control": False, "model": None},
        **{"dataset_label": "Its", "learned": method == "irem", "published_steps": None},
        **changes,
    }


@pytest.fixture
def params(tmp_path):
    data = ndimage.gaussian_filter(np.random.default_rng(0).random((24, 28, 24)), 1.5)
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in data.shape], indexing="ij")
    inside = sum(axis**2 for axis in grid) < 0.8
    truth = Volume(np.where(inside, data, 0).astype(np.float32), np.diag([1, 1, 1.2, 1]))
    save(truth, tmp_path / "truth.nii.gz")
    save(Volume(inside.astype(np.uint8), truth.affine), tmp_path / "mask.nii.gz")
    stacks = degrade(truth, 4, STACKS)
    files = {}
    for name, stack in stacks.items():
        files[name] = str(tmp_path / f"sub-01_{name}.nii.gz")
        save(stack, files[name])
    mean = average(stacks, truth.data.shape, truth.affine)
    save(Volume(mean, truth.affine), tmp_path / "sr.nii.gz")
    metrics = write_metrics(tmp_path / "metrics.csv", 27.25)
    return {
        **{"dataset": "its", "label": "Its $1", "subject": "sub-01", "scale": 4},
        **{"stacks": files, "mask": str(tmp_path / "mask.nii.gz"), "reference": None},
        **{"truth": str(tmp_path / "truth.nii.gz"), "held": [], "baseline": "bspline"},
        **{"enlarged": "axial", "acquisition": None},
        "cells": [
            cell("bspline", image=str(tmp_path / "sr.nii.gz"), path=metrics),
            cell("srr", image=str(tmp_path / "not-there.nii.gz"), path=str(tmp_path / "no.csv")),
            cell("irem", skipped="no"),
        ],
    }


def test_three_planes_of_every_method_and_the_truth(params, tmp_path):
    figure_stacks.draw(params, outputs(tmp_path))
    said = record(tmp_path)
    assert said["methods"] == ["bspline", "srr", "irem"] and said["scales"] == [4]
    for word in ("Its $1, sub-01, 4×", "the ground truth", "Fig. 5", "PSNR"):
        assert word in said["caption"]
    text = (tmp_path / "figure.pdf").read_bytes()
    figure_stacks.draw(params, outputs(tmp_path, "again"))
    assert (tmp_path / "again.pdf").read_bytes() == text
    first, again = ((tmp_path / f"{name}.png").read_bytes() for name in ("figure", "again"))
    assert first == again


def test_one_stack_is_told_by_its_acquisition_and_enlarged_through_the_plane(params, tmp_path):
    one = {"": params["stacks"]["axial"]}
    thick = {**params, "stacks": one, "enlarged": "coronal", "acquisition": "3|1"}
    figure_stacks.draw(thick, outputs(tmp_path))
    caption = record(tmp_path)["caption"]
    for word in ("slices 3|1 in voxels: the stack, every", "middle of the coronal one, enlarged."):
        assert word in caption
    assert "IREM" not in caption and "acquired in each plane" not in caption


def test_real_stacks_have_a_reference_and_no_truth(params, tmp_path):
    real = {**params, "truth": None, "reference": params["truth"]}
    figure_stacks.draw(real, outputs(tmp_path))
    caption = record(tmp_path)["caption"]
    assert "HR reference, another acquisition" in caption and "Fig. 6" in caption
    alone = {**params, "truth": None}
    figure_stacks.draw(alone, outputs(tmp_path))
    assert "reference, another" not in record(tmp_path)["caption"]


def test_each_plane_shows_the_stack_that_was_acquired_in_it(params):
    from mrisr.volumes.io import load

    mask = load(params["mask"])
    views = figure_stacks._views(mask)
    stacks = [load(file) for file in params["stacks"].values()]
    found = figure_stacks._acquired(stacks[::-1], mask, views)
    for name, (axis, index, window) in views.items():
        stack = load(params["stacks"][name])
        # Through the middle of the nearest slices: no blur in the plane.
        place = (index + 0.5) / 4 - 0.5
        low = int(np.floor(place))
        two = [np.take(stack.data, low + i, axis=axis).T[::-1, ::-1] for i in (0, 1)]
        wanted = two[0] + (place - low) * (two[1] - two[0])
        np.testing.assert_allclose(found[name], wanted[window], atol=1e-4)


def test_images_off_the_grid_and_empty_masks_are_refused(params, tmp_path):
    save(Volume(np.ones((5, 5, 5), np.float32), np.eye(4)), tmp_path / "off.nii.gz")
    params["cells"][0]["image"] = str(tmp_path / "off.nii.gz")
    with pytest.raises(InputError, match=r"off\.nii\.gz: not on the grid of .*mask"):
        figure_stacks.draw(params, outputs(tmp_path))
    save(Volume(np.zeros((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=r"mask\.nii\.gz: no voxel is inside"):
        figure_stacks.draw(params, outputs(tmp_path))


def test_bars_name_what_is_missing(tmp_path):
    cells = [
        cell("a", 4, path=write_metrics(tmp_path / "a4.csv", 30)),
        cell("b", 4, path=str(tmp_path / "none.csv")),
        cell("a", 8, path=write_metrics(tmp_path / "a8.csv", 25)),
        cell("b", 8, skipped="not for 8"),
    ]
    params = {"dataset": "its", "label": "Its", "cells": cells, "held": [], "baseline": "a"}
    figure_bars.draw(params, outputs(tmp_path))
    said = record(tmp_path)
    assert "over 2 test subjects" in said["caption"] and "4×, 8×" in said["caption"]
    assert said["methods"] == ["a", "b"] and said["scales"] == [4, 8]
    rows = measured_rows(params).values()
    values = {(r.cell["scale"], r.cell["method_label"]): figure_bars._values(r) for r in rows}
    figure = figure_bars._draw(values, ["A", "B"], [4, 8], "t", {"B": "†"})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B †"]
    axes = figure.axes[0]
    heights = [bar.get_height() for bars in axes.containers for bar in getattr(bars, "patches", [])]
    assert heights == [30.5, 25.5]
    words = [text.get_text().strip() for text in axes.texts]
    assert words.count("missing") == 1 and words.count("n/a") == 1 and "30.50" in words
    assert axes.get_ylim()[0] == 0


def test_a_sweep_orders_by_the_hyper_parameter(tmp_path):
    cells = [
        cell(f"m{value}", 8, value=value, path=write_metrics(tmp_path / f"{value}.csv", psnr))
        for value, psnr in ((256, 30), (64, 27), (128, 29))
    ]
    cells.append(cell("m512", 8, value=512, path=str(tmp_path / "none.csv")))
    params = {"dataset": "its", "label": "Its", "method": "M", "parameter": "encoding"}
    figure_sweep.draw({**params, "cells": cells}, outputs(tmp_path))
    caption = record(tmp_path)["caption"]
    assert "dimension 2L of the Fourier features" in caption and "Missing: M512" in caption
    points = figure_sweep._points(cells)
    assert list(points) == [64, 128, 256]
    assert [its["psnr"].mean() for its in points.values()] == [27.5, 29.5, 30.5]


def test_bars_and_sweeps_of_slices_count_subjects(tmp_path):
    names = [f"sub-0{subject}_slice-{number}" for subject in (1, 2) for number in (7, 8, 9)]
    cells = [
        cell(f"m{value}", 2, value=value, slices=True, path=write_metrics(file, psnr, 0.9, names))
        for value, psnr, file in ((64, 27, tmp_path / "64.csv"), (128, 29, tmp_path / "128.csv"))
    ]
    params = {"dataset": "its", "label": "Its", "cells": cells, "held": [], "baseline": None}
    figure_bars.draw(params, outputs(tmp_path, "bars"))
    figure_sweep.draw(params | {"method": "M", "parameter": "encoding"}, outputs(tmp_path, "sweep"))
    for name in ("bars", "sweep"):
        assert "over 2 test subjects" in record(tmp_path, name)["caption"], name
    # PSNR 27, 28 and 29 of the first subject's slices, 30 to 32 of the second's: whiskers are
    # the deviation of their means.
    points = figure_sweep._points(cells)
    assert points[64]["psnr"].tolist() == [28, 31] and points[128]["psnr"].tolist() == [30, 33]
    rows = measured_rows(params)
    assert figure_bars._values(rows[2, "m64"])["psnr"].tolist() == [28, 31]


def test_a_damaged_csv_is_named_by_a_sweep(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("subject,metric,region,value\nsub-01,psnr,volume,\n")
    with pytest.raises(InputError, match=r"a\.csv: values are missing"):
        figure_sweep._points([cell("a", value=1, path=str(file))])


def test_the_plan_finds_the_hyper_parameter_that_alone_differs():
    limits = {"limits": {"scales": [8]}}
    methods = {"bspline": None, "irem": None}
    for value in (64, 512):
        methods[f"irem_{value}"] = {"base": "irem", "model": {"encoding": value}, **limits}
    methods["irem_thin"] = {"base": "irem", "model": {"width": 64}, **limits}
    config = {
        **{"study": "its", "seed": 1, "datasets": {"demo": {"roles": ["test"]}}},
        **{"scales": [4, 8], "degradation": {"kind": "stacks"}, "metrics": ["psnr", "ssim"]},
    }
    study = checked(config | {"methods": methods})
    planned = {its.name: its for its in figures.figures(study)}
    sweep = planned["sweep_encoding_demo"]
    assert [(c["method"], c["value"], c["scale"]) for c in sweep.params["cells"]] == [
        *(("irem", 256, 8), ("irem_64", 64, 8), ("irem_512", 512, 8)),
    ]
    assert {"bars_demo", "stacks_demo"} <= set(planned) and "scales" not in planned
    study = checked(config | {"methods": {"bspline": None, "irem": None}})
    assert not [its for its in figures.figures(study) if its.name.startswith("sweep")]
