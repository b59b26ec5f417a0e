"""Which Pythons are taken: what `make` looks for, and what the pinned packages have wheels for."""

import importlib.metadata
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from urllib.parse import quote

import pytest
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from tiny_study import ROOT

MAKE_VENV = ROOT / "envs/make_venv"
PYTHONS = (11, 12, 13)
# Wheels for newer systems than these would leave many users out.
GLIBC = 28  # manylinux_2_28, as PyTorch has: systems since 2019
MAC = [f"macosx_{major}_0_arm64" for major in range(14, 10, -1)]


@pytest.fixture
def make_venv(tmp_path):
    """Run `make_venv` where there are only some programs: `{"python3": 14, "uv": None}`."""

    def call(programs, *words):
        for name, minor in programs.items():
            # Asked for its version it prints it, else what it is called with.
            asked = f'[ "$1" = -c ] && echo {minor} && exit' if minor is not None else ":"
            file = tmp_path / name
            file.write_text(f'#!/bin/sh\n{asked}\necho "{name} $*"\n')
            file.chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", MAKE_VENV, *words],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.strip(), done.stderr

    return call


@pytest.mark.parametrize(
    ("programs", "words", "taken"),
    [
        ({"python3": 11, "python3.13": 13}, (), "python3 -m venv .venv"),
        ({"python3": 14, "python3.11": 11, "python3.12": 12}, (), "python3.12 -m venv .venv"),
        ({"python3": 10, "python3.13": 13, "uv": None}, (), "python3.13 -m venv .venv"),
        ({"python3": 14, "uv": None}, (), "uv venv --quiet --seed --python 3.13 .venv"),
        ({"python3": 11, "mine": 12}, ("mine",), "mine -m venv .venv"),
    ],
)
def test_the_python_that_is_taken(make_venv, programs, words, taken):
    assert make_venv(programs, *words) == (0, taken, "")


@pytest.mark.parametrize(
    ("programs", "words", "said"),
    [
        ({"python3": 14}, (), "mrisr needs Python 3.11 to 3.13, and python3 is 3.14: install"),
        ({}, (), "and there is no python3: install python3.13, or uv"),
        ({"python3": 12, "mine": 10, "uv": None}, ("mine",), "and mine is 3.10: install"),
    ],
)
def test_where_none_fits_one_line_says_what_to_do(make_venv, programs, words, said):
    code, out, error = make_venv(programs, *words)
    assert code == 1 and out == "" and said in error and error.count("\n") == 1


def requirement_lines():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def compiled_pins():
    """The pins of packages that are not pure Python, as the installed ones say."""
    for pin in map(Requirement, requirement_lines()):
        wheel = importlib.metadata.distribution(pin.name).read_text("WHEEL") or ""
        if "Root-Is-Purelib: false" in wheel:
            yield pin


def test_scipy_is_the_newest_that_antspyx_takes():
    pins = {pin.name: pin.specifier for pin in map(Requirement, requirement_lines())}
    needs = map(Requirement, importlib.metadata.requires("antspyx"))
    taken = {need.name: need.specifier for need in needs if need.name in ("numpy", "scipy")}
    for name, specifier in taken.items():
        assert str(pins[name]).removeprefix("==") in specifier
    # Where this fails, antspyx has been freed: take a newer scipy.
    assert str(pins["scipy"]).startswith("==1.15.") and "1.16.0" not in taken["scipy"]


def systems():
    """Yield system, machine and Python that are supported, with the tags of wheels they take."""
    platforms = {("darwin", "arm64"): MAC}
    for machine in ("x86_64", "aarch64"):
        tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
        platforms["linux", machine] = [*tags, f"manylinux2014_{machine}"]
    for (system, machine), tags in platforms.items():
        for version in ((3, minor) for minor in PYTHONS):
            about = {"sys_platform": system, "platform_machine": machine}
            taken = cpython_tags(version, platforms=tags), compatible_tags(version, platforms=tags)
            yield about | {"python_version": "3.{1}".format(*version)}, {*chain(*taken)}


def files_of(name):
    """Return the names of all files of a package in pip's index; skip where it is not reached."""
    from pip._internal.commands import create_command
    from pip._internal.index.collector import LinkCollector, parse_links
    from pip._internal.models.link import Link

    command = create_command("download")
    options, _ = command.parse_args(["--timeout", "5", "--retries", "0", name])
    with command._build_session(options, retries=0, timeout=5) as session:
        collector = LinkCollector.create(session, options=options)
        page = collector.fetch_response(Link(f"{options.index_url.rstrip('/')}/{quote(name)}/"))
        if page is None:
            pytest.skip("the package index is not reached")
        return [link.filename for link in parse_links(page)]


def wheels(filenames, version):
    """Yield the tags of the wheels of a version."""
    for filename in filenames:
        try:
            _, found, _, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename:  # sources, and files of a time without rules
            continue
        if str(found) == version:
            yield tags


def test_pins_have_wheels_for_each_system_and_python():
    pins = list(compiled_pins())
    assert {"antspyx", "numpy", "scipy", "torch"} <= {pin.name for pin in pins}
    with ThreadPoolExecutor(len(pins)) as pool:
        files = list(pool.map(files_of, [pin.name for pin in pins]))
    lacking, left_out = [], []
    for pin, names in zip(pins, files, strict=True):
        found = list(wheels(names, str(pin.specifier).removeprefix("==")))
        for about, tags in systems():
            if pin.marker and not pin.marker.evaluate(about):
                left_out.append((pin.name, about["platform_machine"]))
            elif not any(tags & wheel for wheel in found):
                lacking.append((str(pin), about))
    assert lacking == []
    # docs/install.md says what does not run there.
    assert {*left_out} == {("antspyx", "aarch64")}
