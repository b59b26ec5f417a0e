"""The reference is what the docstrings say, and the notebook prints what it shows."""

import base64
import importlib.util
import json
import re

import numpy as np
import pytest
from matplotlib import image

import mrisr.api
from documented import ROOT


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_made_of_the_docstrings():
    made = script("make_reference")
    text = made.PAGE.read_text(encoding="utf-8")
    assert text == made.page(), "python docs/make_reference.py writes it again"
    assert re.findall(r"^## (\w+)$", text, re.M) == mrisr.api.__all__
    assert "- `axes`: Axes that are reduced; the others keep their size." in text
    assert "    metrics: Sequence[str] | None=None,\n" in text


def outputs(notebook):
    """The numbers that a notebook prints, and the pictures that it draws."""
    said = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    texts = ["".join(out["text"]) for out in said if "text" in out]
    pictures = [base64.b64decode(out["data"]["image/png"]) for out in said if "data" in out]
    return texts, pictures


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_notebook_runs_and_shows_what_it_prints(here):
    made = script("run_notebook")
    stored = json.loads(made.NOTEBOOK.read_text(encoding="utf-8"))
    texts, pictures = outputs(stored)
    new_texts, new_pictures = outputs(made.run(stored))
    number = re.compile(r"\d+\.?\d*")
    assert [number.sub("#", text) for text in new_texts] == [number.sub("#", t) for t in texts]
    for text, new in zip(texts, new_texts, strict=True):
        # Other processors and versions round in another way.
        expected = [float(found) for found in number.findall(text)]
        found = [float(found) for found in number.findall(new)]
        np.testing.assert_allclose(found, expected, atol=0.05)
    assert len(pictures) == len(new_pictures) == 1
    for name, content in (("stored", pictures[0]), ("new", new_pictures[0])):
        (here / f"{name}.png").write_bytes(content)
    shapes = [image.imread(here / f"{name}.png").shape for name in ("stored", "new")]
    assert shapes[0] == shapes[1] and shapes[0][1] > 800
    # The model that comes with mrisr beats cubic interpolation, and that the nearest voxel.
    rows = dict(re.findall(r"^(\w+) +(\d+\.\d+)", new_texts[-1], re.M))
    assert float(rows["nearest"]) < float(rows["cubic"]) < float(rows["cubic_residual"])
