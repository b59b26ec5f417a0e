"""Every dataset found keeps the contract."""

import pytest

from mrisr import datasets
from mrisr.layout import SPLITS

NAMES = datasets.names()


@pytest.mark.parametrize("name", NAMES)
def test_states_licence_citation_and_source(name):
    dataset = datasets.load(name)
    assert dataset.label
    assert dataset.spec["licence"] != "not stated"
    assert dataset.spec["citation"]
    assert dataset.kind in ("bids", "https", "s3", "bundled")


@pytest.mark.parametrize("name", NAMES)
def test_no_subject_is_in_two_splits(name):
    subjects = datasets.load(name).subjects
    everyone = [subject for split in SPLITS for subject in subjects[split]]
    assert len(everyone) == len(set(everyone)) > 0
    assert subjects["test"]


@pytest.mark.parametrize("name", NAMES)
def test_simulated_scans_are_called_so(name):
    dataset = datasets.load(name)
    assert ("simulated" in dataset.label) == (dataset.kind == "bundled")
