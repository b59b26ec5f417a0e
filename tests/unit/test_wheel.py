"""What `pip install .` brings: the package with the workflow inside, which runs in any folder."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml

from tiny_study import LEAST, ROOT

LEFT_OUT = {"__pycache__", "mrisr", "demo-report.html"}
COPIED = ("workflow", "config", "profiles", "slurm", "envs", "docs", "examples")
BUILD = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
FACTS = """
from mrisr.common import paths, provenance
from mrisr.data import datasets
from mrisr.methods import method, shipped
print(paths.ROOT, provenance.commit(), *(bool(n) for n in (datasets.names([]), method.names())))
print(shipped.weights_file(shipped.DEFAULT, 'x'))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that a wheel of this project, built from a copy, is unpacked in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        shutil.copytree(ROOT / name, source / name, ignore=left_out)
    for file in ROOT.iterdir():
        if file.is_file() and file.name != ".git":
            shutil.copy(file, source)
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def called(site, folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_workflow_is_inside_and_the_package_is_there_once(site):
    files = site / "mrisr/_files"
    for name in COPIED:
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / name).rglob("*")
            if path.is_file() and not LEFT_OUT & {*path.parts[len(ROOT.parts) :]}
        }
        found = {str(p.relative_to(files)) for p in (files / name).rglob("*") if p.is_file()}
        assert found == {path for path in wanted if ".egg-info" not in path}
        assert found
    assert (files / "Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    assert not (files / "workflow/mrisr").exists() and (site / "mrisr/cli/run.py").exists()


def test_a_study_is_planned_from_it_in_an_empty_folder(site, tmp_path):
    done = called(site, tmp_path, "-c", FACTS)
    assert done.returncode == 0, done.stderr
    facts, weights = done.stdout.splitlines()
    assert facts.split() == [str(site / "mrisr/_files"), "unknown", "True", "True"]
    assert weights.startswith(str(site / "mrisr/_files/workflow/weights"))

    (tmp_path / "config").mkdir()
    (tmp_path / "config/least.yaml").write_text(yaml.safe_dump({**LEAST, "study": "least"}))
    words = ("-m", "mrisr.cli.main", "run", "least", "--", "dataset_terms", "-n")
    done = called(site, tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^dataset_terms +1$", done.stdout, re.M)
    (link,) = (tmp_path / ".snakemake/mrisr").glob("installed-*/*")
    assert link.name == "mrisr" and link.resolve() == site / "mrisr"
