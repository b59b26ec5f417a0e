"""Pins, profiles and workflow files agree with each other."""

import ast

import yaml

from tiny_study import ROOT


def pins(lines):
    return {line.strip() for line in lines if line.strip() and not line.strip().startswith("#")}


def test_conda_environments_pin_what_requirements_pin():
    wanted = pins((ROOT / "requirements.txt").read_text().splitlines())
    assert all("==" in pin for pin in wanted)
    extra = pins((ROOT / "requirements-bm3d.txt").read_text().splitlines())
    for file in (ROOT / "envs").glob("*.yaml"):
        content = yaml.safe_load(file.read_text())
        (pip,) = (entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
        assert set(pip) == (wanted | extra if file.stem == "bm3d" else wanted), file.name


def test_the_package_never_imports_snakemake_and_scripts_stay_thin():
    for file in (ROOT / "workflow" / "mrisr").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "snakemake" for name in names), file
    for file in (ROOT / "workflow" / "scripts").glob("*.py"):
        assert len(file.read_text().splitlines()) < 80, file


def test_snakefile_modules_are_light():
    import subprocess
    import sys

    code = (
        "import sys; sys.path.insert(0, 'workflow'); import mrisr.study.study;"
        "print([m for m in ('torch', 'nibabel', 'scipy', 'pandas', 'skimage', 'matplotlib')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
