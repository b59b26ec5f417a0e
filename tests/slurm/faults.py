#!/usr/bin/env python3
"""Everything that can go wrong on a cluster, done to a real one: what is seen, what helps.

    faults.py [NAME ...]           all faults, or some, as a Markdown table (root, slurm-wlm, munge)
    faults.py --here [NAME ...]    those that need no cluster, on this machine alone
    faults.py --folder DIR ...     takes up what an earlier call prepared there, and keeps it

Each fault meets a tiny study in the middle of its work. Files are then read (nothing half-written
may have a final name), the recovery is done as documented, and all tables are compared with those
of a study that nothing disturbed. Exit code 1 if a byte differs.
"""

import argparse
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow")]

from slurm.cluster import Cluster  # noqa: E402
from slurm.lab import Clone, Run, script_process, slurm, until  # noqa: E402
from tiny_study import TinyStudy  # noqa: E402

# 80 steps: with a rest of 0.25 s a training takes half a minute, with a checkpoint a step.
TRAIN, SCRIPT = "train_toy_patient", "train.py"
# What runs on the cluster; the rest of the study follows on this machine.
MODELS = ("models",)
CUBIC = "results/tiny/metrics/tiny/cubic/x2.csv"
SR = [f"results/tiny/sr/tiny/toy_patient/x2/sub-{number}.nii.gz" for number in ("04", "05")]
# Rests after it was taken, so that an evaluation can be ended between two subjects.
METRIC = """
import os
import time

from mrisr.metrics._metadata import Metadata

METADATA = Metadata("Patience", "", "", (0, 1), True, ("volume",), "")


def patience(reference, image, mask=None):
    time.sleep(float(os.environ.get("TOY_REST", 0)))
    return 1.0
"""


@dataclass(frozen=True)
class Fault:
    """A thing that goes wrong.

    Attributes:
        name: For the command line.
        what: What goes wrong.
        done: How it was brought about.
        recovery: What helps.
        act: Does it all, to a clone whose inputs are prepared; returns the lines that a user sees.
        trained: Whether its network is trained too.
        cluster: Whether it needs one.
    """

    name: str
    what: str
    done: str
    recovery: str
    act: Callable[["Bench"], str]
    trained: bool = False
    cluster: bool = True


class Bench:
    """A clone to be broken, and the cluster that its jobs run on; None for this machine."""

    def __init__(self, clone: Clone, cluster: Cluster | None):
        self.clone, self.cluster = clone, cluster
        self.where = {"slurm": cluster is not None}

    def training(self, *arguments: str, rest: float = 0.25) -> Run:
        """Start the study, and return when the training has two checkpoints."""
        run = self.clone.start(*arguments, targets=MODELS, rest=rest, **self.where)
        folder = self.clone.results / ".staging/models/toy_patient/x2"
        run.until((folder / "checkpoint.before.pt").exists, "two checkpoints")
        return run

    def read(self) -> None:
        """Fail if a file with a final name is not whole."""
        assert not self.clone.unusable(), self.clone.unusable()

    def continued(self) -> None:
        """Fail if the training began anew."""
        log = (self.clone.results / "logs/models/toy_patient/x2.log").read_text()
        assert "continuing after step" in log, log

    def kill(self, run: Run) -> None:
        """Kill Snakemake, and end its Slurm jobs."""
        run.kill()
        if self.cluster is not None:
            slurm("scancel", "--name", run.run_id)
            done = partial(slurm, "squeue", "--noheader", "--name", run.run_id)
            until(lambda: not done(), "the end of its jobs")

    def again(self, *arguments: str, check: bool = True, targets: Sequence[str] = MODELS) -> Run:
        """Type the same command again, without a rest between steps."""
        retype = ("--rerun-incomplete", *arguments)
        return self.clone.run(*retype, targets=targets, check=check, **self.where)


def shown(run: Run, pattern: str) -> str:
    """Return the first thing that a run printed that fits a pattern."""
    found = re.search(pattern, run.output)
    assert found, f"not printed: {pattern}\n{run.output}"
    return " ".join(found[0].split())


