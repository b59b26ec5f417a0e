"""Real LR scans: their SR grid, what is refused, references, scores on common slices."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy import ndimage

from mrisr.common.errors import InputError
from mrisr.common.files import Staging
from mrisr.evaluate.subjects import Options, Subject, score_subjects
from mrisr.prepare.real_volumes import (
    foreground,
    lr_scans,
    nearest,
    prepare_lr,
    prepare_lr_subjects,
    prepare_reference_subjects,
    references,
    resampled,
    sr_grid,
)
from mrisr.volumes.io import Volume, load, save

WHOLE, SIGNAL = {"kind": "none"}, {"kind": "signal"}
sizes = st.integers(4, 40)
AFFINE = np.array([[-1.0, 0.05, 0, 40], [0.05, 1.2, 0, -30], [0, 0, 0.9, 10], [0, 0, 0, 1]])


def head(shape=(24, 26, 22), noise=0.0, seed=0):
    """An uneven ellipsoid in a background of noise."""
    random = np.random.default_rng(seed)
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (
        sum((axis / radius) ** 2 for axis, radius in zip(grid, (0.6, 0.8, 0.7), strict=True)) < 1
    )
    texture = ndimage.gaussian_filter(random.random(shape), 2)
    texture = (texture - texture.mean()) / texture.std()
    data = np.where(inside, np.clip(1000 + 250 * texture, 100, None), 0)
    return (data + noise * random.random(shape)).astype(np.float32), inside


def write_sources(folder, **scans):
    """Write scans and the list of them."""
    rows = ["subject\tpath"]
    for subject, volume in scans.items():
        save(volume, folder / f"raw-{subject}.nii.gz")
        rows.append(f"{subject}\t{folder / f'raw-{subject}.nii.gz'}")
    (folder / "sources.tsv").write_text("\n".join(rows) + "\n")
    return folder / "sources.tsv"


@settings(deadline=None, max_examples=50)
@given(st.tuples(sizes, sizes, sizes), st.floats(1.2, 4))
def test_the_sr_grid_keeps_the_field_of_view(shape, scale):
    lr = Volume(np.zeros(shape, np.float32), AFFINE)
    finer, affine = sr_grid(lr, scale)
    assert finer == tuple(round(n * scale) for n in shape)
    edges = np.array([[-0.5, n - 0.5] for n in shape]).T
    wanted = apply_affine(AFFINE, edges)
    edges = np.array([[-0.5, n - 0.5] for n in finer]).T
    np.testing.assert_allclose(apply_affine(affine, edges), wanted, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.tuples(sizes, sizes, sizes), st.integers(1, 3))
def test_nearest_repeats_voxels_at_integer_scales(shape, scale):
    data = np.arange(np.prod(shape)).reshape(shape)
    wanted = data
    for axis in range(3):
        wanted = wanted.repeat(scale, axis)
    np.testing.assert_array_equal(nearest(data, wanted.shape), wanted)


@pytest.mark.parametrize("noise", [0, 40])
def test_foreground_is_the_head_with_or_without_noise_around_it(noise):
    data, inside = head(noise=noise)
    found = foreground(data)
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.98


def test_a_scan_becomes_canonical_and_is_divided_by_its_maximum():
    data, inside = head()
    affine = np.diag([-1.0, 1.2, 0.9, 1])
    affine[0, 3] = 23
    lr, mask = prepare_lr(Volume(data, affine), 1.5, WHOLE, SIGNAL, "scan")
    np.testing.assert_array_equal(lr.data, (data / data.max())[::-1])
    np.testing.assert_allclose(lr.affine, np.diag([1.0, 1.2, 0.9, 1]), atol=1e-12)
    assert lr.data.dtype == np.float32 and mask.data.dtype == np.uint8
    assert mask.data.shape == (36, 39, 33)
    np.testing.assert_allclose(mask.voxel_size, lr.voxel_size / 1.5)
    assert mask.data.mean() == pytest.approx(inside.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("edges", "message"),
    [((1, 1, 3), r"voxels of 1 x 1 x 3 mm.*1\.5 times.*resample"), ((1, 1.5, 1), None)],
)
def test_thick_slices_are_refused(edges, message):
    volume = Volume(head()[0], np.diag([*edges, 1.0]))
    if message is None:
        assert prepare_lr(volume, 2, WHOLE, SIGNAL, "scan")[1].data.shape == (48, 52, 44)
    else:
        with pytest.raises(InputError, match=f"scan: {message}"):
            prepare_lr(volume, 2, WHOLE, SIGNAL, "scan")


def test_a_study_of_thick_slices_refines_their_axis_alone():
    volume = Volume(head((24, 26, 8))[0], np.diag([-1, 1, 3.2, 1.0]))
    lr, inside = prepare_lr(volume, 3.2, WHOLE, SIGNAL, "its", slice_axis=2)
    assert inside.data.shape == (24, 26, 26) and lr.data.shape == (24, 26, 8)
    for end, other in (([-0.5] * 3, [-0.5] * 3), ([23.5, 25.5, 25.5], [23.5, 25.5, 7.5])):
        np.testing.assert_allclose(
            apply_affine(inside.affine, end), apply_affine(lr.affine, other), atol=1e-6
        )
    with pytest.raises(InputError, match=r"its: voxels of 1 x 1 x 3\.2 mm have no thick coronal"):
        prepare_lr(volume, 3.2, WHOLE, SIGNAL, "its", slice_axis=1)


def test_all_unusable_scans_are_named_and_nothing_is_written(tmp_path):
    data = head()[0]
    hole = data.copy()
    hole[5, 5, 5] = np.nan
    sources = write_sources(
        tmp_path,
        good=Volume(data, np.eye(4)),
        thick=Volume(data, np.diag([1, 1, 4, 1.0])),
        hole=Volume(hole, np.eye(4)),
    )
    subjects = ["good", "thick", "hole"]

    def run(subjects):
        lr = [tmp_path / "lr" / f"{s}.nii.gz" for s in subjects]
        masks = [tmp_path / "masks" / f"{s}.nii.gz" for s in subjects]
        staging = Staging(tmp_path / "staging", "same")
        settings = {"crop": WHOLE, "mask": SIGNAL, "min_size": 4}
        scans = lr_scans(sources, subjects, lr, masks)
        prepare_lr_subjects(scans, scale=2, **settings, staging=staging)
        return lr

    with pytest.raises(InputError, match=r"2 of 3 subjects") as caught:
        run(subjects)
    said = str(caught.value)
    assert "thick: " in said and "hole: " in said and "good: " not in said
    assert not (tmp_path / "lr").exists()
    assert load(run(["good"])[0]).data.max() == 1
    with pytest.raises(InputError, match=r"sources\.tsv: lacks nobody"):
        run(["nobody"])


def test_resampling_to_a_shifted_grid_moves_by_whole_voxels():
    data = head()[0]
    shift = np.eye(4)
    shift[:3, 3] = 1, 2, 3
    found = resampled(Volume(data, AFFINE), (10, 11, 12), AFFINE @ shift)
    np.testing.assert_allclose(found, data[1:11, 2:13, 3:15], atol=2e-2)


def motion(degrees, shift):
    """Return a rigid motion in mm."""
    angle = np.deg2rad(degrees)
    found = np.eye(4)
    found[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found[:3, 3] = shift
    return found


def prepare_reference(sources, folder, output, register):
    """Prepare the reference of the subject `one`, whose LR volume is `lr.nii.gz`."""
    made = [folder / f"{output}.nii.gz"], [folder / f"{output}-mask.nii.gz"]
    prepare_reference_subjects(
        references(sources, ["one"], [folder / "lr.nii.gz"], *made),
        **{"mask": SIGNAL, "register": register, "min_size": 8, "seed": 1},
        staging=Staging(folder / "staging", output),
    )


def test_a_reference_is_moved_to_the_lr_scan_by_its_affine_alone(tmp_path):
    fine = Volume(head((32, 36, 28), seed=3)[0], np.diag([2.0, 2.0, 2.0, 1]))
    fine.affine[:3, 3] = -32, -36, -28
    moved = motion(5, (4, -6, 3))
    doubled = np.diag([2.0, 2, 2, 1])
    doubled[:3, 3] = 0.5
    data = np.ascontiguousarray(ndimage.uniform_filter(fine.data, 2)[1::2, 1::2, 1::2])
    coarse = Volume(data, moved @ fine.affine @ doubled)
    points = apply_affine(fine.affine, np.argwhere(fine.data > 0)[::500])

    def misplaced(volume):
        arrived = apply_affine(volume.affine @ np.linalg.inv(fine.affine), points)
        return np.linalg.norm(arrived - apply_affine(moved, points), axis=1).max()

    assert misplaced(fine) > 5
    save(coarse, tmp_path / "lr.nii.gz")
    sources = write_sources(tmp_path, one=fine)
    for name in ("a", "b"):
        prepare_reference(sources, tmp_path, name, register="rigid")
    # Another run gives the same bytes.
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    reference = load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(reference.data, fine.data / fine.data.max(), atol=1e-6)
    assert misplaced(reference) < 2  # mm: half an LR voxel


def test_a_reference_that_is_not_moved_stays_where_the_scanner_put_it(tmp_path):
    fine = Volume(head()[0], np.diag([1.0, 1.1, 1.2, 1]))
    sources = write_sources(tmp_path, one=fine)
    # There is no LR volume to look at.
    prepare_reference(sources, tmp_path, "one", register="none")
    np.testing.assert_allclose(load(tmp_path / "one.nii.gz").affine, fine.affine)
    assert 0.1 < load(tmp_path / "one-mask.nii.gz").data.mean() < 0.9


def score(folder, image, output, metrics):
    """Score an image whose scan has its foreground in `mask.nii.gz`."""
    subject = Subject("sub-01", folder / image, foreground=folder / "mask.nii.gz")
    score_subjects([subject], Options(metrics), output)


def test_scores_do_not_depend_on_what_lies_outside_the_scans_foreground(tmp_path):
    data, inside = head((40, 42, 38))
    data /= data.max()
    noisy = data.copy()
    outside = np.ones(data.shape, bool)
    for axis in range(3):
        met = inside.any(axis=tuple(a for a in range(3) if a != axis))
        outside &= ~met.reshape([-1 if a == axis else 1 for a in range(3)])
    assert outside.any()
    noisy[outside] = 0.7
    save(Volume(inside.astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    values = []
    for name, image in (("plain", data), ("noisy", noisy)):
        save(Volume(image, AFFINE), tmp_path / f"{name}.nii.gz")
        score(tmp_path, f"{name}.nii.gz", tmp_path / f"{name}.csv", ["psnr", "lpc_si"])
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert table["metric"].tolist() == ["lpc_si"]
        values.append(table["value"][0])
    assert values[0] == values[1]


def test_an_image_off_the_scans_grid_is_refused(tmp_path):
    data, inside = head()
    save(Volume(data, AFFINE), tmp_path / "image.nii.gz")
    save(Volume(inside[1:].astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=r"sub-01: .*image\.nii\.gz: not on the grid of .*mask"):
        score(tmp_path, "image.nii.gz", tmp_path / "out.csv", ["lpc_si"])
    assert not (tmp_path / "out.csv").exists()
