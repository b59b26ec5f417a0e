"""Downloads that would fill the disk."""

from collections import namedtuple

import pytest

from mrisr.common import http


@pytest.mark.parametrize(("size", "message"), [(None, "the server sends more"), (1000, "to come")])
def test_the_disk_is_never_filled(tmp_path, monkeypatch, size, message):
    usage = namedtuple("usage", "free")(http.RESERVE + 500)
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: usage)
    part, endless = tmp_path / "scan.part", iter(lambda: bytes(100), None)
    with pytest.raises(http.DownloadError, match=message):
        http.receive(endless, part, "https://example.org/scan", size)
    assert not part.exists() or part.stat().st_size <= 600
    http.receive([bytes(400)], part, "https://example.org/scan", 400)
    assert part.stat().st_size == 400
