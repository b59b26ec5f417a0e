import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.optional_packages import has_antspynet
from mrisr.plan.cells import segmentation_notes
from mrisr.segment.deep_atropos import deep_atropos
from mrisr.study.load import checked
from mrisr.volumes.io import Volume
from tiny_study import LEAST


def volumes(shape=(5, 6, 7)):
    data = np.random.default_rng(0).random(shape, dtype=np.float32)
    mask = np.ones(shape, np.uint8)
    mask[0] = 0
    affine = np.array([[-0.9, 0, 0, 9], [0, 1, 0, -3], [0, 0, 1.2, 2], [0, 0, 0, 1]])
    return Volume(data, affine), Volume(mask, affine)


def install(monkeypatch, answer):
    """A package in place of ANTsPyNet, which is not installed for tests."""
    asked = []

    def deep_atropos(image, do_preprocessing):
        asked.append((image, do_preprocessing))
        return {"segmentation_image": answer(image)}

    monkeypatch.setitem(sys.modules, "antspynet", SimpleNamespace(deep_atropos=deep_atropos))
    return asked


def test_labels_are_the_networks_own_within_the_mask(monkeypatch):
    volume, mask = volumes()
    asked = install(monkeypatch, lambda image: (image * 0 + image.numpy().argsort(axis=0)) * 2)
    labels = deep_atropos(volume, mask)
    ((image, preprocessing),) = asked
    np.testing.assert_array_equal(image.numpy(), volume.data)
    assert preprocessing and labels.dtype == np.uint8 and labels.shape == volume.data.shape
    wanted = 2 * volume.data.argsort(axis=0)
    wanted[wanted > 6] = 0  # no region of ours
    wanted[0] = 0
    np.testing.assert_array_equal(labels, wanted)


def test_faults_of_the_network_are_named(monkeypatch):
    volume, mask = volumes()
    install(monkeypatch, lambda image: SimpleNamespace(numpy=lambda: np.zeros((2, 2, 2))))
    with pytest.raises(InputError, match=r"sub-01: deep_atropos labelled \(2, 2, 2\) voxels"):
        deep_atropos(volume, mask, "sub-01")

    def fail(image):
        raise RuntimeError("no weights")

    install(monkeypatch, fail)
    with pytest.raises(InputError, match=r"sub-01: ANTs gave up in deep_atropos \(no weights\)"):
        deep_atropos(volume, mask, "sub-01")
    monkeypatch.setitem(sys.modules, "antspynet", None)
    with pytest.raises(InputError, match="antspynet is not installed"):
        deep_atropos(volume, mask)


def test_a_study_without_the_package_is_refused(monkeypatch):
    asked = {**LEAST, "segmentation": {"engine": "deep_atropos"}}
    monkeypatch.setattr("mrisr.study.check.has_antspynet", lambda: False)
    with pytest.raises(ConfigError, match=r"segmentation\.engine: the package antspynet is not"):
        checked(asked)
    monkeypatch.setattr("mrisr.study.check.has_antspynet", lambda: True)
    assert "deep_atropos (ANTsPyNet)" in segmentation_notes(checked(asked))["Segmentation"]
    assert (
        "Atropos with six"
        in segmentation_notes(checked({**LEAST, "segmentation": True}))["Segmentation"]
    )
    assert isinstance(has_antspynet(), bool)
