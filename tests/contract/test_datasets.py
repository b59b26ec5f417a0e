"""Every dataset found keeps the contract; what a user must get first, as far as that goes."""

import pytest

from mrisr import datasets
from mrisr.errors import InputError
from mrisr.layout import SPLITS

NAMES = datasets.names()


@pytest.mark.parametrize("name", NAMES)
def test_states_licence_citation_and_source(name):
    dataset = datasets.load(name)
    assert dataset.label
    assert dataset.spec["licence"] != "not stated"
    assert dataset.spec["citation"]
    assert dataset.kind in ("bids", "folder", "https", "s3", "bundled")


@pytest.mark.parametrize("name", NAMES)
def test_no_subject_is_in_two_splits(name):
    dataset = datasets.load(name)
    if dataset.needs_folder:
        with pytest.raises(InputError, match=rf"datasets\.{name}\.folder in the study's config"):
            dataset.check_access()
        return
    subjects = dataset.subjects
    everyone = [subject for split in SPLITS for subject in subjects[split]]
    assert len(everyone) == len(set(everyone)) > 0
    assert subjects["test"]


@pytest.mark.parametrize("name", NAMES)
def test_simulated_scans_are_called_so(name):
    dataset = datasets.load(name)
    assert ("simulated" in dataset.label) == (dataset.kind == "bundled")
