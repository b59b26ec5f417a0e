"""The self-supervised network learns from one scan, at any ratio, and keeps the field of view."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.degrade.resample import degrade, upsample
from mrisr.methods import method as methods
from mrisr.reconstruct.apply import reconstruct
from mrisr.train import in_plane
from mrisr.train.engine import TrainingJob
from mrisr.volumes.io import Volume, save

HOW = {"kind": "through_plane", "axis": "axial", "acquisitions": ["3|0.5"], "profile": "gaussian"}
HOW |= {"grid": "centres", "kernel": "slice_profile", "antialias": None}


def bars(shape=(49, 42, 42)):
    """Bright and dark balls with sharp edges."""
    rough = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal(shape), 2.5)
    data = np.where(rough > 0, 0.9, 0.3) * (ndimage.gaussian_filter(rough, 2) > -0.02)
    return Volume(ndimage.gaussian_filter(data, 0.5).astype(np.float32), np.diag([1, 1, 1, 1.0]))


def job(method, folder, lr, **training):
    file = str(folder / "sub-01.nii.gz")
    save(lr, file)
    spec = {**method.spec, "training": {**method.spec["training"], **training}}
    return TrainingJob("smore", method.build, [3.5], spec, HOW, 1, [file], [], str(folder / "c"))


def test_the_network_begins_as_cubic_interpolation_of_any_ratio():
    torch.manual_seed(0)
    net = methods.get("smore").build(features=4, blocks=1)
    lr = torch.rand(2, 6, 9)
    plain = upsample(lr.numpy(), (2, 21, 9), "centres")
    made = net(lr, 21)
    assert made.shape == (2, 21, 9)
    np.testing.assert_allclose(made.detach() - net.residual(lr, 21).detach(), plain, atol=1e-6)
    # Twice the intensities give twice the result.
    torch.testing.assert_close(net(2 * lr, 21), 2 * made)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pairs_are_what_the_scanner_makes_of_a_slice(axis):
    scan = degrade(bars(), 3.5, {**HOW, "axis": ("sagittal", "coronal", "axial")[axis]})[""]
    training = {"batch": 5, "lr_patch": 8, "patch": 16}
    pairs = in_plane.InPlanePairs(scan, 3 / 3.5, "gaussian", training, torch.device("cpu"), 1)
    lr, hr = pairs(3)
    assert lr.shape == (5, 8, 16) and hr.shape == (5, 28, 16)
    again = pairs(3)
    assert torch.equal(lr, again[0]) and not torch.equal(lr, pairs(4)[0])
    assert len(pairs.slices) == scan.data.shape[axis]
    # An even slice stays even, and a ramp keeps its slope.
    ramp = torch.arange(28.0)[:, None].expand(28, 16)
    low = pairs.matrices[0] @ ramp
    np.testing.assert_allclose(np.diff(low[2:-2, 0]), 3.5, atol=0.05)


def test_a_scan_too_small_to_learn_from_is_refused_by_name(tmp_path):
    method = methods.get("smore", preset="demo")
    small = Volume(np.ones((8, 30, 9), np.float32), np.diag([1, 1, 3.5, 1.0]))
    with pytest.raises(InputError, match=r"sub-01.nii.gz: smore: slices of 8 x 30 pixels"):
        in_plane.train(job(method, tmp_path, small))


def test_it_beats_cubic_interpolation_on_the_scan_that_it_learned_from(tmp_path):
    truth = bars()
    lr = degrade(truth, 3.5, HOW)[""]
    method = methods.get("smore", preset="demo")
    asked = job(method, tmp_path, lr)
    trained = in_plane.train(asked)
    assert trained.info["steps"] == 150 and trained.log[-1]["val_loss"] < trained.log[0]["val_loss"]
    network = method.build()
    network.load_state_dict(trained.state)
    where = (truth.data.shape, 3.5, truth.affine, "centres")
    made = reconstruct(method, network, lr, *where)
    cubic = upsample(lr.data, truth.data.shape, "centres")
    errors = [float(((image - truth.data) ** 2).mean()) for image in (made.data, cubic)]
    assert errors[0] < 0.8 * errors[1]
    np.testing.assert_array_equal(made.affine, truth.affine)


def test_a_stopped_training_ends_with_the_same_weights(tmp_path):
    method = methods.get("smore", preset="demo")
    lr = degrade(bars((30, 32, 28)), 3.5, HOW)[""]
    how = {"epochs": 2, "steps_per_epoch": 6, "batch": 2}
    whole = in_plane.train(job(method, tmp_path, lr, **how))
    asked = job(method, tmp_path, lr, **how)
    assert in_plane.train(asked, lambda step: step == 7) is None
    continued = in_plane.train(asked)
    for name, weights in whole.state.items():
        assert torch.equal(weights, continued.state[name])
