import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.degrade.resample import degrade
from mrisr.figures.net_seconds import net
from mrisr.methods import method as methods
from mrisr.methods.import_weights import import_model
from mrisr.methods.model_files import load_model, save_model
from mrisr.networks.queries import query_coordinates
from mrisr.prepare.ground_truth import prepare_volume
from mrisr.reconstruct.apply import reconstruct, reconstruct_subjects
from mrisr.volumes.io import Volume, load, save
from mrisr.volumes.raw import load_scan
from orientations import ORIENTATIONS, stored_as

SMALL = {"features": 4, "growth": 4, "blocks": 1, "layers": 2, "channels": 8, "width": 16}
DEGRADATION = {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None}
AFFINE = np.array([[-0.9, 0, 0, 10], [0, 0.8, 0, -20], [0, 0, 1.1, 5], [0, 0, 0, 1.0]])


def truth(shape=(21, 24, 26)):
    data = ndimage.gaussian_filter(np.random.default_rng(2).random(shape), 1).astype(np.float32)
    return Volume(data, AFFINE)


def query_network(seed=0, **changes):
    torch.manual_seed(seed)
    method = methods.get("arssr_rdn", {"model": {**SMALL, "head": "linear"}, **changes})
    return method, method.build().eval()


@pytest.mark.parametrize("coordinates", ["edges", "grid"])
def test_query_by_planes_equals_the_network_called_on_all_coordinates(coordinates):
    method, network = query_network(coordinates=coordinates)
    lr = Volume(np.random.default_rng(0).random((9, 11, 10), dtype=np.float32), np.eye(4))
    shape = (18, 23, 21)
    sr = reconstruct(method, network, lr, shape, 2)
    axes = [
        torch.tensor(query_coordinates(n, m, coordinates, "corners"), dtype=torch.float32)
        for n, m in zip(shape, lr.data.shape, strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, 3)
    with torch.no_grad():
        expected = network(torch.from_numpy(lr.data)[None, None], grid).view(shape)
    np.testing.assert_allclose(sr.data, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["arssr_rdn", "srcnn3d"])
def test_bfloat16_rounds_and_other_precisions_are_refused(name):
    torch.manual_seed(0)
    small = {"features": [6, 4], "kernels": [5, 1, 3]} if name == "srcnn3d" else SMALL
    method = methods.get(name, {"model": small})
    network = method.build().eval()
    lr = Volume(np.random.default_rng(0).random((9, 11, 10), dtype=np.float32), np.eye(4))
    exact, low = (
        reconstruct(method, network, lr, scale=2, precision=precision).data
        for precision in ("float32", "bfloat16")
    )
    assert low.dtype == np.float32
    assert 0 < np.abs(low - exact).max() < 0.05 * np.ptp(exact)
    with pytest.raises(InputError, match="precision 'bf16': one of float32, bfloat16 is needed"):
        reconstruct(method, network, lr, scale=2, precision="bf16")


def test_coordinates_follow_the_axes():
    # A ramp along one axis of the LR must not come out along another.
    method, network = query_network()
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.encoder.output.bias.fill_(0)
    for axis in range(3):
        with torch.no_grad():  # the decoder passes coordinate `axis` through
            for layer in (*network.decoder.stage_two[:-1:2], network.decoder.stage_two[-1]):
                layer.weight.zero_()
            network.decoder.stage_two[0].weight[0, 8 + axis] = 1
            network.decoder.stage_two[0].bias.fill_(2)
            for layer in network.decoder.stage_two[2::2]:
                layer.weight[0, 0] = 1
        lr = Volume(np.ones((5, 6, 7), np.float32), np.eye(4))
        sr = reconstruct(method, network, lr, (10, 12, 14), 2).data - 2
        expected = query_coordinates(sr.shape[axis], lr.data.shape[axis], "edges", "corners")
        line = np.moveaxis(sr, axis, 0)[:, 3, 3]
        np.testing.assert_allclose(line, expected, atol=1e-5)


def test_grid_networks_see_the_interpolated_volume_in_exact_tiles():
    torch.manual_seed(0)
    method = methods.get("srcnn3d", {"model": {"features": [6, 4], "kernels": [5, 1, 3]}})
    network = method.build().eval()
    lr = degrade(truth((40, 41, 42)), 2, DEGRADATION)[""]
    whole = reconstruct(method, network, lr, (40, 41, 42), 2)
    tiled = reconstruct(method, network, lr, (40, 41, 42), 2, memory_mb=1)
    np.testing.assert_allclose(tiled.data, whole.data, atol=1e-5)
    cubic = ndimage.zoom(lr.data, [a / b for a, b in zip((40, 41, 42), lr.data.shape, strict=True)])
    with torch.no_grad():
        expected = network(torch.from_numpy(cubic)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(whole.data, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 2.5, 4])
@pytest.mark.parametrize("grid", ["corners", "centres"])
def test_default_grid_is_the_one_above_the_lr(scale, grid):
    lr = degrade(truth((40, 40, 40)), scale, {**DEGRADATION, "grid": grid})[""]
    sr = reconstruct(methods.get("cubic"), None, lr, scale=scale, grid=grid)
    assert sr.data.shape == (40, 40, 40)
    np.testing.assert_allclose(sr.affine, AFFINE, atol=1e-9)


def test_nearest_takes_the_nearest_voxel():
    lr = Volume(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4))
    sr = reconstruct(methods.get("nearest"), None, lr, (7, 7, 7), 2, grid="corners")
    expected = ndimage.zoom(lr.data, 7 / 3, order=0)
    np.testing.assert_array_equal(sr.data, expected)


