"""Puts the files of the workflow into the wheel: Snakefile, rules, methods, configs, docs.

They lie in `mrisr/_files` there, laid out as here (see `mrisr.common.paths`). All else about the
package is in pyproject.toml.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = ("workflow", "config", "profiles", "slurm", "envs", "docs", "examples")
FILES = ("Snakefile", "LICENSE", "requirements-bm3d.txt")
#: The package has its own place in a wheel; the rest is made by running things, or large.
LEFT_OUT = {"__pycache__", ".snakemake", "mrisr", "mrisr.egg-info", "demo-report.html"}


def workflow_files() -> Iterator[Path]:
    """Yield the files of the workflow, relative to this folder."""
    yield from map(Path, FILES)
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*")):
            path = file.relative_to(ROOT)
            if file.is_file() and not LEFT_OUT & {*path.parts}:
                yield path


def commit() -> str:
    """Return the commit of this folder, with `+changes` if files differ, or `unknown`."""
    git = ["git", "-C", str(ROOT)]
    try:
        top = subprocess.run([*git, "rev-parse", "--show-toplevel", "HEAD"], capture_output=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True
        )
    except FileNotFoundError:
        return "unknown"
    if top.returncode:
        return "unknown"
    folder, head = top.stdout.decode().split("\n")[:2]
    if Path(folder) != ROOT.resolve():  # unpacked inside of another repository
        return "unknown"
    return head + ("+changes" if changed.stdout.strip() else "")


class BuildWithWorkflow(build_py):
    """Copies the workflow beside the package; an editable install has it already."""

    def run(self) -> None:
        """Build the package, then add the files."""
        super().run()
        if self.editable_mode:
            return
        place = Path(self.build_lib) / "mrisr" / "_files"
        shutil.rmtree(place, ignore_errors=True)
        for path in workflow_files():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, place / path)
        (place / "COMMIT").write_text(f"{commit()}\n", encoding="utf-8")


setup(cmdclass={"build_py": BuildWithWorkflow})
