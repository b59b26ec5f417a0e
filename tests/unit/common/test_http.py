"""Downloads that would fill the disk, or never end."""

import socket
import threading
import time
from collections import namedtuple
from contextlib import suppress

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


@pytest.fixture
def slow():
    """Serve, a byte every 20 ms: what is sent at once, then what comes slowly; yield addresses."""
    listening, over = [], threading.Event()

    def trickle(server, at_once):
        while not over.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(at_once)
                    while not over.is_set():
                        connection.sendall(b"a")
                        time.sleep(0.02)

    def serve(at_once):
        listening.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=trickle, args=(listening[-1], at_once), daemon=True).start()
        return f"http://127.0.0.1:{listening[-1].getsockname()[1]}/scan"

    yield serve
    over.set()
    for server in listening:
        server.close()


@pytest.mark.parametrize(
    ("at_once", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", "fewer than 1000 bytes a second"),
        (b"HTTP/1.1 200 OK\r\nX: ", "no answer in time"),
    ],
)
def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_the_lock(
    slow, tmp_path, monkeypatch, at_once, message
):
    for name, value in {"SLOW_SECONDS": 0.2, "HEADER_SECONDS": 0.3, "RETRIES": 1}.items():
        monkeypatch.setattr(http, name, value)
    monkeypatch.setattr(http, "BACK_OFF", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(http.DownloadError, match=f"failed after 2 tries: {message}"):
        http.download(slow(at_once), tmp_path / "scan.part", offline="wait", absent="look")
