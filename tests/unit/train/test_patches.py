import numpy as np
import pytest
import torch

from mrisr.common.errors import InputError
from mrisr.degrade.resample import downsample, lr_size, resampling_matrix, upsample
from mrisr.degrade.through_plane import profile_matrix
from mrisr.methods import method as methods
from mrisr.methods.method import hr_patch
from mrisr.networks.queries import query_coordinates
from mrisr.train.patches import GridBatches, Order, QueryBatches, draw_patches
from mrisr.volumes.io import Volume, save

DEGRADATION = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}
CPU = torch.device("cpu")
QUERY = {"batch": 5, "queries": 300, "lr_patch": 5, "anchor": "corner"}


@pytest.fixture
def patches():
    return torch.from_numpy(np.random.default_rng(0).random((7, 20, 20, 20), dtype=np.float32))


def files(folder, shapes):
    random = np.random.default_rng(1)
    names = []
    for i, shape in enumerate(shapes):
        names.append(folder / f"sub-{i:02d}.nii.gz")
        save(Volume(random.random(shape, dtype=np.float32), np.eye(4)), names[-1])
    return names


def test_patches_are_drawn_per_subject_and_inside_the_border(tmp_path):
    names = files(tmp_path, [(30, 31, 32), (30, 30, 30)])
    both = draw_patches(names, 3, 10, 8, seed=4)
    assert both.shape == (6, 10, 10, 10)
    # Another subject beside it changes nothing.
    assert torch.equal(draw_patches(names[1:], 3, 10, 8, seed=4), both[3:])
    assert not torch.equal(draw_patches(names[1:], 3, 10, 8, seed=5), both[3:])
    # With a border of 10 only the middle 10^3 of a 30^3 volume can be drawn.
    middle = draw_patches(names[1:], 2, 10, 10, seed=4)
    assert torch.equal(middle[0], middle[1])


def test_a_volume_smaller_than_a_patch_is_refused(tmp_path):
    (name,) = files(tmp_path, [(30, 9, 32)])
    with pytest.raises(InputError, match=r"sub-00.*smaller than a training patch of 10"):
        draw_patches([name], 1, 10, 0, seed=0)


def test_order_sees_every_patch_once_a_pass():
    order = Order(7, 3, "seed")
    seen = np.concatenate([order(step) for step in range(7)])
    for i in range(3):
        assert sorted(seen[7 * i : 7 * i + 7]) == list(range(7))
    assert np.array_equal(Order(7, 3, "seed")(5), order(5))


