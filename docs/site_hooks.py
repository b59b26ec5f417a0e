"""Hooks of mkdocs: the site has the README as its start, and the notebook as a page.

In the repository the pages stand among the other files, so links to those lead there from the
site: to MRISR_REPOSITORY, an address such as https://example.org/group/mrisr, else to the remote
`origin`.
Where neither is known, the words of such a link stay, without a link.
"""

import json
import os
import posixpath
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOK = "first_steps"
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")
#: Pages of the site that have another name in the repository.
MOVED = {"README.md": "index.md", "docs/README.md": "pages.md"}
#: A link that leads out of the documentation, before its place is known.
OUTSIDE = "repository:"
OUTWARD = re.compile(rf"\[((?:[^\[\]]|\[[^\]]*\])*)\]\({OUTSIDE}([^)\s]*)\)")


def repository() -> str:
    """Return where the files of the main branch are shown, empty if no address is known."""
    address = os.environ.get("MRISR_REPOSITORY", "")
    if not address:
        asked = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
        try:
            address = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
        except FileNotFoundError:
            return ""
    return shown_files(address)


def shown_files(address: str) -> str:
    """Return where a web page shows the files of a repository, empty if none does.

    Args:
        address: As git has it: https://github.com/group/mrisr.git or git@github.com:group/mrisr.
    """
    found = re.fullmatch(
        r"(?:https?://(?:[^/@]*@)?|ssh://git@|git@)([\w.-]+)[:/]([\w./~-]+?)(?:\.git)?/?", address
    )
    if not found:
        return ""
    between = "/-" if "gitlab" in found[1] else ""
    return f"https://{found[1]}/{found[2]}{between}/blob/main"


def on_files(files: Any, config: Any) -> Any:
    """Add the README and the notebook; docs/README.md becomes the list of pages."""
    from mkdocs.structure.files import File

    texts = {
        "index.md": site_page((ROOT / "README.md").read_text(encoding="utf-8"), "README.md"),
        "pages.md": (ROOT / "docs/README.md").read_text(encoding="utf-8"),
        f"{NOTEBOOK}.md": notebook_page(ROOT / f"docs/{NOTEBOOK}.ipynb"),
    }
    readme = files.get_file_from_path("README.md")
    if readme is not None:
        files.remove(readme)
    for name, text in texts.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have links to files that are not on the site lead to the repository."""
    name = {new: old for old, new in MOVED.items()}.get(
        page.file.src_uri, f"docs/{page.file.src_uri}"
    )
    return markdown if page.file.src_uri == "index.md" else site_page(markdown, name)


def site_page(text: str, name: str) -> str:
    """Return the text of a file of the repository as a page of the site; see `relinked`."""
    place = repository()
    link = rf"[\1]({place}/\2)" if place else r"\1"
    return OUTWARD.sub(link, relinked(text, name))


def relinked(text: str, name: str) -> str:
    """Return the text of a file of the repository with links as the site has them.

    Args:
        text: Markdown.
        name: Path of the file in the repository.
    """

    def target(found: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[2]))
        anchor = found[3] or ""
        if path in MOVED:
            place = MOVED[path]
        elif path == f"docs/{NOTEBOOK}.ipynb":
            place = f"{NOTEBOOK}.md"
        elif path.startswith("docs/") and path.endswith((".md", ".svg", ".png", ".html")):
            place = path.removeprefix("docs/")
        else:
            place = f"{OUTSIDE}{path}"
        return f"{found[1]}{place}{anchor}{found[4]}"

    return LINK.sub(target, text)


def notebook_page(file: Path) -> str:
    """Return a notebook as Markdown, with what it prints and draws."""
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            else:
                parts.append(f"![](data:image/png;base64,{output['data']['image/png']})")
    return "\n\n".join(parts) + "\n"