class Broken:
    """A method whose reconstruct() returns `data`."""

    name, spec = "broken", {}

    def __init__(self, data):
        self.data = data

    def function(self, _name):
        return lambda lr, query, model: self.data


def test_bad_output_is_refused():
    lr = truth((6, 6, 6))
    with pytest.raises(InputError, match=r"broken.*shape \(2, 2, 2\) where \(12, 12, 12\)"):
        reconstruct(Broken(np.zeros((2, 2, 2))), None, lr)
    with pytest.raises(InputError, match=r"broken.*1728 voxels are not finite"):
        reconstruct(Broken(np.full((12, 12, 12), np.nan)), None, lr)


def test_subjects_are_reconstructed_on_the_grid_of_the_ground_truth_and_taken_up(tmp_path, caplog):
    caplog.set_level("INFO", "mrisr")
    method, network = query_network()
    save_model(tmp_path, network.state_dict(), [], {})
    references, inputs, outputs = [], [], []
    for i in range(3):
        volume = truth((21 + i, 24, 26))
        references.append(str(tmp_path / f"hr{i}.nii.gz"))
        inputs.append(str(tmp_path / f"lr{i}.nii.gz"))
        outputs.append(str(tmp_path / "sr" / f"sub-{i}.nii.gz"))
        save(volume, references[i])
        save(degrade(volume, 2, DEGRADATION)[""], inputs[i])

    def run(fingerprint, names=inputs):
        reconstruct_subjects(
            method,
            tmp_path / "model.safetensors",
            [{"": name} for name in names],
            references,
            outputs,
            2,
            "corners",
            tmp_path / "staging",
            fingerprint,
        )

    with pytest.raises(InputError, match="gone"):
        run("a", [*inputs[:2], "gone.nii.gz"])
    staged = sorted((tmp_path / "staging").glob("[!.]*sub-*"))
    assert len(staged) == 2
    assert not (tmp_path / "sr").exists()
    first = staged[0].stat().st_mtime_ns
    caplog.clear()
    run("a")
    assert len(net(caplog.text)) == 1  # what the figure of cost reads, of the volume that was left
    assert not (tmp_path / "staging").exists()
    kept = (tmp_path / "sr" / staged[0].name.split(".", 1)[1]).stat()
    assert kept.st_mtime_ns == first  # not made again
    for reference, output in zip(references, outputs, strict=True):
        made, wanted = load(output), load(reference)
        assert made.data.shape == wanted.data.shape
        np.testing.assert_allclose(made.affine, wanted.affine)


def arssr_of_the_authors(network, array, k):
    """What the authors' code makes of an array: its axes as they come, edges that coincide."""
    lr = ndimage.zoom(array, 1 / k, order=3)
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in array.shape]
    where = torch.tensor(np.stack(np.meshgrid(*axes, indexing="ij"), -1), dtype=torch.float32)
    with torch.no_grad():
        made = network(torch.from_numpy(lr)[None, None], where.view(1, -1, 3))
    return made.view(array.shape).numpy()


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_imported_weights_see_a_file_as_simpleitk_does(codes, tmp_path):
    method, network = query_network(authors_axes="file_reversed")
    weights = tmp_path / "authors.pkl"
    torch.save(network.state_dict(), weights)
    import_model(method, weights, tmp_path / "model", [2, 4])
    imported = load_model(method, tmp_path / "model" / "model.safetensors")

    raw = stored_as(codes, (10, 12, 15))
    save(raw, tmp_path / "scan.nii.gz")
    # As SimpleITK's GetArrayFromImage gives it: the last axis of the file first.
    array = np.asarray(nib.load(tmp_path / "scan.nii.gz").dataobj).T
    hr, _ = prepare_volume(
        load_scan(tmp_path / "scan.nii.gz"), {"kind": "none"}, {"kind": "signal"}, "scan"
    )
    save(hr, tmp_path / "hr.nii.gz")  # stages exchange files
    lr = degrade(load(tmp_path / "hr.nii.gz"), 2, DEGRADATION)[""]
    save(lr, tmp_path / "lr.nii.gz")
    sr = reconstruct(
        method, imported, load(tmp_path / "lr.nii.gz"), hr.data.shape, 2, affine=hr.affine
    )
    expected = arssr_of_the_authors(network, array / array.max(), 2)
    # Back into the file's own order, by the affine alone.
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(sr.affine), nib.orientations.axcodes2ornt(codes)
    )
    np.testing.assert_allclose(
        nib.orientations.apply_orientation(sr.data, turn).T, expected, atol=2e-5
    )
    if codes == "RAS":  # the order matters: without it another image comes out
        imported.axes = "canonical"
        other = reconstruct(method, imported, lr, hr.data.shape, 2)
        assert np.abs(other.data - sr.data).max() > 1e-3
