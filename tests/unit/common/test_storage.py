"""Disks that are full or read-only are named, with what to do."""

import errno
import logging
import os

import pytest

from mrisr.common.errors import InputError
from mrisr.common.files import atomic, write_text
from mrisr.common.progress import job
from mrisr.common.storage import check_writable, storage_problem
from mrisr.train.checkpoints import Checkpoints


@pytest.fixture
def full(monkeypatch):
    """A disk that is full when the content of a file is flushed."""

    def fsync(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_file_on_a_full_disk_is_named_and_the_old_one_stays(tmp_path, full, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OSError) as caught:
        write_text(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    told = storage_problem(caught.value)
    assert told == f"{target}: no space left on the device; free some space"


def test_a_job_tells_of_a_full_disk_without_a_traceback(tmp_path, full, capsys, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", True)
    handlers = logging.getLogger().handlers[:]
    try:
        with pytest.raises(SystemExit), job(tmp_path / "a.log"):
            write_text(tmp_path / "a.txt", "new")
    finally:
        logging.getLogger().handlers[:] = handlers
    told = f"error: {tmp_path}/a.txt: no space left on the device; free some space, then run again"
    assert capsys.readouterr().err.strip() == told
    assert told in (tmp_path / "a.log").read_text()


def test_a_checkpoint_that_does_not_fit_leaves_those_before(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, "same")
    checkpoints.save({"step": 1})
    checkpoints.save({"step": 2})

    def fsync(number):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"checkpoint\.pt"):
        checkpoints.save({"step": 3})
    assert checkpoints.load()["step"] == 2


def test_an_error_that_is_no_disks_fault_keeps_its_traceback(tmp_path):
    assert storage_problem(FileNotFoundError(errno.ENOENT, "no such file")) is None


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file/results: cannot be written"):
        check_writable(tmp_path / "file" / "results")


def test_atomic_says_which_file_it_was(tmp_path):
    with pytest.raises(OSError, match=r"wanted\.txt"), atomic(tmp_path / "wanted.txt"):
        raise OSError(errno.ENOSPC, "full")
