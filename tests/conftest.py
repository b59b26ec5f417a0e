"""Fixtures that all tests share."""

import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from hypothesis import settings
from scipy.ndimage import gaussian_filter

from mrisr.common import http as download
from mrisr.common.files import sha256
from mrisr.metrics import _backbone
from mrisr.volumes.io import Volume, save
from tiny_study import TinyStudy

# Tests run beside each other and beside Snakemake: many small tasks, one thread each.
torch.set_num_threads(1)
# On a busy machine an example takes as long as it takes.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
# Read once, when ANTs is first used; with more threads it does not give the same bytes twice.
ITK_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
os.environ[ITK_THREADS] = "1"


def pytest_collection_modifyitems(items):
    """Put what takes longest first, so that two processes end at about the same time."""
    items.sort(
        key=lambda item: (item.path.parent.name != "workflow", "slurm" not in item.path.name)
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Take back the threads that a command sets for its process: here that of all tests."""
    yield
    torch.set_num_threads(1)
    os.environ[ITK_THREADS] = "1"


@pytest.fixture(scope="session")
def weights():
    """The state of torchvision's AlexNet up to its classifier, random, and a stub of the rest."""
    _backbone.import_torchvision()
    from torchvision.models import alexnet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = alexnet(weights=None).features.state_dict()
    return {f"features.{name}": value for name, value in state.items()} | {
        "classifier.6.bias": torch.zeros(3)
    }


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory, weights):
    """Settings of LPIPS with a stand-in for its backbone: right in shape, untrained."""
    file = tmp_path_factory.mktemp("backbone") / "stand-in.pth"
    torch.save(weights, file)
    return {"backbone": str(file), "sha256": sha256(file)}


@pytest.fixture
def tiny_study(tmp_path):
    """Make a tiny study: `tiny_study(methods=..., scales=...)`."""
    return lambda **config: TinyStudy(tmp_path, **config)


@pytest.fixture
def noise_files(tmp_path):
    """Write volumes of noise: `noise_files(shapes, name="sub-{:02d}")` returns their paths."""

    def make(shapes, name="sub-{:02d}", smooth=0.0):
        random = np.random.default_rng(3)
        paths = [str(tmp_path / f"{name.format(i)}.nii.gz") for i in range(len(shapes))]
        for path, shape in zip(paths, shapes, strict=True):
            data = gaussian_filter(random.random(shape, dtype=np.float32), smooth)
            save(Volume(data / data.max(), np.eye(4)), path)
        return paths

    return make


class Server(ThreadingHTTPServer):
    """Files with Range support; `faults[path]` lists what goes wrong, one a request."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.files, self.faults, self.requests = {}, {}, []
        self.etags, self.software = {}, "test"
        self.go_on = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def version_string(self):
        return self.server.software

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        faults = self.server.faults.get(self.path, [])
        fault = faults.pop(0) if faults else None
        body = self.server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        if fault == "busy":
            return self.send_error(503)
        if isinstance(fault, int):
            return self.send_error(fault)
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and fault != "no range" else 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        lie = {"says less": -9, "says more": 9}.get(fault, 0)
        self.send_header("Content-Length", str(len(body) - start + lie))
        if self.path in self.server.etags:
            self.send_header("ETag", self.server.etags[self.path])
        self.end_headers()
        end = (start + len(body)) // 2 if fault == "break off" else len(body)
        if fault == "flipped":
            body = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
        if fault == "stall":
            self.wfile.write(body[start : start + 100])
            self.wfile.flush()
            self.server.go_on.wait(2)
            return
        self.wfile.write(body[start:end])


@contextmanager
def serving(monkeypatch, handler):
    """Run a server on this machine; downloads try again without a pause."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "BACK_OFF", 0.001)
    server = Server(handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(monkeypatch):
    """A web server."""
    with serving(monkeypatch, Handler) as server:
        yield server


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A stand-in for S3 that holds the bucket `brains`, and right keys to it."""
    from s3_stand_in import KEY, SECRET, S3Handler

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with serving(monkeypatch, S3Handler) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
