"""Every dataset found keeps the contract; what a user must get first, as far as that goes."""

import pytest

from mrisr import contract
from mrisr.data import datasets

NAMES = datasets.names()
CHECKS = [(name, check) for name in NAMES for check in contract.dataset(name)]


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=str)
def test_keeps_the_contract(name, check):
    check()


@pytest.mark.parametrize("name", NAMES)
def test_states_licence_citation_and_source(name):
    dataset = datasets.load(name)
    assert dataset.spec["licence"] != "not stated"
    assert dataset.spec["citation"]
    assert dataset.kind in ("bids", "folder", "https", "s3", "bundled")
