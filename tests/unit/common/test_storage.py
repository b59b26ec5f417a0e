"""Disks that are full or read-only are named, with what to do."""

import errno
import logging
import os

import pytest

from mrisr.common.errors import InputError
from mrisr.common.files import atomic, write_text
from mrisr.common.progress import job
from mrisr.common.storage import check_replaceable, check_writable, storage_problem
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


def test_a_log_or_benchmark_of_another_user_is_named_before_work(tmp_path, monkeypatch):
    for name in ("logs/sr/x2.log", "benchmarks/sr/x2.tsv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    folders = [tmp_path / "logs", tmp_path / "benchmarks", tmp_path / "absent"]
    check_replaceable(*folders)
    monkeypatch.setattr(os, "access", lambda path, _: path.suffix != ".tsv")
    with pytest.raises(InputError, match=r"benchmarks/sr/x2.tsv: no permission; ask the owner"):
        check_replaceable(*folders)


def test_a_log_that_cannot_be_opened_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    def refused(file, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    monkeypatch.setattr(logging, "FileHandler", refused)
    with pytest.raises(SystemExit), job(tmp_path / "a.log"):
        raise AssertionError("it has no log")
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/a.log: no permission; ask the owner, or `chmod u+rw` it,"
        " then run again\n"
    )


def test_a_result_that_another_snakemake_took_away_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    handlers = logging.getLogger().handlers[:]
    try:
        with pytest.raises(SystemExit), job("a.log"):
            open("results/tiny/lr/a.nii.gz")  # noqa: PTH123, SIM115
    finally:
        logging.getLogger().handlers[:] = handlers
    told = capsys.readouterr().err
    assert told.startswith("error: results/tiny/lr/a.nii.gz: gone while this job needed it; if")
