"""The site of the documentation: every page is in it, and links lead to pages or the repository."""

import importlib.util
import json
import re

import pytest
import yaml

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
    files = [file for file in docs.rglob("*") if file.suffix in (".png", ".svg")]
    pictures = {file.relative_to(docs).as_posix() for file in files}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path = link.partition("#")[0]
        if link.startswith(hooks.REPOSITORY):
            assert (ROOT / path.removeprefix(f"{hooks.REPOSITORY}/")).exists(), link
        elif path and not re.match(r"[a-z]+:", link):
            assert path in PAGES | ADDED | pictures, link


def test_links_are_those_of_the_site():
    relinked = hooks.relinked
    assert relinked("[a](docs/data.md#split)", "README.md") == "[a](data.md#split)"
    assert relinked("[a](../README.md)", "docs/data.md") == "[a](index.md)"
    assert relinked("[a](first_steps.ipynb)", "docs/api.md") == "[a](first_steps.md)"
    code = "[a](../config/README.md#tables)"
    assert relinked(code, "docs/data.md") == f"[a]({hooks.REPOSITORY}/config/README.md#tables)"
    assert relinked("[a](#b) [c](https://d.e/f)", "docs/data.md") == "[a](#b) [c](https://d.e/f)"


def test_the_notebook_is_a_page_with_its_outputs():
    file = ROOT / "docs/first_steps.ipynb"
    page = hooks.notebook_page(file)
    cells = json.loads(file.read_text())["cells"]
    assert page.count("```python\n") == sum(cell["cell_type"] == "code" for cell in cells)
    assert "cubic_residual" in page.split("```text\n")[-1]
    assert page.count("](data:image/png;base64,") == 1
