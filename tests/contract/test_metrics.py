"""Every metric found keeps the contract."""

import pytest
import torch

from mrisr import contract, metrics

metrics.use([])
NAMES = metrics.names()
CHECKS = [(name, check) for name in NAMES for check in contract.metric(name)]


@pytest.fixture(autouse=True)
def backbone(stand_in, monkeypatch):
    """LPIPS finds the stand-in where nothing else is said."""
    torch.set_num_threads(1)
    for setting, value in stand_in.items():
        monkeypatch.setitem(metrics.module("lpips").SETTINGS[setting], "default", value)


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=str)
def test_keeps_the_contract(name, check):
    check()


@pytest.mark.parametrize("name", NAMES)
def test_names_its_source_and_is_a_function_of_the_package(name):
    assert metrics.metadata(name).doi or not metrics.metadata(name).better
    assert getattr(metrics, name) is metrics.get(name)
