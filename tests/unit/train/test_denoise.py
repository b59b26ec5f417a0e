"""BM3D targets: computed once by content, refused where the package is missing."""

import sys

import numpy as np
import pytest

from mrisr.common import optional_packages
from mrisr.common.errors import ConfigError
from mrisr.methods import method
from mrisr.train import denoise
from mrisr.volumes.io import Volume, load, save


@pytest.fixture
def calls(monkeypatch):
    """Denoise with a stand-in, and record what it was called with."""
    seen = []

    def stand_in(image, sigma):
        seen.append(sigma)
        return np.full(image.shape, sigma, dtype=np.float32)

    monkeypatch.setattr(denoise, "bm3d", stand_in)
    monkeypatch.setattr(denoise, "has_bm3d", lambda: True)
    monkeypatch.setattr(denoise.metadata, "version", lambda name: "1")
    return seen


def write(path, seed):
    data = np.random.default_rng(seed).random((12, 1, 10), dtype=np.float32)
    save(Volume(data, np.diag([1, 2, 3, 1])), path)
    return str(path)


def test_a_slice_is_denoised_once_for_all_studies(calls, tmp_path, monkeypatch):
    files = [write(tmp_path / f"{i}.nii.gz", i) for i in range(2)]
    cache = tmp_path / "cache"

    def run(where, sigma=0.03):
        outputs = [tmp_path / where / f"{i}.nii.gz" for i in range(2)]
        denoise.denoise_slices(files, outputs, sigma, cache)
        return outputs

    made = load(run("a")[0])
    assert made.data.shape == (12, 1, 10) and np.all(made.data == np.float32(0.03))
    np.testing.assert_array_equal(made.affine, load(files[0]).affine)
    run("b")
    assert calls == [0.03, 0.03]
    run("c", 0.05)  # another strength
    assert len(calls) == 4
    write(tmp_path / "0.nii.gz", 7)  # another content under the same name
    run("d")
    assert len(calls) == 5
    monkeypatch.setattr(denoise.metadata, "version", lambda name: "2")
    run("e")
    assert len(calls) == 7


def test_without_the_package_nothing_starts_and_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(denoise, "has_bm3d", lambda: False)
    with pytest.raises(ConfigError, match=r"requirements-bm3d.txt; free for non-commercial use"):
        denoise.denoise_slices([write(tmp_path / "a.nii.gz", 1)], ["out"], 0.03, tmp_path)
    with pytest.raises(ConfigError, match=r"set training.denoise.weight: 0"):
        denoise.bm3d(np.zeros((8, 8)), 0.03)


def test_the_package_is_never_imported_to_ask_whether_it_is_there():
    assert optional_packages.has_bm3d() in (True, False)
    assert "bm3d" not in sys.modules and "bm4d" not in sys.modules


def test_only_a_weight_above_0_needs_denoised_slices():
    assert method.get("coord").denoising == {"weight": 10, "sigma": 0.03}
    assert method.get("conv").denoising is None
    assert method.get("coord", {"training": {"denoise": {"weight": 0}}}).denoising is None
    assert method.get("cubic").denoising is None


@pytest.mark.skipif(not optional_packages.has_bm3d(), reason="bm3d is not installed (its licence)")
def test_bm3d_takes_out_noise():
    # In a process of its own, for the test above.
    import subprocess

    code = (
        "import numpy as np; from mrisr.train.denoise import bm3d;"
        "x = np.zeros((40, 40)); x[8:32, 12:28] = 0.8;"
        "y = x + np.random.default_rng(0).normal(0, 0.05, x.shape); z = bm3d(y, 0.05);"
        "assert z.dtype == np.float32 and z.shape == x.shape;"
        "print(np.std(z - x) / np.std(y - x))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(method.FOLDER.parent)},
    )
    assert float(done.stdout) < 0.35, done.stderr
