"""Thick slices along one axis, k-space cuts and noise."""

import json

import numpy as np
import pytest
from nibabel.affines import apply_affine

from mrisr.common.errors import ConfigError, InputError
from mrisr.degrade.acquisition import Acquisition, by_scale, of_scale, parsed
from mrisr.degrade.kernels import kspace_matrix
from mrisr.degrade.noise import noisy
from mrisr.degrade.resample import apply_along, degrade, slice_profile_matrix
from mrisr.degrade.subjects import degrade_subjects
from mrisr.degrade.through_plane import fitted, profile_matrix, slices
from mrisr.volumes.io import Volume, save

THICK = {
    **{"kind": "through_plane", "axis": "axial", "profile": "gaussian", "kernel": "slice_profile"},
    **{"acquisitions": ["3|0", "4|1", "5|1.5"], "grid": "centres", "antialias": None},
}
KSPACE = {"kind": "volume", "kernel": "kspace", "grid": "centres", "antialias": None}


def random(*shape):
    return np.random.default_rng(5).random(shape)


def test_acquisitions_are_read_and_found_by_their_spacing():
    assert parsed("5|1.5") == Acquisition(5, 1.5) and str(parsed("4|1")) == "4|1"
    assert list(by_scale(THICK["acquisitions"])) == [3, 5, 6.5]
    assert of_scale(THICK, 5) == Acquisition(4, 1)
    assert of_scale({}, 2.5) == Acquisition(2.5, 0)
    for wrong, told in (("4", "is not"), ("0|4", "above 0"), ("1|0", "above 1"), ("x|1", "is not")):
        with pytest.raises(ConfigError, match=told):
            parsed(wrong)
    with pytest.raises(ConfigError, match="both have a slice every 5"):
        by_scale(["4|1", "5|0"])


@pytest.mark.parametrize("n", [40, 41])
def test_touching_gaussian_slices_are_those_of_stacks(n):
    m = slices(n, Acquisition(4))
    thickness = fitted(n, Acquisition(4)).thickness
    np.testing.assert_allclose(
        profile_matrix(n, m, thickness), slice_profile_matrix(n, m), atol=1e-12
    )


@pytest.mark.parametrize("profile", ["gaussian", "rect", "sinc"])
@pytest.mark.parametrize(("thickness", "gap", "n"), [(4, 1, 60), (5, 1.5, 65), (2.5, 0, 41)])
def test_a_profile_has_the_thickness_as_its_width_and_keeps_ramps(profile, thickness, gap, n):
    made = fitted(n, Acquisition(thickness, gap))
    m = slices(n, made)
    matrix = profile_matrix(n, m, made.thickness, profile)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    # Inside, a line that rises evenly keeps its value at the centre of every slice.
    centres = (np.arange(m) + 0.5) * n / m - 0.5
    reach = 2 * thickness if profile == "sinc" else 1.5 * thickness
    inside = (centres > reach) & (centres < n - 1 - reach)
    assert inside.any()
    error = abs(matrix @ np.arange(n) - centres)[inside].max()
    assert error < (0.02 if profile == "gaussian" else 0.05)
    # A thick slice of many voxels falls to half its height at half its thickness.
    fine = profile_matrix(801, 1, 200, profile)[0]
    assert fine[400] > 0
    np.testing.assert_allclose(fine[[300, 500]] / fine[400], 0.5, atol=0.02)
    with pytest.raises(ValueError, match="profile 'box'"):
        profile_matrix(9, 3, 3, "box")


