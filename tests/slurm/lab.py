"""A clone of the workflow with a tiny study, to run on Slurm and to break."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import pandas as pd
import psutil
from safetensors.numpy import load_file

from tiny_study import ROOT, WARM, TinyStudy, environment

CLONED = ("Snakefile", "workflow", "config", "envs", "slurm", "profiles")
# Status checks that are right for jobs of seconds.
HASTE = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")
PATIENCE = 600


class Clone:
    """The workflow in a folder of its own, and the study that is run there.

    Commands are typed in the clone's folder, as a user types them; results appear there too.
    """

    def __init__(self, folder: str | Path, study: TinyStudy):
        self.folder, self.study, self.runs = Path(folder), study, []
        self.folder.mkdir(parents=True)
        for name in CLONED:
            target = self.folder / name
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, target)
        study.command()  # writes its config

    def copy(self, folder: str | Path) -> "Clone":
        """Return another clone with all that was done in this one."""
        other = object.__new__(Clone)
        other.folder, other.study, other.runs = Path(folder), self.study, []
        shutil.copytree(self.folder, other.folder, symlinks=True)
        return other

    @property
    def results(self) -> Path:
        """The study's results."""
        return self.folder / "results" / self.study.config["study"]

    def tables(self) -> dict[str, bytes]:
        """Return the bytes of every table."""
        return {file.name: file.read_bytes() for file in sorted(self.results.glob("tables/*"))}

    def start(
        self,
        *arguments: str,
        targets: Sequence[str] = ("tables",),
        rest: float = 0,
        slurm: bool = True,
        python: str = sys.executable,
    ) -> "Run":
        """Start Snakemake, by default for the tables; `rest` slows toy_patient down."""
        profile = ("--profile", "slurm", *HASTE) if slurm else ("--cores", "1")
        config = ("--configfile", str(self.study.folder / "tiny.yaml"))
        command = [python, "-m", "snakemake", *targets, *profile, *arguments, *config]
        self.runs.append(Run(self.folder, command, rest))
        return self.runs[-1]

    def end(self) -> None:
        """Kill the Snakemakes that still run."""
        for run in self.runs:
            if run.process.poll() is None:
                run.kill()

    def run(self, *arguments: str, check: bool = True, **options) -> "Run":
        """Run Snakemake to its end, with the options of `start`."""
        python = sys.executable if options.get("slurm", True) else WARM.executable
        run = self.start(*arguments, python=python, **options)
        code = run.wait()
        assert not check or code == 0, run.output
        return run

    def unusable(self) -> list[str]:
        """Return the files under a final name that do not load completely; empty if all is well."""
        bad = []
        for path in self.results.rglob("*"):
            inside = path.relative_to(self.results).parts
            if not path.is_file() or inside[0] in ("logs", "benchmarks"):
                continue
            if any(part.startswith(".") for part in inside):
                continue
            try:
                _read(path)
            except Exception as error:
                bad.append(f"{path.relative_to(self.results)}: {type(error).__name__}: {error}")
        return bad


class Run:
    """A Snakemake that runs in a clone."""

    def __init__(self, folder: Path, command: list[str], rest: float):
        self.log = folder / f"output{len(list(folder.glob('output*.txt')))}.txt"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment() | {"TOY_REST": str(rest)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    @property
    def run_id(self) -> str:
        """The name that all its Slurm jobs have."""
        return re.search("SLURM run ID: (\\S+)", self.output)[1]

    def job(self, rule: str) -> str:
        """Return the number of the last Slurm job of a rule."""
        return re.findall(rf"jobid (\d+) \(log: \S+/rule_{rule}/", self.output)[-1]

    def until(self, happened, what: str) -> None:
        """Wait until something happened; fail if Snakemake ends before."""
        until(lambda: happened() or self.process.poll() is not None, what)
        assert happened(), f"Snakemake ended before: {what}\n{self.output}"

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"never ended: {self.output}") from None

    def kill(self) -> None:
        """End it, and what it runs on this machine itself, by SIGKILL."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def until(happened, what: str) -> None:
    """Wait until something happened."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)


def script_process(folder: Path, script: str) -> psutil.Process | None:
    """Return the process that runs a script of the workflow in a folder."""
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if script in line and "/bin/sh" not in line and Path(process.cwd()) == folder:
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return None


def slurm(*command: str) -> str:
    """Run a command of Slurm; return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def about_job(number: str) -> dict[str, str]:
    """Return what scontrol knows of a job."""
    return dict(re.findall(r"(\w+)=(\S*)", slurm("scontrol", "show", "job", number)))


def _read(path: Path) -> None:
    if path.name.endswith(".nii.gz"):
        with gzip.open(path) as file:
            file.read()
        nib.load(path).get_fdata()
    elif path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix in (".csv", ".tsv"):
        pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    elif path.name != "checked" and not path.read_bytes():
        raise ValueError("empty")
