import re
import shutil

import pytest

from mrisr.common import provenance
from mrisr.common.provenance import code_digest
from mrisr.methods import method as methods


def script(folder, text):
    file = folder / "script.py"
    file.write_text(text)
    # _parse caches by modification time, which a fast test may not change.
    provenance._parse.cache_clear()
    return code_digest(file)


def test_comments_docstrings_and_layout_do_not_count(tmp_path):
    plain = script(tmp_path, "def f(a):\n    return a + 1\n")
    assert plain == script(tmp_path, '"""Text."""\ndef f(a):  # why\n\n    return (a + 1)\n')
    documented = script(tmp_path, 'def f(a):\n    """Doc."""\n    return a + 1\n')
    assert documented == script(tmp_path, 'def f(a):\n    """Other."""\n    return a + 1\n')
    assert plain != script(tmp_path, "def f(a):\n    return a + 2\n")


PACKAGE = {
    "__init__": "",
    "train/engine": "from mrisr import degrade\nfrom mrisr.volumes.io import load\n",
    "degrade": "def f():\n    from mrisr.seeds import seed\n",
    "volumes/io": "load = 1\n",
    "seeds": "",
    "tables": "",
}


def digest_of(package, files, root="mrisr.train.engine"):
    """Return the digest of a package with these files in place of those that it had."""
    shutil.rmtree(package, ignore_errors=True)
    for name, text in files.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    provenance._parse.cache_clear()
    return code_digest(root)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "mrisr")
    return tmp_path / "mrisr"


def test_the_digest_follows_imports_through_the_package(package):
    before = digest_of(package, PACKAGE)
    assert digest_of(package, PACKAGE | {"tables": "a = 1\n"}) == before
    assert digest_of(package, PACKAGE | {"seeds": "a = 1\n"}) != before


def test_where_a_module_lies_does_not_count_but_what_it_brings_does(package):
    before = digest_of(package, PACKAGE)
    engine = PACKAGE["train/engine"].replace("mrisr.volumes.io", "mrisr.files.nifti")
    moved = {**PACKAGE, "train/engine": engine, "files/nifti": PACKAGE["volumes/io"]}
    del moved["volumes/io"]
    assert digest_of(package, moved) == before
    # The same name from another module that the package uses already is other code.
    other = {**PACKAGE, "seeds": "load = 2\n"}
    changed = {**other, "train/engine": engine.replace("mrisr.files.nifti", "mrisr.seeds")}
    assert digest_of(package, changed) != digest_of(package, other)


def test_neutral_modules_are_there():
    assert [path for path in provenance.neutral() if not path.is_file()] == []


def test_an_edit_of_a_methods_own_test_never_retrains_it(tmp_path):
    folder = tmp_path / "methods" / "mine"
    folder.mkdir(parents=True)
    (folder / "method.yaml").write_text(
        (methods.FOLDER / "nearest" / "method.yaml").read_text(encoding="utf-8")
    )
    (folder / "method.py").write_text("a = 1\n")
    method = methods.get("mine", search=[tmp_path])
    before = method.code("mrisr.reconstruct.apply")
    (folder / "test_mine.py").write_text("a = 1\n")
    assert method.code("mrisr.reconstruct.apply") == before
    (folder / "layers.py").write_text("a = 1\n")
    assert method.code("mrisr.reconstruct.apply") != before


def test_an_edit_of_a_figure_never_retrains_a_model():
    parsed = set()
    waiting = ["mrisr.train.engine"]
    while waiting:
        name = waiting.pop()
        path = provenance._module_file(name)
        if name not in parsed and path not in provenance.neutral():
            parsed.add(name)
            waiting += [module for _, module in provenance._parse(path, 0)[1]]
    assert "mrisr.degrade.resample" in parsed
    later = ("evaluate", "figures", "tables", "report", "plan", "readers")
    assert not {name for name in parsed if name.split(".")[1] in later}


def test_commit_and_versions():
    assert provenance.versions()["numpy"].count(".") == 2
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+changes)?", provenance.commit())