@pytest.mark.parametrize("scale", [2, 2.5, 3])
def test_grid_batches_are_cubic_down_and_up(patches, scale):
    batches = GridBatches(patches, scale, {"batch": 2}, DEGRADATION, CPU, "seed")
    (lr,), hr = batches(3)
    assert lr.shape == hr.shape == (2, 1, 20, 20, 20)
    expected = upsample(downsample(hr[1, 0].numpy(), scale), (20, 20, 20))
    np.testing.assert_allclose(lr[1, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["srcnn3d", "dcsrn", "rescnn"])
@pytest.mark.parametrize("scale", [2, 2.5, 3, 3.5, 4])
def test_baselines_see_lr_patches_of_10_as_published(method, scale):
    training = methods.get(method).spec["training"]
    assert hr_patch(training, scale) == 10 * scale
    assert lr_size(hr_patch(training, scale), scale) == 10
    assert hr_patch({**training, "patch": 24}, scale) == 24


@pytest.mark.parametrize("anchor", ["corner", "centre"])
@pytest.mark.parametrize("coordinates", ["edges", "grid"])
def test_query_batches_hold_lr_patch_and_hr_intensities(patches, anchor, coordinates):
    training = {**QUERY, "anchor": anchor}
    batches = QueryBatches(patches, [2, 4], training, coordinates, DEGRADATION, CPU, "seed")
    (lr, places, cell), target = batches(2)
    assert lr.shape == (5, 1, 5, 5, 5)
    assert places.shape == (5, 300, 3)
    assert places.abs().max() <= 1
    chosen = patches[batches.order(2)]
    found = set()
    for i in range(5):
        # Which scale was drawn? The one whose LR patch this is.
        for scale in batches.scales:
            n = round(5 * scale)
            start = (20 - n) // 2 if anchor == "centre" else 0
            cube = chosen[i][(slice(start, start + n),) * 3].numpy()
            low = downsample(cube, n / 5)
            if low.shape == (5, 5, 5) and np.allclose(low, lr[i, 0], atol=1e-5):
                break
        else:
            pytest.fail("no scale gives this LR patch")
        found.add(scale)
        np.testing.assert_allclose(cell[i].numpy(), [2 * 5 / n] * 3, rtol=1e-6)
        axis = query_coordinates(n, 5, coordinates, "corners")
        index = np.abs(axis[None, None] - places[i].numpy()[..., None]).argmin(-1)
        np.testing.assert_allclose(axis[index], places[i].numpy(), atol=1e-6)
        np.testing.assert_array_equal(cube[tuple(index.T)], target[i].numpy())
        assert len({tuple(row) for row in index}) == 300  # distinct voxels
    assert len(found) > 1


def test_batches_depend_on_seed_and_step_alone(patches):
    def make(*parts):
        return QueryBatches(patches, [2, 4], QUERY, "edges", DEGRADATION, CPU, *parts)

    first, again = make("a"), make("a")
    again(0)  # other steps before it do not matter
    for one, two in zip(first(4)[0], again(4)[0], strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first(4)[1], first(5)[1])
    assert not torch.equal(first(4)[1], make("b")(4)[1])


def test_scales_are_uniform_before_they_are_rounded(patches):
    batches = QueryBatches(patches, [2, 4], QUERY, "edges", DEGRADATION, CPU, "a")
    batches.host.manual_seed(0)
    drawn = torch.bincount(batches._one_scale(204_000), minlength=21)
    assert len(drawn) == 21  # 2.0 to 4.0
    # U(2, 4.04): 0.05 of 2.04 round to 2.0, 0.1 to each of the others, 0.09 to 4.0.
    expected = torch.tensor([5_000, *[10_000] * 19, 9_000])
    assert (drawn - expected).abs().max() < 500
    one = QueryBatches(patches, [2, 2], QUERY, "edges", DEGRADATION, CPU, "a")
    assert one._one_scale(5).tolist() == [0] * 5


def test_queries_are_at_most_the_voxels_of_the_smallest_patch(patches):
    training = {**QUERY, "queries": 10**6}
    batches = QueryBatches(patches, [2, 4], training, "edges", DEGRADATION, CPU, "a")
    assert batches(0)[1].shape == (5, 10**3)


def test_coordinates_published_and_aligned():
    np.testing.assert_allclose(
        query_coordinates(4, 2, "edges", "corners"), [-0.75, -0.25, 0.25, 0.75]
    )
    # Corner voxels coincide: the first HR voxel is asked at the first LR voxel's centre.
    np.testing.assert_allclose(query_coordinates(4, 2, "grid", "corners")[[0, -1]], [-0.5, 0.5])
    np.testing.assert_allclose(
        query_coordinates(9, 3, "grid", "centres"), query_coordinates(9, 3, "edges", "corners")
    )


def test_patches_in_the_foreground_hold_it(tmp_path):
    data = np.zeros((40, 40, 40), np.float32)
    data[25:35, 25:35, 25:35] = 1
    save(Volume(data, np.eye(4)), tmp_path / "head.nii.gz")
    anywhere, inside = (
        draw_patches([tmp_path / "head.nii.gz"], 12, 8, 0, seed=1, inside=inside)
        for inside in (False, True)
    )
    assert inside.amax(dim=(1, 2, 3)).min() == 1
    assert anywhere.amax(dim=(1, 2, 3)).min() == 0


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_scale_of_its_own_for_each_axis(patches, share):
    training = {**QUERY, "queries": 50, "batch": 7, "own_scales": share, "anchor": "centre"}
    batches = QueryBatches(patches, [2, 4], training, "grid", DEGRADATION, CPU, "seed")
    plain = QueryBatches(
        patches, [2, 4], {**training, "own_scales": 0}, "grid", DEGRADATION, CPU, "seed"
    )
    own = 0
    for step in range(4):
        (lr, places, cell), target = batches(step)
        expected = plain(step)
        for i, index in enumerate(batches.order(step)):
            if cell[i].unique().numel() == 1:
                assert torch.equal(lr[i], expected[0][0][i])
                continue
            own += 1
            sizes = [round(10 / float(c)) for c in cell[i]]  # of the HR patch, in voxels
            assert max(sizes) >= 10
            assert min(sizes) >= 5
            starts = [(20 - n) // 2 for n in sizes]
            span = tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))
            hr = patches[index][span]
            low = hr.numpy()
            for axis, n in enumerate(sizes):
                if n != 5:
                    matrix = resampling_matrix(n, 5, "corners", 0.0)
                    low = np.moveaxis(np.tensordot(matrix, low, axes=(1, axis)), 0, axis)
            np.testing.assert_allclose(lr[i, 0].numpy(), low, atol=1e-5)
            at = [query_coordinates(n, 5, "grid", "corners") for n in sizes]
            for place, value in zip(places[i].numpy(), target[i], strict=True):
                voxel = tuple(
                    int(abs(line - p).argmin()) for line, p in zip(at, place, strict=True)
                )
                assert value == hr[voxel]
    assert own >= 10


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_thick_slices_lie_along_one_axis_and_may_have_gaps(patches, share):
    thick = {"thick_slices": {"share": share, "gaps": [0, 0.3]}}
    training = {**QUERY, "queries": 50, "batch": 8, "anchor": "centre", **thick}
    how = {**DEGRADATION, "kind": "through_plane", "profile": "rect", "kernel": "slice_profile"}
    batches = QueryBatches(patches, [2, 4], training, "grid", how, CPU, "seed")
    axes, matched = set(), set()
    for step in range(4):
        (lr, places, cell), target = batches(step)
        for i, index in enumerate(batches.order(step)):
            sizes = [round(10 / float(c)) for c in cell[i]]
            reduced = [axis for axis, n in enumerate(sizes) if n != 5]
            if len(reduced) != 1:
                assert share < 1
                continue
            axis = reduced[0]
            axes.add(axis)
            n = sizes[axis]
            starts = [(20 - size) // 2 for size in sizes]
            span = tuple(slice(a, a + size) for a, size in zip(starts, sizes, strict=True))
            hr = patches[index][span].numpy()
            for gap in np.linspace(0, 0.3, 4):
                matrix = profile_matrix(n, 5, (1 - gap) * n / 5, "rect")
                low = np.moveaxis(np.tensordot(matrix, hr, axes=(1, axis)), 0, axis)
                if np.allclose(lr[i, 0].numpy(), low, atol=1e-5):
                    matched.add(gap)
                    break
            else:
                raise AssertionError("no slice profile gives this LR")
            at = [query_coordinates(size, 5, "grid", "centres") for size in sizes]
            for place, value in zip(places[i].numpy(), target[i], strict=True):
                voxel = tuple(
                    int(abs(line - p).argmin()) for line, p in zip(at, place, strict=True)
                )
                assert value == hr[voxel]
    assert axes == {0, 1, 2} and len(matched) == 4
