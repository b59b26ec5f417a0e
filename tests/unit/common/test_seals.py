"""Results that changed behind the study's back are refused by all who read them."""

import os
import subprocess
from pathlib import Path

import pytest

from mrisr.common import seals
from mrisr.common.errors import InputError


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "x2.csv"
    seals.write(path, "subject,value\n1,20.5\n")
    return path


def edit(path: Path, content: bytes) -> None:
    """Write other bytes, and give the file its time back."""
    about = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_what_was_written_is_taken_and_sha256sum_agrees(sealed):
    seals.check(sealed)
    done = subprocess.run(
        ["sha256sum", "-c", seals.path_of(sealed).name], cwd=sealed.parent, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b"subject,value\n1,29.5\n", b"subject,value\n1,20.55\n", b""])
def test_an_edited_number_is_seen_though_size_and_time_stay(sealed, content):
    seals.check(sealed)
    edit(sealed, content)
    with pytest.raises(InputError, match=r"x2\.csv: changed since it was made.*as its target"):
        seals.check(sealed)


def test_what_is_written_anew_has_a_new_seal(sealed):
    seals.write(sealed, "another\n")
    seals.check(sealed)


def test_a_file_without_a_seal_or_none_at_all_is_nobodys_business(sealed):
    seals.path_of(sealed).unlink()
    edit(sealed, b"mine")
    seals.check(sealed)
    seals.check(sealed.parent / "absent.csv")


def test_a_seal_that_is_cut_refuses(sealed):
    seals.path_of(sealed).write_text("")
    with pytest.raises(InputError, match="changed since it was made"):
        seals.check(sealed)


def test_a_large_file_is_read_once(sealed, monkeypatch):
    read = []
    monkeypatch.setattr(seals, "sha256", lambda path: read.append(path) or "0" * 64)
    sealed.write_text("subject,value\n1,20.6\n")
    for _ in range(3):
        with pytest.raises(InputError):
            seals.check(sealed)
    assert len(read) == 1
