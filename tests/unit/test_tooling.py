"""One list of checks and of versions: what hooks, CI and pages say is what the Makefile does."""

import re
import tomllib

import yaml

import mrisr
from tiny_study import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
PINS = {
    line.split("==")[0]
    for file in ("requirements.txt", "requirements-dev.txt")
    for line in (ROOT / file).read_text().splitlines()
    if "==" in line
}


def recipe(target):
    """The commands of a target of the Makefile, without the folder of their program."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)
    return [line.strip().removeprefix("$(BIN)/") for line in found[1].splitlines()]


def test_what_lint_runs_is_pinned():
    programs = {command.split()[0] for command in recipe("lint")}
    assert programs == {"ruff", "snakefmt", "lint-imports", "mypy", "snakemake"}
    assert {name.replace("lint-imports", "import-linter") for name in programs} <= PINS


def test_hooks_run_what_lint_runs_from_the_projects_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    programs = [hook["entry"].split()[0] for hook in hooks]
    assert all(program.startswith(".venv/bin/") for program in programs)
    # Snakemake's lint takes longer than one waits before a commit.
    lint = {command.split()[0] for command in recipe("lint")} - {"snakemake"}
    assert {program.removeprefix(".venv/bin/") for program in programs} == lint


def test_ci_calls_the_makefile():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    run = {step["run"] for job in jobs.values() for step in job["steps"] if "run" in step}
    assert run == {"make lint", "make test", "make demo", "make docs"}
    assert all(recipe(command.split()[1]) for command in run)
    oldest = jobs["test"]["strategy"]["matrix"]["python"][0]
    newest = jobs["test"]["strategy"]["matrix"]["python"][-1]
    minor = int(newest.partition(".")[2])
    assert PROJECT["project"]["requires-python"] == f">={oldest},<3.{minor + 1}"
    looked_for = f"oldest={oldest.partition('.')[2]} newest={minor}\n"
    assert looked_for in (ROOT / "envs/make_venv").read_text()
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")


def test_a_version_is_one_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert PROJECT["project"]["version"] == mrisr.__version__ == cited


def test_contributing_shows_the_floors_that_are_held():
    contracts = {its["name"]: its for its in PROJECT["tool"]["importlinter"]["contracts"]}
    held = [re.findall(r"mrisr\.(\w+)", layer) for layer in contracts["stages"]["layers"]]
    held = [floor for floor in held if floor != ["api"]]
    page = (ROOT / "CONTRIBUTING.md").read_text()
    shown = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| \d+ \| (.*) \|$", page, re.M)]
    assert shown == held
    folders = {file.parent.name for file in (ROOT / "workflow/mrisr").glob("*/__init__.py")}
    assert folders == {name for floor in held for name in floor}
