"""A lint of Dockerfile and apptainer.def, which no test builds: base, steps, what is copied."""

import re
import runpy
import tomllib

import pytest
import setuptools

from tiny_study import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
APPTAINER = (ROOT / "apptainer.def").read_text()
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "ENTRYPOINT", "CMD"}
SECTIONS = {"arguments", "files", "post", "environment", "runscript", "test"}


def instructions():
    """The instructions of the Dockerfile with their arguments; continued lines are one."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def sections():
    """The sections of apptainer.def, by name; the header has the name ""."""
    parts = re.split(r"^%(\w+)\n", APPTAINER, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def rows(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def needed():
    """Files and folders that the package is built from: those of setup.py and pyproject.toml."""
    original, setuptools.setup = setuptools.setup, lambda **_: None
    try:
        build = runpy.run_path(str(ROOT / "setup.py"))
    finally:
        setuptools.setup = original
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dynamic = project["tool"]["setuptools"]["dynamic"]
    extras = dynamic["optional-dependencies"].values()
    files = [name for part in (dynamic["dependencies"], *extras) for name in part["file"]]
    own = {"setup.py", "pyproject.toml", project["project"]["readme"]}
    return own | {*build["FOLDERS"], *build["FILES"], *files}


def test_instructions_are_known_and_bases_are_pinned():
    assert {name for name, _ in instructions()} == KNOWN
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert len(bases) == 2 and len({*bases}) == 1
    found = re.fullmatch(r"python:3\.(\d+)\.\d+-slim-bookworm", bases[0])
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest, after = map(int, re.findall(r"3\.(\d+)", bounds))
    assert oldest <= int(found[1]) < after
    assert set(sections()) - {""} == SECTIONS
    header = dict(re.findall(r"^(\w+): (\S+)$", sections()[""], re.M))
    assert header == {"Bootstrap": "docker", "From": bases[0]}


def test_what_the_package_is_built_from_is_copied(needed):
    copied = set()
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            assert target == "./" or [target] == sources
            copied |= {*sources}
    assert copied == needed
    pairs = [row.split() for row in rows(sections()["files"])]
    assert all(target == f"/src/{source}" for source, target in pairs)
    assert {source for source, _ in pairs} == needed
    assert all((ROOT / name).exists() for name in needed)
    sent = {row[1:] for row in rows((ROOT / ".dockerignore").read_text()) if row[0] == "!"}
    assert {name for name in needed if not name.startswith("requirements")} < sent
    assert "requirements*.txt" in sent


def test_both_install_the_same_pins_and_the_package_without_others():
    index = "--extra-index-url https://download.pytorch.org/whl/cpu"
    runs = " && ".join(rest for name, rest in instructions() if name == "RUN")
    steps = [re.sub(r"\s+", " ", step).strip() for step in runs.split("&&")]
    pip = "/opt/mrisr/bin/pip install --no-cache-dir"
    assert steps == [
        "python -m venv /opt/mrisr",
        f"{pip} ${{PIP_ARGS}} -r requirements.txt",
        f"{pip} --no-deps .",
    ]
    assert ("ARG", f'PIP_ARGS="{index}"') in instructions()
    assert rows(sections()["post"]) == [
        "python -m venv /opt/mrisr",
        f"{pip} {{{{ PIP_ARGS }}}} -r /src/requirements.txt",
        f"{pip} --no-deps /src",
        "rm -r /src",
    ]
    assert rows(sections()["arguments"]) == [f'PIP_ARGS="{index}"']
    assert index in (ROOT / "README.md").read_text()


def test_snakemake_takes_the_image_that_is_built():
    named = re.search(
        r'^container: os\.environ\.get\("MRISR_CONTAINER", "(\S+)"\)$',
        (ROOT / "Snakefile").read_text(),
        re.M,
    )
    assert f"apptainer build {named[1]} apptainer.def" in APPTAINER
