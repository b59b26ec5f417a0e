"""The file contract: every path begins with a folder that is known, in the order of the work."""

import inspect
from pathlib import Path

from mrisr.common.layout import FOLDERS, Layout

#: Not what a stage makes, but what mirrors it, is passing or stands beside the folders.
ELSEWHERE = {"logs", "benchmarks", ".staging", ".made_of"}


def test_every_folder_of_the_layout_has_a_place_in_the_order():
    layout = Layout("study")
    found = {}
    for name, method in inspect.getmembers(layout, inspect.ismethod):
        if name.startswith("_"):
            continue
        parameters = inspect.signature(method).parameters.values()
        wanted = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_POSITIONAL]
        parts = Path(method(*wanted)).relative_to(layout.root).parts
        if len(parts) > 1:
            found[name] = parts[0]
    assert set(found.values()) - ELSEWHERE == set(FOLDERS)
    assert len(set(FOLDERS)) == len(FOLDERS)
