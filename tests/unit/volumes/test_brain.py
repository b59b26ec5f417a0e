"""The brain in a head: simulated, with a skull and a scalp around it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.data.simulate import simulate
from mrisr.segment.overlap import dice
from mrisr.volumes import brain
from mrisr.volumes.io import Volume, load, save
from tiny_study import ROOT

EDGE = 5.0  # mm of a voxel
# ANTs in a process of its own, with one thread.
RUN = """
import sys
sys.path.insert(0, "workflow")
from mrisr.common.progress import job
from mrisr.volumes import brain
from mrisr.volumes import io

with job(None):
    head = io.load(sys.argv[1])
    for path in sys.argv[2:]:
        io.save(brain.find_brain(head, seed=3, name="sub-01"), path)
"""


def test_the_brain_of_a_head_is_found_the_same_way_twice(tmp_path):
    scan = simulate("sub-01", 3, voxel_size=EDGE)
    data = np.pad(scan.data.astype(np.float32) / scan.data.max(), 6)
    affine = scan.affine.copy()
    affine[:3, 3] -= 6 * EDGE
    distance = ndimage.distance_transform_edt(data == 0, sampling=EDGE)
    truth = distance <= EDGE / 2
    random = np.random.default_rng(0)
    # Dark skull, bright scalp, a neck, noise in the air.
    data = np.where((distance > 5) & (distance <= 10), 0.05, data)
    data = np.where((distance > 10) & (distance < 18), 0.6, data)
    data[8:-8, 8:-8, :6] = 0.4
    data = np.abs(data + random.normal(0, 0.02, data.shape)).astype(np.float32)
    save(Volume(data, affine), tmp_path / "head.nii.gz")
    done = subprocess.run(
        [sys.executable, "-c", RUN, *(tmp_path / f"{n}.nii.gz" for n in ("head", "a", "b"))],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(found.affine, affine, rtol=1e-6)
    assert found.header.get_data_dtype() == np.uint8
    assert dice(found.data > 0, truth, [1]) > 0.85 > 0.1 + dice(data > 0.1, truth, [1])
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}.nii.gz" for n in ("head", "a", "b")}


def test_a_scan_without_a_head_is_refused():
    noise = np.random.default_rng(0).uniform(0.99, 1, (12, 12, 12)).astype(np.float32)
    noise[0, 0, 0] = 0
    far = np.diag([0.1, 0.1, 0.1, 1.0])
    template = Volume(np.zeros((8, 8, 8), np.float32), np.eye(4))
    template.data[2:6, 2:6, 2:6] = 1
    with pytest.raises(InputError, match=r"sub-09: (no brain was found|ANTs gave up)"):
        brain.brain_mask(Volume(noise, far), template, template.data > 0, name="sub-09")


def test_the_template_gets_a_skull_and_a_scalp():
    data = np.zeros((30, 30, 30), np.float32)
    data[10:20, 10:20, 10:20] = 1
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = [-30, -30, -30]
    head, mask = brain._with_skull(Volume(data, affine), data > 0)
    assert mask.sum() == 1000 and head.data.shape == mask.shape == (48, 48, 48)
    index = np.argwhere(mask)[0]
    np.testing.assert_allclose(head.affine @ [*index, 1], affine @ [10, 10, 10, 1])
    column = head.data[24, 24]  # upwards from the neck through the brain
    assert column[31] < 0.1 and column[34] > 0.4  # dark skull, then bright scalp
    assert column[:14].max() < 0.1  # no scalp below
