import re
from pathlib import Path

from mrisr import methods, provenance
from mrisr.provenance import code_digest

ROOT = Path(provenance.__file__).parent


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


def test_the_digest_follows_imports_through_the_package(tmp_path, monkeypatch):
    package = tmp_path / "mrisr"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "train": "from mrisr import degrade\nfrom mrisr.io import load\n",
        "degrade": "def f():\n    from mrisr.seeds import seed\n",
        "io": "",
        "seeds": "",
        "tables": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", package)

    def digest():
        provenance._parse.cache_clear()
        return code_digest("mrisr.train")

    before = digest()
    (package / "tables.py").write_text("a = 1\n")
    assert digest() == before
    (package / "seeds.py").write_text("a = 1\n")
    assert digest() != before


def test_an_edit_of_a_methods_own_test_never_retrains_it(tmp_path):
    folder = tmp_path / "methods" / "mine"
    folder.mkdir(parents=True)
    (folder / "method.yaml").write_text(
        (methods.FOLDER / "nearest" / "method.yaml").read_text(encoding="utf-8")
    )
    (folder / "method.py").write_text("a = 1\n")
    method = methods.get("mine", search=[tmp_path])
    before = method.code("mrisr.reconstruct")
    (folder / "test_mine.py").write_text("a = 1\n")
    assert method.code("mrisr.reconstruct") == before
    (folder / "layers.py").write_text("a = 1\n")
    assert method.code("mrisr.reconstruct") != before


def test_an_edit_of_a_figure_never_retrains_a_model():
    parsed = {}
    waiting = ["mrisr.train"]
    while waiting:
        name = waiting.pop()
        path = provenance._module_file(name)
        if name not in parsed and path not in provenance.NEUTRAL:
            parsed[name] = provenance._parse(path, 0)[1]
            waiting += parsed[name]
    assert "mrisr.degrade" in parsed
    later = ("evaluate", "reconstruct", "figures", "tables", "quality", "significance")
    assert not {f"mrisr.{name}" for name in later} & set(parsed)


def test_commit_and_versions():
    assert provenance.versions()["numpy"].count(".") == 2
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+changes)?", provenance.commit())
