"""Files that are no longer those of a study's results are named, whatever their times say."""

import os

import pytest

from mrisr.common import given_files
from mrisr.common.files import sha256, write_text
from mrisr.study.load import checked
from mrisr.study.replaced import replaced
from tiny_study import LEAST


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study that has run: a scan listed with its SHA-256, a mask in the record of its stage."""
    monkeypatch.chdir(tmp_path)
    study = checked(LEAST)
    for name in ("scan.nii", "mask.nii"):
        (tmp_path / name).write_bytes(b"before")
    row = f"sub-01\tscan.nii\tn/a\t6\t{sha256('scan.nii')}\n"
    head = "subject\tpath\turl\tbytes\tsha256\n"
    write_text(study.layout.sources("demo", "test"), head + row)
    record = study.layout.made_of(study.layout.hr_list("demo", "test"))
    with given_files.recorded([record, ""], ["mask.nii"]):
        pass
    return study


@pytest.mark.parametrize("name", ["scan.nii", "mask.nii"])
def test_a_replaced_file_is_named_although_size_and_time_are_the_same(study, tmp_path, name):
    assert replaced(study, "demo", ["test"]) == []
    about = (tmp_path / name).stat()
    (tmp_path / name).write_bytes(b"behind")
    os.utime(name, ns=(about.st_atime_ns, about.st_mtime_ns))
    (line,) = replaced(study, "demo", ["test"])
    assert line.startswith(f"{name}: replaced, its sha256 is not the one in results/demo/")
    assert "run snakemake" in line
    assert replaced(study, "demo", ["train"]) == []


def test_a_study_that_has_not_run_has_nothing_that_was_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert replaced(checked(LEAST), "demo", ["train", "val", "test"]) == []
