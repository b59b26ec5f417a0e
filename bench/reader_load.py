"""The server of a reader study under load, and killed: answers per second, and what is lost.

    python bench/reader_load.py --readers 20 --seconds 10
    python bench/reader_load.py --readers 20 --kills 10

Makes a study of noise in a temporary folder (`--folder` for another disk), serves it by
`mrisr readers serve` in a process of its own, and lets readers answer as fast as they can, each
over a connection of their own. With `--kills` the server is killed (SIGKILL) while they answer, and
started again; a reader whose reply did not come gives the same answer again, as the page does.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from mrisr.readers.store import Store

ROOT = Path(__file__).parent.parent


@contextmanager
def serving(folder: Path, *options: str, **settings: Any) -> Iterator[tuple[subprocess.Popen, str]]:
    """Serve a study in a process of its own; yield the process and its address."""
    command = [
        sys.executable,
        "-m",
        "mrisr.cli.main",
        "readers",
        "serve",
        str(folder),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "NO_PROXY": "127.0.0.1"},
        text=True,
        **settings,
    )
    try:
        said = process.stdout.readline()
        found = re.search(r"http://\S+?:\d+", said)
        if not found:
            raise RuntimeError(f"the server did not start: {said}{process.stderr.read()}")
        yield process, found[0]
    finally:
        process.kill()
        process.communicate(timeout=10)


@dataclass
class Scripted:
    """A reader who answers without end.

    Attributes:
        token: Of their link.
        cases: Names of their cases.
        kept: Case, revision and scores of every answer that was acknowledged.
        times: Seconds that each of their replies took.
        retried: How many answers were given again because no reply came.
        refused: Status codes of other replies.
        waiting: The answer whose reply did not come: case, body.
    """

    token: str
    cases: list[str]
    kept: list[tuple] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    retried: int = 0
    refused: Counter = field(default_factory=Counter)
    waiting: tuple[str, dict] | None = None
    _revisions: Counter = field(default_factory=Counter)

    def answer(self, address: str, until: threading.Event) -> None:
        """Answer until told to stop, or until the server is gone."""
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            while not until.is_set():
                if self.waiting is None:
                    case = random.choice(self.cases)
                    scores = {key: random.randint(-2, 2) for key in ("noise", "sharpness")}
                    body = {
                        **{"id": str(uuid.uuid4()), "scores": scores, "seconds": 0.1},
                        "revision": self._revisions[case],
                    }
                    self.waiting = case, body
                else:
                    self.retried += 1
                case, body = self.waiting
                start = time.perf_counter()
                try:
                    reply = client.put(f"/r/{self.token}/answer/{case}", json=body)
                except httpx.TransportError:
                    return
                self.times.append(time.perf_counter() - start)
                if reply.status_code == 200:
                    self._revisions[case] += 1
                    self.kept.append((case, reply.json()["revision"], body["scores"]))
                    self.waiting = None
                else:
                    self.refused[reply.status_code] += 1


def together(
    readers: list[Scripted],
    address: str,
    seconds: float,
    process: subprocess.Popen | None = None,
    least: int = 1,
) -> float:
    """Let readers answer at once; return for how long they did.

    Args:
        readers: All of them.
        address: Of the server.
        seconds: At least that long.
        process: The server, if it is to be killed then.
        least: Answers that must have been acknowledged by then, however long it takes.
    """
    before = sum(len(its.kept) for its in readers)
    stop = threading.Event()
    threads = [threading.Thread(target=its.answer, args=(address, stop)) for its in readers]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    while sum(len(its.kept) for its in readers) < before + least and any(
        thread.is_alive() for thread in threads
    ):
        time.sleep(0.01)
    if process is not None:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    return time.perf_counter() - start


def audit(store: "Store", readers: list[Scripted]) -> tuple[int, int, int]:
    """Return how many acknowledged answers are kept, are lost, and how many answers are doubled."""
    kept = lost = doubled = 0
    ids = {store.reader(its.token).id: its for its in readers}
    for reader in store.readers():
        its = ids[reader.id]
        there = Counter(
            (a.name, a.revision, tuple(a.scores.items())) for a in store.history(reader)
        )
        said = [(case, revision, tuple(scores.items())) for case, revision, scores in its.kept]
        kept += sum(answer in there for answer in said)
        lost += sum(answer not in there for answer in said)
        # A submission that waits for its reply may be kept already, once.
        own = Counter(said)
        doubled += sum(own[answer] > 1 for answer in own)
        doubled += max(0, sum(there.values()) - len(own) - (its.waiting is not None))
    return kept, lost, doubled


def main() -> None:
    """Make a study, put it under load, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10, help="of answering, by round")
    parser.add_argument("--kills", type=int, default=0, help="rounds that end by SIGKILL")
    parser.add_argument("--folder", type=Path, help="where the study is made")
    chosen = parser.parse_args()
    sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]
    from mrisr.readers.store import Store
    from reader_scans import make_study

    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        study = make_study(Path(folder), 20)
        names = [case.name for case in study.cases]
        with Store(study, create=True) as store:
            readers = [
                Scripted(store.add_reader(f"R{n + 1}"), names) for n in range(chosen.readers)
            ]
        rounds = max(1, chosen.kills)
        print(f"{'round':>5} {'answers':>8} {'lost':>5} {'doubled':>8} {'given again':>12}")
        spent = 0.0
        for number in range(1, rounds + 1):
            seconds = random.uniform(0.3, 1.0) * chosen.seconds if chosen.kills else chosen.seconds
            with serving(study.folder) as (process, address):
                victim = process if chosen.kills else None
                spent += together(readers, address, seconds, victim, least=5 * len(readers))
            with Store(study) as store:
                kept, lost, doubled = audit(store, readers)
            again = sum(its.retried for its in readers)
            print(f"{number:>5} {kept:>8} {lost:>5} {doubled:>8} {again:>12}", flush=True)
        times = sorted(time for its in readers for time in its.times)
        print(
            f"{len(readers)} readers, {len(times)} replies in {spent:.1f} s:"
            f" {len(times) / spent:.0f} a second; median {1000 * times[len(times) // 2]:.0f} ms,"
            f" slowest {1000 * times[-1]:.0f} ms; load {os.getloadavg()[0]:.1f}"
            f" on {os.cpu_count()} cores"
        )
        refused = sum((its.refused for its in readers), Counter())
        print("other replies:", dict(refused) or "none")


if __name__ == "__main__":
    main()
