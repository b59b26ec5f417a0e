"""The simulated cohort: reproducible, brain-like, different among subjects."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mrisr.common.errors import ConfigError
from mrisr.common.files import sha256
from mrisr.data import simulate
from mrisr.volumes.io import load

COARSE = {"voxel_size": 5}


@pytest.fixture(scope="module")
def scan():
    return simulate.simulate("sub-01", seed=0)


def test_grid_type_and_background(scan):
    assert scan.data.shape == (98, 116, 94)
    assert scan.data.dtype == np.int16
    assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
    np.testing.assert_allclose(scan.voxel_size, 2)
    brain = scan.data > 0
    assert 700 < scan.data.max() < 1300
    assert 1.2e6 < brain.sum() * 8 < 2.6e6  # mm^3
    assert ndimage.label(brain)[1] <= 3
    faces = [np.delete(brain, slice(1, -1), axis) for axis in range(2)]
    assert not any(face.any() for face in faces)


def test_lies_where_the_template_lies(scan):
    brain = simulate.datasets.load_mni152_brain_mask(resolution=1)
    centres = [
        nib.affines.apply_affine(affine, ndimage.center_of_mass(mask))
        for mask, affine in [
            (scan.data > 0, scan.affine),
            (brain.get_fdata() > 0, brain.affine),
        ]
    ]
    assert np.linalg.norm(centres[0] - centres[1]) < 8


def test_has_detail_between_half_of_nyquist_and_nyquist(scan):
    """Else every method would reconstruct it alike. Well above the noise of 2 %."""
    data = scan.data.astype(np.float32)
    smooth = ndimage.gaussian_filter(data, 1.0)
    inside = ndimage.binary_erosion(scan.data > 0, iterations=6)
    assert (data - smooth)[inside].std() > 2 * 0.02 * np.median(data[inside])


def test_same_bytes_from_any_cohort_and_any_number_of_workers(tmp_path):
    alone = simulate.cohort(["sub-02"], tmp_path / "a", COARSE, seed=3)
    both = simulate.cohort(["sub-01", "sub-02"], tmp_path / "b", COARSE, seed=3, workers=2)
    assert list(both) == ["sub-01", "sub-02"]
    assert both["sub-02"] == tmp_path / "b" / "sub-02_T1w.nii.gz"
    assert sorted(tmp_path.glob("b/*")) == sorted(both.values())
    assert sha256(alone["sub-02"]) == sha256(both["sub-02"])
    assert nib.load(both["sub-01"]).get_data_dtype() == np.int16


def test_subjects_and_seeds_differ(tmp_path):
    first, second = simulate.cohort(["sub-01", "sub-02"], tmp_path, COARSE, seed=0).values()
    other = simulate.simulate("sub-01", 1, **COARSE)
    first, second = load(first).data, load(second).data
    for a, b in [(first, second), (first, other.data)]:
        brains = a > 0, b > 0
        overlap = 2 * (brains[0] & brains[1]).sum() / (brains[0].sum() + brains[1].sum())
        assert 0.8 < overlap < 0.98


def test_noise_leaves_the_anatomy():
    quiet = simulate.simulate("sub-01", 0, **COARSE, noise=[0, 0])
    loud = simulate.simulate("sub-01", 0, **COARSE, noise=[0.1, 0.1])
    np.testing.assert_array_equal(quiet.data > 0, loud.data > 0)
    inside = ndimage.binary_erosion(quiet.data > 0)
    spread = (loud.data - quiet.data)[inside].std() / np.median(quiet.data[inside])
    assert 0.07 < spread < 0.14


def test_white_matter_is_brightest_then_grey_matter_then_csf():
    # Without displacement the template's own maps tell where the tissues are.
    still = {"rotation": 0, "stretch": 0, "warps": [[40, 0]], "noise": [0, 0], "bias": [0, 0]}
    volume = simulate.simulate("sub-01", 0, voxel_size=2, sharpen=0, **still)
    scan = volume.data

    def sampled(image):
        to_template = np.linalg.inv(image.affine) @ volume.affine
        return ndimage.affine_transform(
            image.get_fdata(), to_template, output_shape=scan.shape, order=1
        )

    grey = sampled(simulate.datasets.load_mni152_gm_template(resolution=1))
    white = sampled(simulate.datasets.load_mni152_wm_template(resolution=1))
    fluid = (grey + white < 0.1) & (scan > 0)
    levels = [np.median(scan[tissue]) for tissue in (fluid, grey > 0.9, white > 0.9)]
    assert levels[0] * 1.2 < levels[1] < levels[2] / 1.05


@pytest.mark.parametrize("subject", ["sub-01", "sub-02", "sub-03"])
def test_the_deformation_does_not_fold(subject):
    settings = simulate.DEFAULTS | {"voxel_size": 3.0}
    shape, affine = simulate._grid(3.0)

    def draw(part):
        return simulate.generator(0, subject, part)

    voxels = simulate._anatomy(shape, affine, settings, draw)
    jacobian = np.stack(np.gradient(voxels, 3.0, axis=(1, 2, 3)))
    volume = np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)))
    assert volume.min() > 0.1
    assert 0.8 < volume.mean() < 1.2
    assert volume.std() > 0.05


def test_spline_field_is_smooth_bounded_and_independent_of_the_voxel_size():
    coarse, fine = (
        simulate._spline_field((n, n, n), voxel_size, 20, simulate.generator("field"))
        for n, voxel_size in [(41, 2.0), (81, 1.0)]
    )
    np.testing.assert_allclose(coarse, fine[::2, ::2, ::2], atol=1e-5)
    assert np.abs(fine).max() <= 1
    assert fine.std() > 0.1
    # A cubic B-spline's slope is at most the difference of neighbouring coefficients.
    assert all(np.abs(np.diff(fine, axis=axis)).max() < 2 / 20 for axis in range(3))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"voxelsize": 2}, "unknown parameter 'voxelsize': did you mean 'voxel_size'"),
        ({"voxel_size": 0}, r"voxel_size is 0; give 0\.5 to 8"),
        ({"voxel_size": "two"}, "voxel_size is 'two'; give numbers"),
        ({"noise": 0.02}, "noise is 0.02; give numbers as in"),
        ({"warps": [[10, 8]]}, "may fold the brain"),
    ],
)
def test_wrong_parameters(tmp_path, parameters, message):
    with pytest.raises(ConfigError, match=message):
        simulate.cohort(["sub-01"], tmp_path, parameters, seed=0)
    assert not list(tmp_path.iterdir())
