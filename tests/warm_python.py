"""Python processes that begin with what takes seconds to import, for tests that start many.

`python warm_python.py SOCKET` imports libraries, none of this repository's code, and then forks
for each program that it is asked to run: as `python PROGRAM ARGUMENTS` would, in the folder, with
the environment and the files of who asked. `WarmPython` is that process for a whole run of tests.
A program that is killed together with those that it started is better run by `subprocess`.
"""

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

LIBRARIES = (
    *("snakemake.cli", "snakemake.script", "snakemake.executors.local", "snakemake.dag"),
    *("torch", "scipy.ndimage", "scipy.interpolate", "scipy.stats", "scipy.optimize"),
    *("pandas", "nibabel", "jsonschema", "safetensors.torch", "psutil", "requests", "tqdm"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
    *("PIL.Image", "PIL.PngImagePlugin", "skimage.filters", "numpy.random"),
)
#: What stands for Python where Snakemake starts its jobs: asks the process at a socket.
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    text = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    asked.sendmsg(
        [len(text).to_bytes(8, "big")],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))],
    )
    asked.sendall(text)
    code = asked.recv(8)
sys.exit(int(code or b"1"))
"""


class WarmPython:
    """The process that forks, started when it is first asked."""

    def __init__(self) -> None:
        self.process = None

    def run(self, command: list[str], env: dict[str, str], folder: str | Path) -> tuple[int, str]:
        """Run `python COMMAND` and wait; return its exit code and all that it printed."""
        if self.process is None:
            self._start()
        with tempfile.TemporaryFile() as printed:
            done = subprocess.run(
                [self.client, *command],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=folder,
            )
            printed.seek(0)
            return done.returncode, printed.read().decode()

    def _start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="warm-")
        address = str(Path(self.folder.name) / "socket")
        self.client = str(Path(self.folder.name) / "python")
        Path(self.client).write_text(CLIENT.format(python=sys.executable, address=address))
        Path(self.client).chmod(0o700)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        threads["OMP_WAIT_POLICY"] = "passive"  # threads that spin would hold up other tests
        self.process = subprocess.Popen(
            [sys.executable, __file__, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | threads,
        )
        assert self.process.stdout.readline() == b"ready\n"
        atexit.register(self.close)

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def serve(address: str) -> tuple[list[str], dict[str, str]]:
    """Fork for everyone who asks; return the arguments and the environment in every fork."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    running: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    events = selectors.DefaultSelector()
    for source in (listener, woken, 0):
        events.register(source, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        sources = {key.fileobj for key, _ in events.select()}
        if 0 in sources:  # who started this process has closed its end
            os._exit(0)
        if woken in sources:
            os.read(woken, 4096)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    with running.pop(ended[0]) as asked, contextlib.suppress(OSError):
                        asked.sendall(str(_code(ended[1])).encode())
        if listener not in sources:
            continue
        asked = listener.accept()[0]
        arguments, folder, environment, files = _request(asked)
        if child := os.fork():
            running[child] = asked
            for file in files:
                os.close(file)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        events.close()
        for held in (asked, listener, *running.values()):
            held.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(folder)
        return arguments, environment


def _request(asked: socket.socket) -> tuple[list[str], str, dict[str, str], array.array]:
    files = array.array("i")
    size, found, _, _ = asked.recvmsg(8, socket.CMSG_SPACE(3 * files.itemsize))
    files.frombytes(found[0][2])
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += asked.recv(2**20)
    return *json.loads(text), files


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def become(arguments: list[str], environment: dict[str, str], client: str) -> None:
    """Run a program in this process."""
    os.environ.clear()
    os.environ.update(environment)
    program, *rest = arguments
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = ["" if program == "-m" else str(Path(program).parent), *paths]
    importlib.invalidate_caches()
    code: object = 0
    try:
        if program == "-m":
            sys.argv = rest
            if rest[0] == "snakemake":
                sys.executable = client  # its jobs are forks, too
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    # All that an interpreter does at its end, but for taking thousands of modules apart.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # what is never collected is never copied
    asked_for = serve(sys.argv[1])
    become(*asked_for, str(Path(sys.argv[1]).with_name("python")))