def test_a_rectangular_slice_of_whole_voxels_is_their_mean_and_a_gap_is_not_seen():
    line = random(20)
    seen = profile_matrix(20, 4, 3, "rect") @ line
    np.testing.assert_allclose(seen, line.reshape(4, 5)[:, 1:4].mean(axis=1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_adjoint_is_the_transpose(axis):
    matrix = profile_matrix(18, 4, 3.6)
    shape = (18, 18, 18)
    x, low = random(*shape), random(*(4 if a == axis else 18 for a in range(3)))
    forward, back = apply_along(x, matrix, axis), apply_along(low, matrix.T, axis)
    np.testing.assert_allclose((forward * low).sum(), (x * back).sum())


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_thick_slices_show_a_smooth_object_where_it_is(name):
    axes = np.meshgrid(*[np.arange(n) for n in (39, 41, 44)], indexing="ij")
    blob = np.exp(-sum((a - c) ** 2 for a, c in zip(axes, (17, 22, 19), strict=True)) / 50)
    turn = np.array([[0, -0.9, 0, 3], [1, 0, 0, -5], [0, 0, 1.1, 8], [0, 0, 0, 1.0]])
    truth = Volume(blob.astype(np.float32), turn)
    low = degrade(truth, 5, {**THICK, "axis": name})[""]
    axis = ("sagittal", "coronal", "axial").index(name)
    assert [n for a, n in enumerate(low.data.shape) if a != axis] == [
        n for a, n in enumerate(blob.shape) if a != axis
    ]
    assert low.data.shape[axis] == round(blob.shape[axis] / 5)

    def place(volume):
        where = np.stack(np.meshgrid(*map(np.arange, volume.data.shape), indexing="ij"), -1)
        return apply_affine(
            volume.affine, (where * volume.data[..., None]).sum((0, 1, 2)) / volume.data.sum()
        )

    np.testing.assert_allclose(place(low), place(truth), atol=0.06)


def test_lr_files_have_a_sidecar_in_mm(tmp_path):
    truth = Volume(random(8, 9, 20).astype(np.float32), np.diag([0.8, 0.8, 1.2, 1]))
    hr, lr, about = (str(tmp_path / name) for name in ("hr.nii.gz", "lr.nii.gz", "lr.json"))
    save(truth, hr)
    degrade_subjects([hr], {"": [lr]}, 5, THICK, sidecars=[about])
    said = json.loads((tmp_path / "lr.json").read_text())
    assert said == {"SliceThickness": 4.8, "SpacingBetweenSlices": 6.0}


@pytest.mark.parametrize(("n", "m"), [(24, 10), (24, 11), (25, 10), (25, 12)])
def test_kspace_keeps_images_without_high_frequencies(n, m):
    phase = 0.7
    centres = (np.arange(m) + 0.5) * n / m - 0.5
    for frequency in range((m - 1) // 2 + 1):

        def wave(x, frequency=frequency):
            return 2 + np.cos(2 * np.pi * frequency * x / n + phase)

        np.testing.assert_allclose(
            kspace_matrix(n, m) @ wave(np.arange(n)), wave(centres), atol=1e-12
        )
    for window in ("tukey", "hamming"):
        matrix = kspace_matrix(n, m, window)
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        assert abs(matrix).sum() < abs(kspace_matrix(n, m)).sum()  # it rings less
    np.testing.assert_allclose(kspace_matrix(n, n), np.eye(n), atol=1e-12)
    with pytest.raises(ValueError, match="window 'hann'"):
        kspace_matrix(n, m, "hann")


def test_kspace_equals_a_cut_fourier_transform():
    line, n, m = random(15), 15, 5
    spectrum = np.fft.fftshift(np.fft.fft(line))[5:10]
    # A scanner's samples begin at sample 0; these lie a shift of (n/m - 1)/2 further.
    turn = np.exp(2j * np.pi * np.arange(-2, 3) * (n / m - 1) / 2 / n)
    cut = np.fft.ifft(np.fft.ifftshift(spectrum * turn)).real * m / n
    np.testing.assert_allclose(kspace_matrix(n, m) @ line, cut, atol=1e-12)
    low = degrade(Volume(random(12, 12, 12).astype(np.float32), np.eye(4)), 2, KSPACE)[""]
    assert low.data.min() >= 0 and low.affine[0, 3] == 0.5


def test_noise_has_the_asked_level_and_depends_on_its_seed_alone():
    truth = Volume(np.full((40, 40, 40), 0.8, np.float32), np.eye(4))
    mask = np.ones(truth.data.shape, np.uint8)
    low = Volume(np.full((20, 20, 20), 0.8, np.float32), np.diag([2, 2, 2, 1.0]))
    made = noisy(low, truth, mask, 20, 1, "ds", "sub-01", 2.0)
    assert made.data.std() == pytest.approx(0.8 / 20, rel=0.03)
    assert made.data.dtype == np.float32
    again = noisy(low, truth, mask, 20, 1, "ds", "sub-01", 2.0)
    np.testing.assert_array_equal(made.data, again.data)
    for other in ((2, "ds", "sub-01", 2.0), (1, "ds", "sub-02", 2.0), (1, "ds", "sub-01", 3.0)):
        assert not np.array_equal(made.data, noisy(low, truth, mask, 20, *other).data)
    dark = Volume(np.zeros_like(low.data), low.affine)  # Rayleigh: mean sigma sqrt(pi / 2)
    background = noisy(dark, truth, mask, 20, 1)
    assert background.data.mean() == pytest.approx(0.04 * np.sqrt(np.pi / 2), rel=0.02)
    with pytest.raises(InputError, match="mask is empty"):
        noisy(low, truth, np.zeros_like(mask), 20, 1)


def test_lr_files_get_noise_that_the_seed_decides(tmp_path):
    truth = Volume(random(12, 12, 12).astype(np.float32), np.eye(4))
    hr, mask = str(tmp_path / "hr.nii.gz"), str(tmp_path / "mask.nii.gz")
    save(truth, hr)
    save(Volume(np.ones(truth.data.shape, np.uint8), truth.affine), mask)
    found = []
    for name, parts, noise in (("a", (1, "d"), {"snr": 30}), ("b", (2, "d"), {"snr": 30}),
                               ("c", (1, "d"), {"snr": 30}), ("d", (1, "d"), None)):  # fmt: skip
        lr = str(tmp_path / f"{name}.nii.gz")
        how = {**KSPACE, "noise": noise}
        degrade_subjects([hr], {"": [lr]}, 2, how, masks=[mask], seed_parts=parts)
        found.append((tmp_path / f"{name}.nii.gz").read_bytes())
    assert found[0] == found[2] and len(set(found)) == 3
