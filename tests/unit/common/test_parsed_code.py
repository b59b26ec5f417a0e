import json
import sys

import pytest

from mrisr.common import parsed_code
from mrisr.common.parsed_code import parsed

SOURCE = "from mrisr.volumes import io as files\nimport mrisr.seeds\na = 1\n"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of a package, where Python may write."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "mrisr" / "engine.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    return file


def kept(module):
    return list(module.parent.glob("__pycache__/*.code.json"))


def test_imports_of_the_package_alone_are_named(module):
    module.write_text(SOURCE + "from numpy import mrisr\nfrom mrisrs import b\n")
    names = [("files", "mrisr.volumes", "io"), ("mrisr.seeds", "mrisr.seeds", None)]
    assert sorted(parsed(module, module.parent)[1]) == names


def test_what_is_kept_is_taken_for_the_same_source_and_rules_alone(module, monkeypatch):
    first = parsed(module, module.parent)
    (file,) = kept(module)
    assert parsed(module, module.parent) == first
    file.write_text(json.dumps({**json.loads(file.read_text()), "code": "kept"}))
    assert parsed(module, module.parent) == ("kept", first[1])
    module.write_text(SOURCE + "a = 2\n")
    other = parsed(module, module.parent)
    assert other[0] not in ("kept", first[0])
    file.write_text(json.dumps({**json.loads(file.read_text()), "code": "kept"}))
    monkeypatch.setattr(parsed_code, "_rules", lambda: b"others")
    assert parsed(module, module.parent) == other


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"stands_for": 1}'])
def test_a_damaged_file_is_made_again(module, damaged):
    first = parsed(module, module.parent)
    (file,) = kept(module)
    whole = file.read_text()
    file.write_text(damaged)
    assert parsed(module, module.parent) == first and file.read_text() == whole


def test_nothing_is_kept_where_it_must_not_or_cannot_be(module, monkeypatch):
    first = parsed(module, module.parent / "another")
    assert not kept(module)  # a plugin's, say
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert parsed(module, module.parent)[0] != first[0] and not kept(module)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (module.parent / "__pycache__").write_text("in the way")
    assert parsed(module, module.parent)[1] and not kept(module)
