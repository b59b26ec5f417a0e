"""A given file that was replaced is seen, whatever its time; one that is the same is not read."""

import os
from pathlib import Path

import pytest

from mrisr.common import given_files
from mrisr.common.files import sha256


@pytest.fixture
def scans(tmp_path):
    """Two files of one size, recorded."""
    files = [str(tmp_path / name) for name in ("a.nii", "b.nii")]
    for number, file in enumerate(files):
        write(file, b"scan %d" % number)
    with given_files.recorded([tmp_path / "record.json", ""], files):
        pass
    return tmp_path / "record.json", files


def write(file, content, when=1_600_000_000):
    """Write a file and give it a time."""
    Path(file).write_bytes(content)
    os.utime(file, (when, when))


def counted(monkeypatch):
    """Return the list of files that are read from now on."""
    read = []
    monkeypatch.setattr(given_files, "sha256", lambda name: read.append(name) or sha256(name))
    return read


def test_without_a_record_nothing_is_read(tmp_path, monkeypatch):
    read = counted(monkeypatch)
    assert given_files.basis(tmp_path / "none.json", ["scan.nii"]) == ("", [])
    (tmp_path / "none.json").write_text("{damaged")
    assert given_files.basis(tmp_path / "none.json", ["scan.nii"]) == ("", [])
    assert read == []


def test_files_that_stayed_are_not_read(scans, monkeypatch):
    read = counted(monkeypatch)
    assert given_files.basis(*scans) == ("", [])
    assert read == []


@pytest.mark.parametrize("when", [1_500_000_000, 1_600_000_000, 1_700_000_000])
def test_another_scan_of_the_same_size_is_seen_whatever_its_time(scans, when):
    record, files = scans
    write(files[1], b"scan 7", when)
    basis, replaced = given_files.basis(record, files)
    assert basis and replaced == [files[1]]
    # The parameter must be the same in the process that plans and in the one that runs.
    assert given_files.basis(record, files, refresh=True) == (basis, replaced)
    assert given_files.basis(record, files) == (basis, replaced)


def test_a_link_that_leads_elsewhere_is_seen(tmp_path):
    for name, content in (("old.nii", b"scan 1"), ("new.nii", b"scan 2")):
        write(tmp_path / name, content)
    link = tmp_path / "scan.nii"
    link.symlink_to("old.nii")
    with given_files.recorded([tmp_path / "record.json", ""], [link]):
        pass
    link.unlink()
    link.symlink_to("new.nii")
    assert given_files.basis(tmp_path / "record.json", [str(link)])[1] == [str(link)]


def test_the_basis_stays_after_the_run_and_changes_with_the_next_replacement(scans):
    record, files = scans
    bases = [""]
    for content in (b"scan 7", b"scan 0", b"scan 7"):  # there, back, and there again
        write(files[0], content)
        basis, replaced = given_files.basis(record, files)
        assert replaced == [files[0]] and basis not in bases
        bases.append(basis)
        with given_files.recorded([record, basis], files):
            pass
        assert given_files.basis(record, files) == (basis, [])


def test_a_copy_with_other_times_is_read_once(scans, monkeypatch):
    record, files = scans
    write(files[0], b"scan 0", 1_500_000_000)
    read = counted(monkeypatch)
    for _ in range(3):
        assert given_files.basis(record, files, refresh=True) == ("", [])
    assert read == [files[0]]


def test_a_file_replaced_while_it_was_read_is_seen_the_next_time(scans):
    record, files = scans
    known = {file: sha256(file) for file in files}
    with given_files.recorded([record, ""], files) as checksums:
        checksums |= known
        write(files[1], b"scan 7")
    assert given_files.basis(record, files)[1] == [files[1]]


def test_a_job_that_fails_leaves_the_record(scans):
    record, files = scans
    before = record.read_text()
    write(files[1], b"scan 7")
    with pytest.raises(ValueError), given_files.recorded([record, "x"], files):
        raise ValueError
    assert record.read_text() == before


def test_a_file_that_is_gone_is_for_others_to_name(scans):
    record, files = scans
    Path(files[0]).unlink()
    assert given_files.basis(record, [*files, "new.nii"]) == ("", [])