def time_limit(bench: Bench) -> str:
    run = bench.training("--set-resources", f"{TRAIN}:runtime=1", "--retries", "0", rest=1)
    assert run.wait() != 0
    bench.read()
    bench.again()
    bench.continued()
    return shown(run, r"SLURM status is: 'TIMEOUT'")


def _retried(
    disturb: Callable[[Bench, Run], None], seen: str, told: str | None = None
) -> Callable[[Bench], str]:
    """Return a fault after which nothing has to be done.

    Args:
        disturb: Brings it about.
        seen: Pattern of what Snakemake prints.
        told: What stands for it in the table.
    """

    def act(bench: Bench) -> str:
        run = bench.training()
        disturb(bench, run)
        bench.read()
        assert run.wait() == 0, run.output
        bench.continued()
        printed = shown(run, seen)
        return told or printed

    return act


def kill_job(bench: Bench, run: Run) -> None:
    process = script_process(bench.clone.folder, SCRIPT)
    assert process, "the training's process was not found"
    process.kill()


def kill_snakemake(bench: Bench) -> str:
    run = bench.training()
    run.kill()
    bench.read()
    assert slurm("squeue", "--noheader", "--name", run.run_id), "its Slurm jobs did not go on"
    slurm("scancel", "--name", run.run_id)
    until(lambda: not slurm("squeue", "--noheader", "--name", run.run_id), "the end of its jobs")
    locked = bench.again(check=False)
    seen = shown(locked, "LockException")
    bench.again("--unlock")
    bench.again()
    bench.continued()
    return f"nothing; at the next call {seen}"


def orphan(bench: Bench) -> str:
    run = bench.training(rest=1.5)
    run.kill()
    bench.again("--unlock")
    second = bench.clone.start(targets=MODELS)
    log = bench.clone.folder / f"results/logs/slurm/rule_{TRAIN}/2"
    waits = re.compile("waiting for Slurm job [^;]*")

    def found() -> str | None:
        texts = [file.read_text() for file in sorted(log.glob("*.log"))]
        return next((m[0] for text in texts if (m := waits.search(text))), None)

    second.until(found, "word of the orphan")
    bench.read()
    assert second.wait() == 0, second.output
    return f"in the new job's log: {found()}"


def kill_cluster(bench: Bench) -> str:
    run = bench.training()
    bench.cluster.kill()
    bench.read()
    time.sleep(5)
    bench.cluster.start()
    assert run.wait() == 0, run.output
    bench.continued()
    status = re.search(r"SLURM status is: '\w+'", run.output)
    return status[0] if status else "nothing: Slurm runs the lost job again"


def lose_node(bench: Bench) -> str:
    run = bench.training()
    number = run.job(TRAIN)
    bench.cluster.kill("gpu1")
    bench.read()
    until(lambda: "down" in bench.cluster.state("gpu1"), "word that the node is down")
    state = slurm("squeue", "--noheader", "--states=all", "--format=%T", "--job", number)
    bench.cluster.start()
    assert run.wait() == 0, run.output
    bench.continued()
    return f"`squeue`: {state}; `sinfo`: the node is down"


def requeue(bench: Bench, run: Run) -> None:
    slurm("scontrol", "requeue", run.job(TRAIN))


def full_disk(bench: Bench) -> str:
    return _on_small_disk(bench, lambda: bench.training(rest=0.1), MODELS)


def full_disk_reconstructing(bench: Bench) -> str:
    return _on_small_disk(bench, lambda: _reconstructing(bench), SR)


def _reconstructing(bench: Bench) -> Run:
    """Start a reconstruction, and return when one of two subjects is finished."""
    run = bench.clone.start("--rerun-incomplete", targets=SR, rest=2, **bench.where)
    run.until(lambda: _staged(bench), "a finished subject")
    return run


def _staged(bench: Bench) -> list[Path]:
    folder = bench.clone.results / ".staging/sr/tiny/toy_patient/x2"
    return [path for path in folder.glob("*sub-*.nii.gz") if not path.name.startswith(".")]


def kill_reconstruct(bench: Bench) -> str:
    run = _reconstructing(bench)
    (first,) = _staged(bench)
    inode = first.stat().st_ino
    seen = _killed(bench, run, "reconstruct.py", SR)
    name = first.name.split(".", 1)[1]
    final = bench.clone.results / "sr/tiny/toy_patient/x2" / name
    assert final.stat().st_ino == inode, "the subject that was finished was made again"
    return seen


