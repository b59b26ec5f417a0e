"""The public face: its names are stable, documented, and the examples of docs/api.md run."""

import ast
import subprocess
import sys

import numpy as np
import pytest
import torch

import mrisr.api
from documented import ROOT, blocks
from mrisr.methods import method as methods
from mrisr.methods.model_files import save_model

PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
NAMES = {
    *("load", "save", "Volume", "downsample", "upsample", "lr_affine"),
    *("psnr", "ssim", "lpips", "vif", "psi", "lpc_si", "fourier", "gain", "offset", "evaluate"),
    *("method_names", "get_method", "reconstruct", "load_model", "dice", "iou", "MrisrError"),
}


def type_checking_names():
    """The names that a type checker sees: imported under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "workflow/mrisr/api.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: (line.module, alias.name)
        for line in block.body
        for alias in line.names
    }


def test_the_names_are_those_promised():
    assert set(mrisr.api.__all__) == NAMES
    assert dir(mrisr.api) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_there_and_has_a_docstring_and_a_line_in_the_page(name):
    assert (getattr(mrisr.api, name).__doc__ or "").strip()
    assert f"`{name}`" in PAGE


def test_a_type_checker_sees_what_is_imported():
    assert type_checking_names() == mrisr.api._PLACES


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(AttributeError, match=r"no name 'psrn': see `mrisr\.api\.__all__`"):
        mrisr.api.psrn  # noqa: B018


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, mrisr.api; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "workflow",
    )
    assert done.stdout.strip() == "[]"


def test_nothing_inside_the_package_imports_it():
    files = [*(ROOT / "workflow").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    assert len(files) > 100
    assert [str(f) for f in files if f.name != "api.py" and "mrisr.api" in f.read_text()] == []


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)
    state = methods.get("srcnn3d", preset="demo").build().state_dict()
    save_model(tmp_path / "results/demo/models/srcnn3d/x2", state, [], {"method": "srcnn3d"})
    code = [body for _, language, body, _ in blocks(PAGE) if language == "python"]
    scope = {}
    for body in code:
        exec(compile(body, "docs/api.md", "exec"), scope)
    assert len(code) == PAGE.count("\n## ") + 1  # one a group, and the learned model
    assert scope["sr"].data.shape == scope["sr_learned"].data.shape == (48, 52, 44)
    np.testing.assert_allclose(scope["sr"].affine, scope["truth"].affine, atol=1e-6)
    assert np.array_equal(scope["sr"].data, scope["interpolated"])
    table = scope["table"].set_index(["metric", "region"]).value
    assert table["psnr", "volume"] == scope["psnr"](scope["truth"].data, scope["sr"].data)
    assert {"ssim", "vif", "psi", "lpc_si", "gain", "offset"} <= set(scope["table"].metric)
    assert "no_such_scan.nii.gz: no such file" in capsys.readouterr().out
