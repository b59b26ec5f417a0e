"""No acknowledged answer is lost or doubled, whatever happens to server, reply and disk."""

import contextlib
import http.client
import queue
import resource
import signal
import socket
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from mrisr.common.errors import InputError
from mrisr.readers.folder import ReaderStudy
from mrisr.readers.server import serve
from mrisr.readers.store import Conflict, NoSpace, Store
from reader_load import Scripted, audit, serving, together
from reader_scans import make_study, put, submission


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path, 3)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A server in a process of its own, its study, and a reader's token."""
    study = make_study(tmp_path_factory.mktemp("running"), 3)
    (one,) = readers(study, 1)
    with serving(study.folder) as (_, address):
        yield address, study, one.token


def readers(study, count):
    names = [case.name for case in study.cases]
    with Store(study, create=True) as store:
        return [Scripted(store.add_reader(f"R{n}"), names) for n in range(count)]


@contextlib.contextmanager
def in_thread(study):
    """Serve a study in this process; yield the port."""
    servers, ports = [], queue.Queue()

    class Kept(uvicorn.Server):
        def __init__(self, config):
            super().__init__(config)
            servers.append(self)

    with Store(study) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        thread = threading.Thread(
            target=serve, args=(store, "127.0.0.1", 0), kwargs={"started": ports.put}
        )
        thread.start()
        try:
            yield ports.get(timeout=60)
        finally:
            while not servers:
                time.sleep(0.01)
            servers[0].should_exit = True
            thread.join(timeout=60)


def test_a_server_that_is_killed_keeps_what_it_acknowledged(study):
    several = readers(study, 4)
    for _ in range(3):
        before = sum(len(its.kept) for its in several)
        with serving(study.folder) as (process, address):
            together(several, address, 0.2, process, least=10)
            assert process.returncode == -signal.SIGKILL
        with Store(study) as store:
            kept, lost, doubled = audit(store, several)
        assert (lost, doubled) == (0, 0) and kept > before
    assert not any(its.refused for its in several)
    assert sum(its.retried for its in several) > 0


def test_a_reply_that_is_lost_is_given_again(running):
    """The connection breaks after the request, before the reply."""
    address, study, token = running
    body = httpx.Request("PUT", address, json=submission(1, -1, number=5)).content
    host = urlsplit(address)
    head = "PUT /r/{}/answer/{} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for _ in range(3):
        with socket.create_connection((host.hostname, host.port), 5) as raw:
            said = head.format(token, "case-001") + f"Content-Length: {len(body)}\r\n\r\n"
            raw.sendall(said.encode() + body)
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        reply = put(client, token, "case-001", submission(1, -1, number=5))
        assert (reply.status_code, reply.json()["revision"]) == (200, 1)
        # Half a body, then nothing more: no answer, and no harm.
        with socket.create_connection((host.hostname, host.port), 5) as raw:
            raw.sendall((head.format(token, "case-002") + "Content-Length: 99\r\n\r\n{").encode())
        assert client.get("/health").status_code == 200
    with Store(study) as store:
        (history,) = [store.history(its) for its in store.readers()]
    assert [(its.name, its.revision) for its in history] == [("case-001", 1)]


def test_paths_as_they_come_over_the_wire_name_no_files(running):
    address, _, token = running
    for path in (
        *("/assets/../store.py", "/../../etc/passwd", "//etc/passwd", "/assets/%2e%2e/page.js"),
        *(f"/r/{token}/image/../../study.json", f"/r/{token}/../../study.json"),
    ):
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            assert connection.getresponse().status == 404, path


def test_a_body_without_end_is_cut_off(running):
    address, _, token = running
    host = urlsplit(address)
    with socket.create_connection((host.hostname, host.port), 30) as raw:
        raw.sendall(
            f"PUT /r/{token}/answer/case-001 HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(100_000):
                raw.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
            pytest.fail("all of it was taken")
    assert httpx.get(f"{address}/health", trust_env=False, timeout=30).status_code == 200


def test_half_sent_headers_are_cut_off(study, monkeypatch):
    monkeypatch.setattr("mrisr.readers.connections.HEADER_SECONDS", 0.5)
    (one,) = readers(study, 1)
    with in_thread(study) as port:
        for said in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: "):
            with socket.create_connection(("127.0.0.1", port), 30) as raw:
                raw.sendall(said)
                assert raw.recv(100) == b""
        # Also of a second request, and nobody else is.
        with socket.create_connection(("127.0.0.1", port), 30) as raw:
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
            reply = b""
            while part := raw.recv(4096):
                reply += part
            assert reply.count(b"HTTP/1.1 200") == 1
        address = f"http://127.0.0.1:{port}/r/{one.token}/"
        assert httpx.get(address, trust_env=False, timeout=30).status_code == 200


def test_a_full_disk_is_said_and_later_answers_are_taken(study):
    (one,) = readers(study, 1)
    with (
        serving(study.folder) as (process, address),
        httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
    ):
        assert put(client, one.token, "case-001", submission(1, 1)).status_code == 200
        # No file may grow: to the server that is a disk without space.
        usual = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        size = (study.folder / "answers.sqlite-wal").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, usual[1]))
        for _ in range(2):
            reply = put(client, one.token, "case-002", submission(2, 2, number=9))
            assert reply.status_code == 507 and "nothing was lost" in reply.json()["error"]
        assert client.get(f"/r/{one.token}/study").status_code == 200
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, usual)
        reply = put(client, one.token, "case-002", submission(2, 2, number=9))
        assert (reply.status_code, reply.json()["revision"]) == (200, 1)
    with Store(study) as store:
        (history,) = [store.history(its) for its in store.readers()]
    assert [(its.name, its.revision) for its in history] == [("case-001", 1), ("case-002", 1)]