def kill_evaluate(bench: Bench) -> str:
    log = bench.clone.results / "logs/metrics/tiny/cubic/x2.log"
    pieces = re.compile(r"evaluate: \d+ of (\d+)")
    every = int(pieces.findall(log.read_text())[-1])
    (bench.clone.folder / CUBIC).unlink()
    run = bench.clone.start("--rerun-incomplete", targets=[CUBIC], rest=10, **bench.where)
    folder = bench.clone.results / ".staging/metrics/tiny/cubic/x2"
    run.until(lambda: list(folder.glob("[!.]*sub-04.csv")), "a finished subject")
    seen = _killed(bench, run, "evaluate.py", [CUBIC])
    left = int(pieces.findall(log.read_text())[-1])
    assert 0 < left < every, f"{left} of {every}: the subject that was finished was taken again"
    return seen


def _killed(bench: Bench, run: Run, script: str, targets: Sequence[str]) -> str:
    """Kill the process of a job, and see it run once more; by hand without a cluster."""
    process = script_process(bench.clone.folder, script)
    assert process, f"the process of {script} was not found"
    process.kill()
    bench.read()
    code = run.wait()
    if bench.cluster is not None:
        assert code == 0, run.output
        return shown(run, r"SLURM status is: 'FAILED'")
    assert code != 0, run.output
    bench.again(targets=targets)
    return shown(run, r"Error in rule \w+|died with <Signals.SIGKILL: 9>")


def two_checkouts(bench: Bench) -> str:
    other = bench.clone.copy(bench.clone.folder.with_name("other-checkout"))
    shutil.rmtree(other.folder / "results")
    (other.folder / "results").symlink_to(bench.clone.folder / "results")
    try:
        first = bench.training(rest=2)
        second = other.run("--rerun-incomplete", targets=MODELS, check=False, **bench.where)
        assert second.process.returncode != 0, second.output
        bench.read()
        assert first.wait() == 0, first.output
        other.run(targets=MODELS, **bench.where)
        return shown(second, ".*another Snakemake works on it.*")
    finally:
        other.end()
        shutil.rmtree(other.folder)


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            return


def _on_small_disk(bench: Bench, begin: Callable[[], Run], targets: Sequence[str]) -> str:
    disk = bench.clone.folder / "results"
    aside = bench.clone.folder / "aside"
    disk.rename(aside)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    try:
        shutil.copytree(aside, disk, dirs_exist_ok=True)
        run = begin()
        _fill(disk)
        assert run.wait() != 0, run.output
        bench.read()
        logs = "".join(file.read_text() for file in disk.rglob("*.log"))
        seen = re.search(".*error: .*no space left.*", run.output + logs, re.IGNORECASE)
        assert seen, run.output + logs
        (disk / "filler").unlink()
        bench.again(targets=targets)
        aside = bench.clone.folder / "kept"
        shutil.copytree(disk, aside)
        return seen[0].strip()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        if (bench.clone.folder / "kept").exists():
            disk.rmdir()
            (bench.clone.folder / "kept").rename(disk)


