"""bench/gpu.py: all sections run on a CPU; errors and lateness stay where they are."""

import csv
import importlib
import json
import os
import pkgutil
import sys
import time
import traceback

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gpu
import gpu_pack
import gpu_run
import gpu_tables
import gpu_training
from documented import ROOT
from mrisr.common import devices
from mrisr.metrics import psnr
from mrisr.volumes.io import Volume, load, save


class Lacking:
    """Refuses to import packages, as a machine does that has none of them."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(f"{name} is not there")


def imports_without(*lacking):
    """Import all of mrisr anew in another process; return whether all of it could be."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    code = 1
    try:
        for name in list(sys.modules):
            if name.split(".")[0] in {"mrisr", *lacking}:
                del sys.modules[name]
        sys.meta_path.insert(0, Lacking(*lacking))
        package = importlib.import_module("mrisr")
        for found in pkgutil.walk_packages(package.__path__, "mrisr."):
            importlib.import_module(found.name)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    devices.arithmetic("ieee")


def test_the_package_needs_neither_snakemake_nor_ants():
    assert imports_without("snakemake", "ants", "antspynet", "bm3d")
    assert not imports_without("nibabel")  # so a package that is needed is missed


def test_a_short_run_of_all_sections_writes_what_it_says(tmp_path, capsys):
    given = ["--device", "cpu", "--size", "tiny", "--seconds", "20", "--threads", "1"]
    given += ["--methods", "cubic_residual", "cubic", "--train", "cubic_residual:0.5"]
    code = gpu.main([*given, "--out", str(tmp_path)])
    assert code == 0, capsys.readouterr().out
    only = ["matrices", "waiting", "networks", "reconstructions", "slices"]
    only += ["training", "steps", "volumes", "metrics"]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["failed"] == [] and list(found["sections"]) == [*only, "trained"]
    assert len(found["sections"]["matrices"]["rows"]) == 3
    (row,) = found["sections"]["trained"]["rows"]
    assert row["steps"] >= 1 and row["ok"] and np.isfinite(row["PSNR 2× (dB)"])
    with (tmp_path / "curve_cubic_residual.csv").open() as opened:
        assert int(list(csv.DictReader(opened))[-1]["step"]) == row["steps"]
    weights = load_file(tmp_path / "weights_cubic_residual.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    page = (tmp_path / "gpu.md").read_text()
    assert page.startswith("# a CPU\n") and "## Trainings" in page and "failed" not in page


def case(kind):
    if kind == "wrong":
        raise ValueError("first\nlast line")
    if kind == "absent":
        raise ImportError("No module named 'torchvision'")
    if kind == "slow":
        time.sleep(30)
    return {"value": 1.5, "ok": kind != "off"}


def measured(sections, seconds=0.5):
    found, written = {"sections": {}}, []
    gpu_run.run(
        sections,
        time.monotonic() + seconds,
        found,
        lambda state: written.append(list(state["sections"])),
    )
    return found, written


def test_an_error_stays_in_its_case_and_the_others_go_on():
    kinds = ("good", "wrong", "absent", "off", "good")
    first = gpu_run.Section("a", "A", 1, [(kind,) for kind in kinds], case)
    found, written = measured([first, gpu_run.Section("b", "B", 1, [("good",)], case)])
    rows = found["sections"]["a"]["rows"]
    assert rows[1]["error"].startswith("ValueError: first") or "last line" in rows[1]["error"]
    assert rows[1]["error"].endswith(")") and "test_gpu.py:" in rows[1]["error"]
    assert rows[2]["lacks"] == "No module named 'torchvision'"
    assert [row.get("value") for row in rows] == [1.5, None, None, 1.5, 1.5]
    assert found["sections"]["a"]["state"] == "errors"
    assert found["sections"]["b"]["state"] == "done" and written == [["a"], ["a", "b"]]
    assert [each.split(":")[1] for each in gpu_run.failures(found)] == [" wrong", " off"]
    lines = gpu_tables.table(rows)
    assert lines[0] == "| what | value | remark |" and lines[1].count("|") == 4
    assert "| absent | – | lacks: No module named 'torchvision' |" in lines
    assert sum("**failed**" in line for line in lines) == 2


def test_a_late_case_is_ended_and_the_next_section_has_its_time():
    late = gpu_run.Section("late", "L", 1, [("good",), ("slow",), ("good",)], case)
    begun = time.monotonic()
    found, _ = measured([late, gpu_run.Section("next", "N", 1, [("good",)], case)])
    assert time.monotonic() - begun < 2
    assert found["sections"]["late"]["left"] == ["slow", "good"]
    assert found["sections"]["late"]["state"] == "out of time"
    assert len(found["sections"]["next"]["rows"]) == 1 and gpu_run.failures(found) == []


def test_decibels_are_those_of_the_metric():
    random = np.random.default_rng(0)
    truth, image = random.random((2, 5, 6, 7), dtype=np.float32)
    assert gpu_training.decibels(truth, image) == pytest.approx(psnr(truth, image), rel=1e-9)


def test_an_import_is_not_cut_short(tmp_path, monkeypatch):
    (tmp_path / "slowly.py").write_text("import time\ntime.sleep(0.3)\ntime.sleep(0.3)\nwhole = 1")
    monkeypatch.syspath_prepend(tmp_path)

    def measure():
        whole = importlib.import_module("slowly").whole
        time.sleep(30)
        return {"value": whole}

    assert gpu_run.one(measure, (), time.monotonic() + 0.1) is None
    assert sys.modules["slowly"].whole == 1


def test_what_cannot_be_is_refused_before_work():
    for given, said in (
        (["--train", "arssr_rdn"], "write METHOD:SECONDS"),
        (["--train", "arssr_rdn:30", "--seconds", "20"], "give more --seconds"),
        (["--only", "speed"], "unknown; known: matrices"),
        (["--methods", "srcnn"], "no method 'srcnn'"),
        (["--pack", "/nowhere"], "no wheel; make the pack"),
    ):
        with pytest.raises(SystemExit, match=said):
            gpu.main(["--device", "cpu", "--size", "tiny", *given])


def test_the_page_of_benchmarks_is_filled_from_a_gpu_alone(tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text((ROOT / "docs/benchmarks.md").read_text())
    rows = [{"case": ["srcnn3d", "tf32", "graphs"], "ms": 4.25, "took": 1.0}]
    section = {"title": "Steps", "rows": rows, "seconds": 1.0, "state": "done"}
    found = {"device": "cuda", "size": "paper", "seconds": 480, "took": 400.0}
    found |= {
        "machine": {"device": "A card", "torch": "2", "python": "3"},
        "sections": {"s": section},
    }
    gpu_tables.fill(page, found)
    gpu_tables.fill(page, found)
    text = page.read_text()
    assert text.count("### A card") == 1 and "| srcnn3d tf32 graphs | 4.25 |" in text
    assert "No card has been measured" not in text and text.count("## GPU\n") == 1
    with pytest.raises(SystemExit, match="this was a CPU"):
        gpu_tables.fill(page, {**found, "device": "cpu"})


@pytest.mark.parametrize("levels", [892, None])
def test_a_pack_gives_back_its_volumes(levels, tmp_path):
    data = np.random.default_rng(0).random((6, 7, 8)).astype(np.float32)
    data[0, 0, 0] = 1
    if levels:
        data = np.rint(data * levels).astype(np.float32) / np.float32(levels)
    file = tmp_path / "ds_sub-01_hr.nii.gz"
    save(Volume(data, np.diag([0.8, 0.9, 1.0, 1])), file)
    pack = tmp_path / "pack"
    uses = [part for use in ("train", "val", "test") for part in (f"--{use}", str(file))]
    gpu_pack.main([*uses, "--no-wheels", "--pack", str(pack)])
    folder = gpu_pack.unpack(pack, tmp_path / "there")
    found = load(folder / "val/ds_sub-01_hr.nii")
    assert np.abs(found.data - data).max() <= (1e-6 if levels else 0.5 / gpu_pack.LEVELS + 1e-6)
    np.testing.assert_allclose(found.affine, np.diag([0.8, 0.9, 1.0, 1]), atol=1e-6)


def test_packages_of_a_pack_come_after_those_installed(tmp_path):
    import zipfile

    (tmp_path / "wheels").mkdir()
    for name in ("packed_alone", "json"):
        with zipfile.ZipFile(tmp_path / f"wheels/{name}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "PACKED = True")
    gpu_pack.use_wheels(tmp_path, tmp_path / "site")
    import packed_alone

    assert packed_alone.PACKED and not hasattr(json, "PACKED")
    assert sys.path[-1] == str(tmp_path / "site")
