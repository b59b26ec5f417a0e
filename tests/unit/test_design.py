"""docs/design.md says of the packages and of one volume's way what the code says."""

import ast
import re
from collections import defaultdict

from documented import ROOT

PACKAGE = ROOT / "workflow/mrisr"
PAGE = (ROOT / "docs/design.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| ([\w, ]*) ?\|", re.M)


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def imported():
    """The packages that each package imports."""
    found = defaultdict(set)
    for file in PACKAGE.glob("*/**/*.py"):
        package = file.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            parts = [module.split(".") for module in modules]
            found[package] |= {p[1] for p in parts if p[0] == "mrisr" and len(p) > 1}
        found[package] &= {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
        found[package].discard(package)
    return found


def test_the_table_of_packages_is_what_they_import():
    rows = {name: (int(floor), names) for floor, name, names in ROW.findall(section("Packages"))}
    said = {name: set(re.findall(r"\w+", names)) for name, (_, names) in rows.items()}
    assert said == dict(imported())
    upward = [
        (name, other) for name in said for other in said[name] if rows[other][0] >= rows[name][0]
    ]
    assert upward == []


def test_every_function_of_the_way_of_a_volume_is_there():
    way = section("One volume, from file to table")
    assert len(re.findall(r"^\d+\. ", way, re.M)) == 10
    names = re.findall(r"`(\w+)\.(\w+)\.([\w.]+)`", way)
    assert len(names) > 12
    for package, module, name in names:
        tree = ast.parse((PACKAGE / package / f"{module}.py").read_text(encoding="utf-8"))
        for part in name.split("."):
            inside = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            assert part in inside, f"{package}.{module}.{name}"
            tree = inside[part]
