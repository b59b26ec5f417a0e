"""The page in a real browser: what its scripts do. Skipped where there is no Chromium."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from mrisr.report.page import write_page
from mrisr.report.viewer import gallery
from mrisr.volumes.io import Volume, save

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
TABLE = """<section class="mrisr-table" data-table="t"><div class="scroll"><table>
<thead><tr><th>Scale</th><th>Method</th><th>PSNR</th></tr></thead>
<tbody>
<tr data-scale="2"><th scope="rowgroup" rowspan="2">2x</th><th>A</th><td data-value="1">1</td></tr>
<tr data-scale="2"><th>B</th><td data-value="3">3</td></tr>
</tbody>
<tbody>
<tr data-scale="4"><th scope="rowgroup" rowspan="2">4x</th><th>A</th><td data-value="2">2</td></tr>
<tr data-scale="4"><th>B</th><td data-value="Infinity">inf</td></tr>
</tbody>
</table></div></section>"""
#: Done in the page once it is there; what it finds is left in the document for the test to read.
ACTS = """
<script>
addEventListener("load", async () => {
  const found = {};
  const rows = () => [...document.querySelectorAll("#table-t tbody tr")]
    .filter((row) => !row.hidden && !row.parentNode.hidden)
    .map((row) => [...row.cells].map((cell) => cell.textContent).join(" ")).join(", ");
  const sort = document.querySelectorAll("#table-t .sort");
  found.before = rows();
  sort[sort.length - 1].click();
  found.sorted = rows();
  const form = document.getElementById("filters");
  form.elements.scale.value = "4";
  form.elements.text.value = "b";
  form.dispatchEvent(new Event("input"));
  found.filtered = rows();
  form.elements.scale.value = form.elements.text.value = "";
  form.dispatchEvent(new Event("input"));
  sort[sort.length - 1].click(); sort[sort.length - 1].click();
  found.after = rows();
  const leaders = () => [...document.querySelectorAll("#leaderboard tbody tr")]
    .map((row) => row.cells[0].textContent).join("");
  document.querySelectorAll("#leaderboard .sort")[1].click();
  found.leaders = leaders();
  document.querySelectorAll("#leaderboard .sort")[1].click();
  found.last = leaders();
  found.bar = document.querySelector(".bar").offsetHeight;
  const filters = document.getElementById("filters");
  found.folded = filters.offsetHeight === 0;
  document.getElementById("filter").click();
  found.unfolded = filters.offsetHeight > 0;
  found.wide = document.documentElement.scrollWidth > innerWidth;
  const box = document.getElementById("viewer-box");
  const said = () => document.getElementById("viewer-said").textContent;
  box.scrollIntoView();
  const pause = () => new Promise((done) => setTimeout(done, 20));
  const wait = async (test) => { while (!test()) await pause(); };
  await wait(() => box.dataset.ready);
  await wait(() => said().startsWith("Ground truth"));
  found.truth = said();
  const press = (key) => document.getElementById("viewer-canvas")
    .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("ArrowRight");
  await wait(() => said().startsWith("Half"));
  found.flipped = said();
  press("e");
  await wait(() => said().includes("error"));
  found.error = said();
  found.ramp = ["from", "to"].map((end) => document.getElementById(`viewer-${end}`).textContent);
  press("e");
  press("ArrowLeft");
  await wait(() => said().startsWith("Ground truth"));
  const canvas = document.getElementById("viewer-canvas");
  const lit = () => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .filter((value, i) => i % 4 === 1 && value > 200).length;
  const choose = (name, value) => {
    const control = document.getElementById(`viewer-${name}`);
    control.value = value;
    control.dispatchEvent(new Event("change"));
    control.dispatchEvent(new Event("input"));
  };
  found.one = lit();
  choose("plane", "3");
  found.three = lit();
  choose("plane", "0");
  choose("zoom", "2");
  found.zoomed = lit();
  choose("zoom", "1");
  const cross = document.getElementById("viewer-cross");
  cross.checked = false;
  cross.dispatchEvent(new Event("change"));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  found.letters = data.some((value, i) => i % 4 === 2 && value > 150 && data[i - 2] < 80);
  press("ArrowLeft");
  await wait(() => said().startsWith("LR"));
  found.sides = [0.3, 0.7].map((share) => {
    const at = canvas.getBoundingClientRect();
    const place = { clientX: at.left + share * at.width, clientY: at.top + at.height / 2 };
    canvas.dispatchEvent(new PointerEvent("pointerdown", { ...place, button: 0, bubbles: true }));
    return said();
  });
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script>
"""


@pytest.fixture
def page(tmp_path):
    """A page with a table and a viewer of a constant ground truth and half of it."""
    shape = (12, 12, 12)
    sizes = {"truth": 0.8, "half": 0.4, "mask": 1.0, "lr": 0.8}
    for name, value in sizes.items():
        data = np.full(shape, value, np.float32)
        data[:6] *= 0.5 if name == "lr" else 1
        save(Volume(data, np.eye(4)), tmp_path / f"{name}.nii.gz")
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in sizes}
    its = {"dataset": "d", "dataset_label": "D", "subject": "sub-1", "scale": 2, "reference": None}
    its |= {key: files[key] for key in ("mask", "truth", "lr")}
    its["images"] = [{"method": "half", "label": "Half", "file": files["half"]}]
    choices = {"dataset": [], "scale": [("2", "2"), ("4", "4")], "method": [("a", "A")]}
    empty = ("figures", "sections", "methods", "cohorts", "models", "datasets", "notes")
    nothing = {key: [] for key in (*empty, "findings", "left_out", "cost")}
    line = {"method": "a", "marks": "", "paper": {"title": "", "doi": ""}, "files": [], "own": 0}
    line |= {"parameters": "", "steps": "", "seconds": ""}
    lines = [
        line | {"label": label, "cells": [{"text": str(mean), "below": "", "mean": mean}]}
        for label, mean in (("A", 9.5), ("B", 30.0), ("C", None))
    ]
    write_page(
        tmp_path / "page.html",
        title="T",
        summary="",
        warnings=[],
        state=None,
        headline=None,
        heatmaps={"shown": [], "folded": []},
        leaderboard={"measure": "PSNR", "ranked": True, "rows": lines}
        | {"header": [{"text": "2×", "dataset": "d", "scale": "2"}]},
        methods_text={"text": "", "references": []},
        tables=[{"name": "t", "title": "Table", "html": ""}],
        viewer=gallery([its], 20),
        facts=[],
        durations=[],
        config="",
        checksums={},
        choices=choices,
        **nothing,
    )
    text = (tmp_path / "page.html").read_text()
    text = text.replace('<article id="table-t" class="holder">', '<article id="table-t">' + TABLE)
    (tmp_path / "page.html").write_text(text.replace("</body>", ACTS + "</body>"))
    return tmp_path / "page.html"


def opened(page, profile, *flags):
    """Return what the page found when it was opened from its file."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", "--disable-sync", *flags),
            *("--disable-background-networking", "--disable-component-update"),
            "--window-size=390,844",
            *(f"--user-data-dir={profile}", "--virtual-time-budget=60000", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(found[1])


def test_tables_sort_and_filter_and_the_viewer_flips(page, tmp_path):
    found = opened(page, tmp_path / "profile", "--disable-3d-apis")
    assert found["before"] == found["after"] == "2x A 1, B 3, 4x A 2, B inf"
    assert found["sorted"] == "2x B 3, A 1, 4x B inf, A 2"
    assert found["filtered"] == "4x B inf"
    assert not found["wide"]
    assert (found["leaders"], found["last"]) == ("BAC", "ABC")  # unknown values last
    assert found["bar"] <= 60 and found["folded"] and found["unfolded"]
    assert found["truth"].startswith("Ground truth · at the crosshair 0.800")
    assert "at the crosshair 0.402 · ground truth 0.800 · difference -0.398" in found["flipped"]
    assert found["error"].startswith("Half, error (0 to 0.410)")
    assert found["ramp"] == ["0.000", "0.410, |SR − ground truth|"]
    assert found["three"] == pytest.approx(0.75 * found["one"], rel=0.05)  # three of four squares
    assert found["zoomed"] > found["one"]
    assert found["letters"]
    assert "at the crosshair 0.800" in found["sides"][0]
    assert "at the crosshair 0.402" in found["sides"][1]  # the patient's left is on the right
