"""2-D studies: bicubic degradation, slices, training batches, networks on slices."""

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from mrisr.common.errors import InputError
from mrisr.common.layout import slice_name, subject_of
from mrisr.degrade.resample import bicubic_matrix, degrade, downsample, lr_size, upsample
from mrisr.evaluate.measured import read_rows
from mrisr.methods import method as methods
from mrisr.networks.tiles import within
from mrisr.prepare.ground_truth import take_slices
from mrisr.reconstruct.apply import reconstruct
from mrisr.tables.quality import quality_table
from mrisr.train.slices import SliceBatches, load_slices
from mrisr.volumes.io import Volume, save
from mrisr.volumes.slices import plane

DEGRADATION = {"kind": "slice", "kernel": "bicubic", "grid": "centres", "antialias": None}
CPU = torch.device("cpu")


@given(n=st.integers(1, 70), scale=st.floats(1, 5), down=st.booleans())
@settings(deadline=None, max_examples=60)
def test_bicubic_is_that_of_torch_and_of_pil(n, scale, down):
    m = lr_size(n, scale) if down else round(n * scale)
    image = np.random.default_rng(n).random((5, n))
    ours = image @ bicubic_matrix(n, m).T
    theirs = interpolate(
        torch.from_numpy(image)[None, None], (5, m), mode="bicubic", antialias=True
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), rtol=0, atol=1e-12)
    pil = Image.fromarray(image.astype(np.float32)).resize((m, 5), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(ours, np.asarray(pil), rtol=0, atol=2e-6)


@pytest.mark.parametrize("grid", ["corners", "centres"])
def test_bicubic_puts_samples_where_the_grid_says(grid):
    ramp = np.tile(np.arange(40.0), (40, 1))[None]
    low = degrade(Volume(ramp, np.eye(4)), 2, {**DEGRADATION, "grid": grid})[""]
    assert low.data.shape == (1, 20, 20)
    index = np.stack([np.zeros(12), np.full(12, 9), np.arange(4, 16), np.ones(12)])
    where = (low.affine @ index)[2]  # far from the border, where the kernel is cut
    # The stretched kernel is nearly, not quite, exact for ramps; the other grid is 0.3 away.
    np.testing.assert_allclose(low.data[0, 9, 4:16], where, rtol=0, atol=2e-3)


def test_up_and_down_keep_the_thin_axis_and_the_type():
    image = torch.rand(1, 24, 36, dtype=torch.float32)
    low = downsample(image, 1.5, "centres", axes=(1, 2), kernel="bicubic")
    high = upsample(low, image.shape, "centres", "bicubic")
    assert low.shape == (1, 16, 24) and high.shape == image.shape and high.dtype == torch.float32


def test_slices_are_cropped_to_a_multiple_and_stay_where_they_are():
    data = np.random.default_rng(0).random((30, 53, 47)).astype(np.float32)
    affine = np.array([[2.0, 0, 0, 5], [0, 1, 0, -3], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    volumes = Volume(data, affine), Volume(np.ones(data.shape, np.uint8), affine)
    asked = {"count": 3, "axis": "sagittal", "central": 10, "multiple": 12}
    pairs = take_slices(*volumes, asked, "scan", (1,))
    for truth, inside in pairs:
        assert truth.data.shape == inside.data.shape == (1, 48, 36)
        x, y, z = np.round(np.linalg.inv(affine) @ truth.affine[:, 3])[:3].astype(int)
        assert 10 <= x < 20 and (y, z) == (2, 5)
        np.testing.assert_array_equal(truth.data[0], data[x, y : y + 48, z : z + 36])
    with pytest.raises(InputError, match=r"cannot be cropped to a multiple of 60"):
        take_slices(*volumes, {**asked, "multiple": 60}, "scan", (1,))


def test_a_subject_s_value_is_the_mean_over_its_slices(tmp_path):
    names = [slice_name(s, n) for s in ("sub-01", "sub-02") for n in (1, 2)]
    assert [subject_of(name) for name in names] == ["sub-01"] * 2 + ["sub-02"] * 2
    rows = [
        f"{name},psnr,volume,{value}" for name, value in zip(names, (30, 32, 20, 21), strict=True)
    ]
    (tmp_path / "x2.csv").write_text("\n".join(["subject,metric,region,value", *rows]))
    cell = {"dataset": "a", "scale": 2, "method": "m", "learned": False, "skipped": None}
    cell |= {"model": None, "path": str(tmp_path / "x2.csv"), "slices": True}
    (row,) = read_rows([cell])
    assert row.values["psnr", "volume"].to_dict() == {"sub-01": 31.0, "sub-02": 20.5}


@pytest.fixture
def files(noise_files):
    return noise_files([(1, 52, 60 + i) for i in range(5)], "sub-{:02d}_slice-1")


def test_a_training_tile_is_degraded_as_a_test_slice_is(files):
    slices = load_slices(files, [], 24)
    training = {"batch": 3, "lr_patch": 12, "queries": 40}
    batches = SliceBatches(slices, [1, 2], training, "query", "grid", DEGRADATION, CPU, 1, "train")
    sizes = set()
    for step in range(6):
        (low, coordinates, cell), (target,) = batches(step)
        again = batches(step)
        assert torch.equal(low, again[0][0]) and torch.equal(target, again[1][0])
        assert low.shape == (3, 1, 12, 12) and coordinates.shape == (3, 40, 2)
        for i, chosen in enumerate(batches.order(step)):
            n = round(float(24 / cell[i, 0]))
            sizes.add(n)
            index = torch.round(((coordinates[i] + 1) * n - 1) / 2).long()
            # Find the tile by its queried pixels, then make its LR by the study's own degradation.
            image = torch.from_numpy(slices[chosen][0])
            places = [
                (r, c)
                for r in range(image.shape[0] - n + 1)
                for c in range(image.shape[1] - n + 1)
                if torch.equal(image[index[:, 0] + r, index[:, 1] + c], target[i])
            ]
            ((row, column),) = places
            tile = image[row : row + n, column : column + n].numpy()[None]
            lr = degrade(Volume(tile, np.eye(4)), n / 12, DEGRADATION)[""].data
            np.testing.assert_allclose(low[i].numpy(), lr, atol=1e-6)
            assert len(set(map(tuple, index.tolist()))) == 40
    assert min(sizes) < 16 and max(sizes) > 20


def test_targets_are_whole_tiles_for_upscale_networks_and_denoised_ones_follow(files, tmp_path):
    for file in files:
        volume = nib.load(file)
        denoised = Volume(volume.get_fdata(dtype=np.float32) + 1, volume.affine)
        save(denoised, tmp_path / "denoised" / file.rpartition("/")[2])
    denoised = [str(tmp_path / "denoised" / file.rpartition("/")[2]) for file in files]
    slices = load_slices(files, denoised, 24)
    training = {"batch": 3, "lr_patch": 12}
    batches = SliceBatches(slices, [2], training, "upscale", "edges", DEGRADATION, CPU, 1)
    (low,), (target, smooth) = batches(0)
    assert low.shape == (3, 1, 12, 12) and target.shape == smooth.shape == (3, 1, 24, 24)
    torch.testing.assert_close(smooth, target + 1)
    with pytest.raises(InputError, match=r"smaller than a training tile of 60 pixels"):
        load_slices(files, [], 60)
    with pytest.raises(InputError, match=r"sub-00_slice-1.* but .*sub-01_slice-1.* has"):
        load_slices(files[1:2], denoised[:1], 24)


def test_conv_makes_whole_multiples_and_says_so_where_they_do_not_fit():
    method = methods.get("conv", preset="demo")
    network = method.build().eval()
    lr = Volume(np.random.default_rng(0).random((1, 20, 24), dtype=np.float32), np.eye(4))
    assert reconstruct(method, network, lr).data.shape == (1, 40, 48)
    with pytest.raises(InputError, match=r"41 x 48; set slices.multiple to a multiple of 2"):
        reconstruct(method, network, lr, (1, 41, 48))
    with pytest.raises(InputError, match=r"one voxel thick, is expected"):
        reconstruct(method, network, Volume(np.ones((8, 8, 8), np.float32), np.eye(4)))


@pytest.mark.parametrize("name", ["coord", "conv"])
def test_little_memory_means_tiles_and_the_same_numbers(name, monkeypatch):
    method = methods.get(name, preset="demo")
    torch.manual_seed(0)
    network = method.build().eval()
    lr = Volume(np.random.default_rng(0).random((1, 70, 50), dtype=np.float32), np.eye(4))
    whole = reconstruct(method, network, lr, grid="centres")
    assert len(within(network, (70, 50), 0.2)[0]) > 1
    tiled = reconstruct(method, network, lr, grid="centres", memory_mb=0.2)
    np.testing.assert_allclose(tiled.data, whole.data, rtol=0, atol=1e-5)


def test_the_field_of_view_of_what_has_no_ground_truth_is_that_of_the_slice():
    lr = Volume(
        np.random.default_rng(0).random((1, 20, 24), dtype=np.float32), np.diag([3, 1, 2, 1])
    )
    sr = reconstruct(methods.get("bicubic"), None, lr, scale=2, grid="centres")
    assert sr.data.shape == (1, 40, 48)
    np.testing.assert_allclose(sr.voxel_size, (3, 0.5, 1))
    edges = [volume.affine @ [0, -0.5, -0.5, 1] for volume in (lr, sr)]
    np.testing.assert_allclose(*edges, atol=1e-6)
    assert plane(sr).shape == (40, 48)


def test_a_study_may_hold_its_methods_against_the_baseline_in_another_metric(tmp_path):
    cells = []
    for method, vif, psnr in (("bicubic", 0.8, 31.4), ("coord", 0.87, 31.0), ("conv", 0.7, 32.0)):
        rows = [
            f"sub-{n:02}_slice-1,{metric},volume,{value + n / 100}"
            for n in range(5)
            for metric, value in (("vif", vif), ("psnr", psnr))
        ]
        path = tmp_path / f"{method}.csv"
        path.write_text("\n".join(["subject,metric,region,value", *rows]))
        cell = {
            "dataset": "a",
            "dataset_label": "A",
            "scale": 2,
            "method": method,
            "control": False,
        }
        cell |= {"learned": method != "bicubic", "skipped": None, "model": None, "slices": True}
        cells.append({**cell, "method_label": method, "published_steps": None, "path": str(path)})
    below = ["not above the baseline"]
    marked = {row.cell["method"]: row.remarks for row in read_rows(cells, "bicubic")}
    assert marked == {"bicubic": [], "coord": below, "conv": []}
    by_vif = [{**cell, "held_by": "vif"} for cell in cells]
    marked = {row.cell["method"]: row.remarks for row in read_rows(by_vif, "bicubic")}
    assert marked == {"bicubic": [], "coord": [], "conv": below}
    lines = quality_table(by_vif, baseline="bicubic").footnotes
    assert any("not above bicubic, in VIF over the volume" in line for line in lines)