def test_a_database_that_may_not_grow_refuses_and_goes_on(study):
    with Store(study, create=True) as store:
        store.add_reader("R1")
        (reader,) = store.readers()
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        scores, count = {"noise": 1, "sharpness": 1}, 0
        with pytest.raises(NoSpace, match=r"answers.sqlite: cannot be written \(.*full"):
            for count in range(500):
                store.save(reader, "case-001", f"id {count}", scores, 1, count)
        assert len(store.history(reader)) == count
        store._db.execute("PRAGMA max_page_count = 100000")
        assert store.save(reader, "case-001", f"id {count}", scores, 1, count).revision == count + 1


def test_two_processes_may_write(study):
    with Store(study, create=True) as first, Store(study) as second:
        first.add_reader("R1")
        (reader,) = second.readers()
        done, failed = [], []

        def answer(store, name):
            for _ in range(30):
                try:
                    number = len(done) + len(failed)
                    last = store.latest(reader).get("case-001")
                    store.save(
                        *(reader, "case-001", f"{name} {number} {len(done)}"),
                        *({"noise": 0, "sharpness": 0}, 1, last.revision if last else 0),
                    )
                    done.append(name)
                except Conflict:
                    failed.append(name)

        threads = [
            threading.Thread(target=answer, args=its) for its in ((first, "a"), (second, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert len(done) + len(failed) == 60
        revisions = [its.revision for its in first.history(reader)]
        assert revisions == list(range(1, len(done) + 1))


def test_a_server_that_is_told_to_stop_finishes_and_folds_its_log_in(study):
    (one,) = readers(study, 1)
    with serving(study.folder, "--behind-proxy") as (process, address):
        with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
            assert put(client, one.token, "case-001", submission()).status_code == 200
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert not said  # no address, which holds a link, no complaint
    assert sorted(path.name for path in study.folder.iterdir()) == [
        *("answers.sqlite", "images", "study.json")
    ]


def test_a_host_that_others_reach_is_warned_about(study):
    readers(study, 1)
    with serving(study.folder, "--host", "0.0.0.0") as (process, _):
        process.terminate()
        assert "without TLS" in process.communicate(timeout=60)[1]


def test_a_port_that_is_taken_is_named(study):
    with Store(study, create=True) as store, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: Address already in use; give another"):
            serve(store, "127.0.0.1", port)


def test_a_study_that_was_made_again_is_not_served_with_old_answers(study, tmp_path):
    readers(study, 1)
    other = make_study(tmp_path / "other", 3, seed=2)
    (study.folder / "study.json").write_text((other.folder / "study.json").read_text())
    for image in other.folder.glob("images/*"):
        (study.folder / "images" / image.name).write_bytes(image.read_bytes())
    with pytest.raises(InputError, match="given other cases or questions"):
        Store(ReaderStudy.load(study.folder))


def test_readers_and_databases_that_cannot_be_are_named(study, tmp_path):
    with pytest.raises(InputError, match="mrisr readers reader"):
        Store(study)
    with Store(study, create=True) as store:
        for name in ("", " a", "a\n", "x" * 101):
            with pytest.raises(InputError, match="printable"):
                store.add_reader(name)
        with pytest.raises(InputError, match="4 cases asked for, of 3"):
            store.add_reader("R1", count=4)
        assert not store.readers()
    study.answers.write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        Store(study)
    study.answers.unlink()
    sqlite3.connect(study.answers).close()  # empty: killed before the first reader
    with Store(study, create=True) as store:
        store.add_reader("R1")


def test_a_read_only_disk_is_not_called_damage(study, monkeypatch):
    readers(study, 1)
    opened = sqlite3.connect

    def read_only(path, **options):
        return opened(f"file:{path}?mode=ro", uri=True, **options)

    # In another journal mode than it is: the first that is written when it is opened.
    with contextlib.closing(opened(study.answers)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(InputError, match=r"readonly database\); make it and its folder writable"):
        Store(study)
