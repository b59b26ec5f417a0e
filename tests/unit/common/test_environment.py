"""Pins, profiles and workflow files agree with each other."""

import ast
import subprocess
import sys

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
    code = (
        "import sys; sys.path.insert(0, 'workflow'); import mrisr.study.study;"
        "print([m for m in ('torch', 'nibabel', 'scipy', 'pandas', 'skimage', 'matplotlib')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


#: Scripts that start twice as fast without torch, and need none of it.
WITHOUT_TORCH = (
    *("align", "check_scans", "degrade", "denoise", "fetch", "fetch_metric", "figure", "overlap"),
    *("noise_floor", "prepare", "priors", "reader_pairs", "real_lr", "real_reference", "report"),
    *("segment", "table", "terms", "volume_list"),
)


def test_jobs_that_need_no_torch_do_not_wait_for_it():
    lines = []
    for name in WITHOUT_TORCH:
        tree = ast.parse((ROOT / f"workflow/scripts/{name}.py").read_text())
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        lines += [*map(ast.unparse, imports), f"assert 'torch' not in sys.modules, '{name}'"]
    code = "\n".join(["import sys; sys.path.insert(0, 'workflow')", *lines])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(lines) > 2 * len(WITHOUT_TORCH)
