"""The same scan in two splits is refused, whatever it is called."""

import gzip
import os
import shutil

import numpy as np
import pytest

from mrisr.common import volume_lists
from mrisr.common.errors import InputError
from mrisr.common.files import sha256
from mrisr.prepare.leakage import refuse_leakage


def sources(path, *scans):
    rows = [f"{scan.name}\t{scan}\t{sha256(scan)}" for scan in scans]
    path.write_text("\n".join(["subject\tpath\tsha256", *rows, ""]))
    return path


@pytest.fixture
def scans(tmp_path):
    made = []
    for name in "abc":
        made.append(tmp_path / f"{name}.nii")
        made[-1].write_bytes(np.random.default_rng(ord(name)).bytes(500))
    return made


@pytest.mark.parametrize("how", [shutil.copy, os.link, os.symlink])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_copy_or_link_of_a_test_scan_is_refused(tmp_path, scans, how, split):
    how(scans[0], tmp_path / "twin.nii")
    lists = {
        split: [sources(tmp_path / "one.tsv", tmp_path / "twin.nii", scans[1])],
        "test": [sources(tmp_path / "two.tsv", scans[2], scans[0])],
    }
    with pytest.raises(InputError, match=r"the same scan in two splits") as error:
        refuse_leakage(lists)
    assert f"twin.nii ({split}) and {scans[0]} (test)" in str(error.value)
    assert "b.nii" not in str(error.value) and "c.nii" not in str(error.value)


def test_the_same_ground_truth_packed_otherwise_is_refused(tmp_path, scans, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packed = tmp_path / "packed.nii.gz"
    packed.write_bytes(gzip.compress(scans[0].read_bytes()))
    for name in ("x", "y"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"what both are prepared to")
        volume_lists.write(f"{name}.tsv", image=[f"{name}.nii.gz"])
    lists = {
        "train": [sources(tmp_path / "1", packed)],
        "test": [sources(tmp_path / "2", scans[0])],
    }
    refuse_leakage(lists)
    lists["train"].append("x.tsv")
    lists["test"].append("y.tsv")
    with pytest.raises(InputError, match=r"y\.nii\.gz \(test\)"):
        refuse_leakage(lists)


def test_one_scan_may_be_tested_in_two_datasets(tmp_path, scans):
    lists = [sources(tmp_path / name, scans[0]) for name in ("1", "2")]
    refuse_leakage({"train": [sources(tmp_path / "3", scans[1])], "test": lists})


@pytest.mark.parametrize("how", [shutil.copy, os.link, os.symlink])
def test_one_scan_under_two_names_in_a_list_is_refused(tmp_path, scans, how):
    how(scans[0], tmp_path / "twin.nii")
    listed = sources(tmp_path / "1", scans[0], scans[1], tmp_path / "twin.nii")
    with pytest.raises(InputError, match="the same scan under two names") as error:
        refuse_leakage({"test": [listed]})
    assert f"{scans[0]} and {tmp_path / 'twin.nii'} (test)" in str(error.value)
    assert "b.nii" not in str(error.value)
