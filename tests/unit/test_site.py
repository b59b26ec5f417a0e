"""The site of the documentation: every page is in it, and links lead to pages or the repository."""

import importlib.util
import json
import re

import pytest
import yaml

import mrisr
from documented import ROOT

SPEC = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/site_hooks.py")
hooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hooks)
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PAGES = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}
ADDED = {"index.md", "pages.md", "first_steps.md"}


def in_menu(entries):
    for entry in entries:
        found = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from in_menu(found) if isinstance(found, list) else [found]


def test_the_menu_has_every_page_once():
    menu = list(in_menu(SITE["nav"]))
    assert sorted(menu) == sorted(PAGES | ADDED)


@pytest.mark.parametrize("name", ["README.md", *sorted(f"docs/{page}" for page in PAGES)])
def test_links_lead_to_a_page_or_to_the_repository(name):
    text = hooks.relinked((ROOT / name).read_text(encoding="utf-8"), name)
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    docs = ROOT / "docs"
    files = [file for file in docs.rglob("*") if file.suffix in (".png", ".svg", ".html")]
    pictures = {file.relative_to(docs).as_posix() for file in files}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path = link.partition("#")[0]
        if link.startswith(hooks.OUTSIDE):
            assert (ROOT / path.removeprefix(hooks.OUTSIDE)).exists(), link
        elif path and not re.match(r"[a-z]+:", link):
            assert path in PAGES | ADDED | pictures, link


def test_links_are_those_of_the_site():
    relinked = hooks.relinked
    assert relinked("[a](docs/data.md#split)", "README.md") == "[a](data.md#split)"
    assert relinked("[a](../README.md)", "docs/data.md") == "[a](index.md)"
    assert relinked("[a](first_steps.ipynb)", "docs/api.md") == "[a](first_steps.md)"
    code = "[a](../config/README.md#tables)"
    assert relinked(code, "docs/data.md") == f"[a]({hooks.OUTSIDE}config/README.md#tables)"
    assert relinked("[a](#b) [c](https://d.e/f)", "docs/data.md") == "[a](#b) [c](https://d.e/f)"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://github.com/group/mrisr.git", "https://github.com/group/mrisr/blob/main"),
        ("git@gitlab.com:a/b/mrisr.git", "https://gitlab.com/a/b/mrisr/-/blob/main"),
        ("https://name:word@example.org/mrisr/", "https://example.org/mrisr/blob/main"),
        ("/srv/git/mrisr", ""),
        ("", ""),
    ],
)
def test_files_are_shown_where_the_repository_is(monkeypatch, address, shown):
    assert hooks.shown_files(address) == shown
    monkeypatch.setattr(hooks, "repository", lambda: shown)
    page = hooks.site_page("See [`a` [b]](../Makefile#c), [d](data.md).", "docs/e.md")
    link = f"[`a` [b]]({shown}/Makefile#c)" if shown else "`a` [b]"
    assert page == f"See {link}, [d](data.md)."


def test_the_notebook_is_a_page_with_its_outputs():
    file = ROOT / "docs/first_steps.ipynb"
    page = hooks.notebook_page(file)
    cells = json.loads(file.read_text())["cells"]
    assert page.count("```python\n") == sum(cell["cell_type"] == "code" for cell in cells)
    assert "cubic_residual" in page.split("```text\n")[-1]
    assert page.count("](data:image/png;base64,") == 1


def test_the_demos_report_is_small_and_of_this_version():
    file = ROOT / "docs/demo-report.html"
    assert file.stat().st_size < 3_000_000
    page = file.read_text(encoding="utf-8")
    template = (ROOT / "workflow/report/page/report.html.j2").read_text()
    sections = re.findall(r'<section id="(\w+)">', template)
    missing = [name for name in [*sections, "viewer"] if f'<section id="{name}">' not in page]
    # `notes` is there only where tables share some.
    assert len(sections) > 7 and set(missing) <= {"notes"}
    version = re.search(r"mrisr</th><td>([\w.]+), commit ", page)
    assert version and version[1] == mrisr.__version__
    assert "data:image/webp" in page and "data-blob" in page
    # Nothing leads to files that are not beside it here, or names the machine.
    assert not re.search(r'<a href="(?!#|https?:)', page)
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/|\b(?:Linux|macOS)-\d", page)


def test_the_pictures_of_the_readme_are_small():
    readme = (ROOT / "README.md").read_text()
    pictures = re.findall(r"\]\((docs/[\w.]+\.png)\)", readme)
    assert pictures == ["docs/head.png", "docs/report.png"]
    assert all((ROOT / name).stat().st_size < 400_000 for name in pictures)