def read_only(bench: Bench) -> str:
    disk = bench.clone.folder / "results"
    subprocess.run(["mount", "--bind", disk, disk], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        run = bench.again(check=False)
        assert run.wait() != 0, run.output
        bench.read()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    bench.again()
    return shown(run, ".*the file system is read-only.*")


def _flip(path: Path, place: float) -> None:
    """Change one bit of a file, and give it its time back."""
    about, content = path.stat(), bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def damaged_checkpoint(bench: Bench) -> str:
    run = bench.training()
    bench.kill(run)
    _flip(bench.clone.results / ".staging/models/toy_patient/x2/checkpoint.pt", 0.5)
    bench.again("--unlock")
    bench.again()
    bench.continued()
    log = (bench.clone.results / "logs/models/toy_patient/x2.log").read_text()
    seen = re.search(r"damaged \(its checksum .*taking the one before", log)
    assert seen, log
    return f"in the training's log: {seen[0]}"


def _damaged(name: str, place: float) -> Callable[[Bench], str]:
    """Return the fault of one flipped bit in a result that others read."""

    def act(bench: Bench) -> str:
        _flip(bench.clone.results / name, place)
        run = bench.clone.run(slurm=False, check=False)
        assert run.wait() != 0, run.output
        (bench.clone.results / name).unlink()
        return shown(run, ".*changed since it was made.*")

    return act


def clock_jump(bench: Bench) -> str:
    model = bench.clone.results / "models/toy_patient/x2"
    before = (model / "model.safetensors").read_bytes()

    def age() -> None:
        for file in model.iterdir():
            os.utime(file, (0, 0))

    age()
    bench.again()
    assert (model / "model.safetensors").read_bytes() == before
    log = (bench.clone.results / "logs/models/toy_patient/x2.log").read_text()
    seen = re.search("this very training was finished before; its model is taken from", log)
    assert seen, log
    age()
    bench.again("--touch")
    run = bench.again()
    assert "Nothing to be done" in run.output, run.output
    return f"in the training's log: {seen[0]} ..."


AGAIN = "the same command"
FAULTS = [
    Fault("time-limit", "time limit of a training", "`runtime=1`, one minute", AGAIN, time_limit),
    Fault(
        "scancel",
        "a job cancelled",
        "`scancel` of the training",
        "none: it runs once more",
        _retried(
            lambda bench, run: slurm("scancel", run.job(TRAIN)), "SLURM status is: 'CANCELLED'"
        ),
    ),
    Fault(
        "sigterm",
        "SIGTERM to a training",
        "`scancel --signal=TERM`",
        "none: it runs once more",
        _retried(
            lambda bench, run: slurm("scancel", "--signal=TERM", run.job(TRAIN)),
            "SLURM status is: 'FAILED'",
        ),
    ),
    Fault(
        "sigusr1",
        "SIGUSR1 to a training",
        "`scancel --signal=USR1`",
        "none: it runs once more",
        _retried(
            lambda bench, run: slurm("scancel", "--signal=USR1", run.job(TRAIN)),
            "SLURM status is: 'FAILED'",
        ),
    ),
    Fault(
        "kill-job",
        "a job killed",
        "`kill -9` of the training's process",
        "none: it runs once more",
        _retried(kill_job, "SLURM status is: 'FAILED'"),
    ),
    Fault(
        "preempted",
        "a job preempted",
        "`scontrol requeue` of the training",
        "none: it waits in the queue, and continues",
        _retried(
            requeue,
            r"Finished jobid: \d+ \(Rule: train_toy_patient\)",
            "nothing: `squeue` shows it PENDING for two minutes, then RUNNING",
        ),
    ),
    Fault(
        "kill-snakemake",
        "Snakemake killed",
        "`kill -9`; its Slurm jobs go on",
        "`scancel --name <SLURM run ID>`, `--unlock`, the same command",
        kill_snakemake,
    ),
    Fault(
        "orphan",
        "Snakemake killed, its jobs not cancelled",
        "`kill -9`, `--unlock`, and at once the same command: two writers",
        "none: the new job waits for the old one",
        orphan,
    ),
    Fault(
        "kill-cluster",
        "the whole cluster lost",
        "`kill -9` of all daemons and jobs; started again",
        "none while Snakemake runs",
        kill_cluster,
    ),
    Fault(
        "lose-node",
        "a node vanishes",
        "`kill -9` of its daemon and jobs; it comes back",
        "none: Slurm runs the job again",
        lose_node,
    ),
    Fault(
        "full-disk",
        "a full disk",
        "`results` on a tmpfs that fills up while a network is trained",
        "free some space, the same command",
        full_disk,
        cluster=False,
    ),
    Fault(
        "full-disk-reconstructing",
        "a full disk, later",
        "the same while a subject is reconstructed",
        "free some space, the same command",
        full_disk_reconstructing,
        trained=True,
        cluster=False,
    ),
    Fault(
        "kill-reconstruct",
        "a reconstruction killed",
        "`kill -9` of its process after one of two subjects",
        "none: it runs once more, and goes on after that subject",
        kill_reconstruct,
        trained=True,
        cluster=False,
    ),
    Fault(
        "kill-evaluate",
        "an evaluation killed",
        "`kill -9` of its process after one of two subjects",
        "none: it runs once more, and goes on after that subject",
        kill_evaluate,
        cluster=False,
    ),
    Fault(
        "two-checkouts",
        "two checkouts with one results folder",
        "`results` of another is a link; both are started",
        "the same command, when the first is done",
        two_checkouts,
        cluster=False,
    ),
    Fault(
        "read-only",
        "a read-only results folder",
        "`results` mounted read-only",
        "mount it for writing, the same command",
        read_only,
        cluster=False,
    ),
    Fault(
        "damaged-checkpoint",
        "a damaged checkpoint",
        "`kill -9`, one bit of `checkpoint.pt` flipped, its time kept",
        "`--unlock`, the same command: it continues from the checkpoint before",
        damaged_checkpoint,
        cluster=False,
    ),
    Fault(
        "damaged-model",
        "a damaged model",
        "one bit of `model.safetensors` flipped, its time kept",
        "delete it, the same command",
        _damaged("models/toy_patient/x2/model.safetensors", 0.9),
        trained=True,
        cluster=False,
    ),
    Fault(
        "damaged-metrics",
        "an edited number",
        "one bit of a metrics CSV flipped, its time kept",
        "delete it, the same command",
        _damaged("metrics/tiny/cubic/x2.csv", 0.9),
        trained=True,
        cluster=False,
    ),
    Fault(
        "clock-jump",
        "the clock jumped back",
        "a finished model dated to 1970",
        "none: its model is taken up again; or `snakemake --touch`",
        clock_jump,
        trained=True,
        cluster=False,
    ),
]


def prepare(folder: Path) -> tuple[Clone, Clone, dict[str, bytes]]:
    """Return two clones of one study, and the tables it should end with.

    Inputs of the first are prepared, the network of the second is trained too. What is in the
    folder already is taken up.
    """
    kept = folder / "prepared.pickle"
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    study = TinyStudy(
        folder / "study",
        methods={"cubic": None, "toy_patient": None},
        baseline="cubic",
        metrics=["psnr", "patience"],
        regions=["volume"],
    )
    (study.plugins / "metrics").mkdir()
    (study.plugins / "metrics/patience.py").write_text(METRIC)
    clone = Clone(folder / "clone", study)
    clone.run(targets=(CUBIC, "results/tiny/sources/checked"), slurm=False)
    trained = clone.copy(folder / "trained")
    trained.run(targets=MODELS, slurm=False)
    undisturbed = trained.copy(folder / "undisturbed")
    undisturbed.run(slurm=False)
    for each in (clone, trained):
        each.runs.clear()  # processes
    made = clone, trained, undisturbed.tables()
    kept.write_bytes(pickle.dumps(made))
    return made


def main() -> None:
    """Run the faults that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(f.name for f in FAULTS))
    parser.add_argument("--here", action="store_true", help="without a cluster, what needs none")
    parser.add_argument("--folder", type=Path, help="take up what was prepared there, and keep it")
    parser.add_argument("--keep", action="store_true", help="keep the clones, to look at")
    given = parser.parse_args()
    wanted = [f for f in FAULTS if not given.names or f.name in given.names]
    wanted = [f for f in wanted if not (given.here and f.cluster)]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mrisr-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    cluster, wrong = None if given.here else Cluster(folder / "cluster"), 0
    if cluster:
        cluster.start()
    try:
        clone, trained, expected = prepare(folder)
        print("| fault | what was done | what the user sees | recovery | bytes equal |")
        print("|---|---|---|---|---|", flush=True)
        for fault in wanted:
            mine = (trained if fault.trained else clone).copy(folder / fault.name)
            seen, equal = "", "no"
            try:
                seen = fault.act(Bench(mine, cluster))
                mine.run(slurm=False)
                unusable = mine.unusable()
                equal = "yes" if mine.tables() == expected and not unusable else f"no {unusable}"
            except Exception as error:
                print(f"{fault.name}: {type(error).__name__}: {error}", file=sys.stderr)
            finally:
                mine.end()
            wrong += equal != "yes"
            print(f"| {fault.what} | {fault.done} | {seen} | {fault.recovery} | {equal} |")
            sys.stdout.flush()
    finally:
        if cluster:
            cluster.stop()
        if not (given.keep or given.folder):
            shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
