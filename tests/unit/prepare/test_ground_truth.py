"""From raw scan to ground truth and mask."""

import itertools
import logging
import re

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from mrisr.common.errors import ConfigError, InputError
from mrisr.common.seeds import seed
from mrisr.prepare import ground_truth as prepare
from mrisr.volumes.io import Volume, load, save

NONE, BRAIN, SIGNAL = {"kind": "none"}, {"kind": "brain", "margin": 2}, {"kind": "signal"}
AFFINE = nib.affines.from_matvec(np.diag([0.9, 1.1, 1.5]), [-9.0, -12, -14])
SHAPE = (20, 22, 24)


def brain(shape=SHAPE, low=(5, 6, 7), high=(15, 17, 19), seed=0):
    """A block of random signal; 0 around it."""
    data = np.zeros(shape, np.float32)
    block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    data[block] = np.random.default_rng(seed).uniform(50, 900, data[block].shape)
    return data


def at_mm(volume):
    """Return {position in mm: intensity} of what is not 0."""
    index = np.argwhere(volume.data > 0)
    positions = nib.affines.apply_affine(volume.affine, index).round(3)
    return dict(zip(map(tuple, positions), volume.data[tuple(index.T)], strict=True))


def turned(volume, codes):
    """Return the same volume with its axes in another order or direction."""
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    return Volume(
        nib.orientations.apply_orientation(volume.data, turn),
        volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.data.shape),
    )


CROPS = st.one_of(
    st.just(NONE),
    st.builds(lambda margin: {"kind": "brain", "margin": margin}, st.integers(0, 12)),
    st.builds(
        lambda shape: {"kind": "shape", "shape": list(shape)}, st.tuples(*[st.integers(13, 30)] * 3)
    ),
)
ORIENTATIONS = [
    "".join(codes)
    for order in itertools.permutations(["LR", "PA", "IS"])
    for codes in itertools.product(*order)
]


@given(crop=CROPS, codes=st.sampled_from(ORIENTATIONS))
def test_every_voxel_keeps_its_position_and_is_scaled_by_one_gain(crop, codes):
    """Whatever the orientation and the crop."""
    data = brain()
    straight = Volume(data, AFFINE)
    scan = turned(straight, codes)
    assert "".join(nib.aff2axcodes(scan.affine)) == codes
    truth, mask = prepare.prepare_volume(scan, crop, SIGNAL, "sub-01")
    assert nib.aff2axcodes(truth.affine) == ("R", "A", "S")
    assert (truth.data.dtype, mask.data.dtype) == (np.float32, np.uint8)
    assert truth.data.shape == mask.data.shape
    assert truth.data.flags.c_contiguous
    np.testing.assert_array_equal(truth.affine, mask.affine)
    assert truth.data.min() >= 0
    assert truth.data.max() == 1
    ours, theirs = at_mm(truth), at_mm(straight)
    assert ours.keys() == theirs.keys()
    gains = [ours[position] / theirs[position] for position in theirs]
    np.testing.assert_allclose(gains, 1 / data.max(), rtol=1e-5)
    # The block is convex: closed and filled it is itself.
    np.testing.assert_array_equal(mask.data, truth.data > 0)


def test_oblique_affine_is_kept():
    angle = np.radians(10)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    oblique = nib.affines.from_matvec(turn, [1, 2, 3]) @ AFFINE
    truth, _ = prepare.prepare_volume(Volume(brain(), oblique), BRAIN, SIGNAL, "sub-01")
    assert at_mm(truth).keys() == at_mm(Volume(brain(), oblique)).keys()
    np.testing.assert_allclose(truth.affine[:3, :3], oblique[:3, :3])


@pytest.mark.parametrize(
    ("n", "box", "wanted", "window"),
    [
        (20, (5, 15), 24, (-2, 22)),  # padded on both sides
        (20, (5, 15), 23, (-2, 21)),
        (20, (5, 15), 20, (0, 20)),
        (20, (5, 15), 12, (4, 16)),  # the middle
        (20, (2, 10), 12, (0, 12)),  # the middle would cut the box: centred on it
        (20, (8, 18), 12, (7, 19)),
        (20, (11, 20), 10, (10, 20)),  # as far as the volume reaches
        (20, (0, 20), 12, (4, 16)),  # the box does not fit
        (30, (14, 30), 10, (17, 27)),
    ],
)
def test_window_of_a_given_shape(n, box, wanted, window):
    crop = {"kind": "shape", "shape": [wanted] * 3}
    assert prepare.crop_window([n] * 3, [box] * 3, crop) == [window] * 3


def test_brain_box_is_clipped_to_the_volume():
    boxes = [(5, 15), (1, 22), (0, 24)]
    windows = prepare.crop_window(SHAPE, boxes, {"kind": "brain", "margin": 3})
    assert windows == [(2, 18), (0, 22), (0, 24)]
    assert prepare.crop_window((90,) * 3, [(40, 50)] * 3, {"kind": "brain"})[0] == (32, 58)


def test_mask_is_closed_filled_and_the_largest_part():
    data = np.zeros((30, 30, 30), np.float32)
    data[4:20, 4:20, 4:20] = 1
    wanted = data > 0
    data[8:15, 8:15, 8:15] = 0  # a ventricle
    data[10, 11, 4:9] = 0  # a channel to it, narrow enough to close
    wanted[10, 11, 4] = False  # its mouth stays a dent
    data[25:28, 25:28, 25:28] = 1  # an eye
    mask = prepare.signal_mask(data, SIGNAL)
    np.testing.assert_array_equal(mask, wanted)


def test_mask_reaches_the_edge_of_the_volume():
    data = np.ones((9, 9, 9), np.float32)
    data[4, 4, 4] = 0
    assert prepare.signal_mask(data, SIGNAL).all()


def test_ringing_is_cut_and_counted(caplog):
    data = brain()
    data[0, 0, :5] = -0.02 * data.max()
    data[1, 1, :7] = -0.001 * data.max()
    with caplog.at_level(logging.INFO, logger="mrisr"):
        truth, _ = prepare.prepare_volume(Volume(data, AFFINE), NONE, SIGNAL, "sub-05")
    assert truth.data.min() == 0
    assert "sub-05: 5 voxels below -1 %" in caplog.text


def test_a_crop_through_the_mask_is_logged(caplog):
    crop = {"kind": "shape", "shape": [8, 22, 24]}
    prepare.prepare_volume(Volume(brain(), AFFINE), crop, SIGNAL, "sub-05")
    assert f"sub-05: the crop to [8, 22, 24] cuts off {2 * 11 * 12} voxels" in caplog.text


def changed(index, value):
    data = brain()
    data[index] = value
    return data


def sheared(amount):
    affine = AFFINE.copy()
    affine[0, 1] = amount
    return affine


FLAT = np.diag([1.0, 1, 1, 1])
FLAT[:, 1] = FLAT[:, 0] + [0, 1e-6, 0, 0]


@pytest.mark.parametrize(
    ("data", "affine", "message"),
    [
        (changed((0, 0, slice(3)), np.nan), AFFINE, "3 of 10560 voxels are NaN or infinite"),
        (changed((0, 0, 0), np.inf), AFFINE, "1 of 10560 voxels are NaN or infinite"),
        (np.zeros(SHAPE, np.float32), AFFINE, "constant, every voxel is 0"),
        (np.full(SHAPE, 7, np.float32), AFFINE, "constant, every voxel is 7"),
        (brain() - 800, AFFINE, "no magnitudes"),
        (-brain(), AFFINE, "no magnitudes"),
        (brain(), np.diag([1.0, 0, 1, 1]), "voxel size 1 x 0 x 1 mm"),
        (brain(), FLAT, "singular"),
        (brain(), np.full((4, 4), np.nan), "affine has NaN"),
        (brain(), sheared(0.2), "sheared.*resample"),
    ],
)
def test_refused_by_name(data, affine, message):
    with pytest.raises(InputError, match=f"sub-09: .*{message}"):
        prepare.prepare_volume(Volume(data, affine), NONE, SIGNAL, "sub-09")


def test_shear_within_rounding_is_accepted():
    prepare.prepare_volume(Volume(brain(), sheared(0.008)), NONE, SIGNAL, "sub-09")


def test_too_small_for_the_largest_scale():
    scan = Volume(brain(), AFFINE)
    assert prepare.prepare_volume(scan, BRAIN, SIGNAL, "sub-09", 14)[0].data.shape == (14, 15, 16)
    with pytest.raises(InputError, match=r"sub-09: 14 x 15 x 16 voxels .* at least 15"):
        prepare.prepare_volume(scan, BRAIN, SIGNAL, "sub-09", 15)


@pytest.mark.parametrize(
    "crop", [{"kind": "box"}, {"kind": "shape"}, {"kind": "shape", "shape": [4]}]
)
def test_unknown_crop_or_mask(crop):
    with pytest.raises(ConfigError, match=r"crop: .* not understood"):
        prepare.prepare_volume(Volume(brain(), AFFINE), crop, SIGNAL, "sub-09")
    with pytest.raises(ConfigError, match="mask: kind 'threshold' is unknown"):
        prepare.prepare_volume(Volume(brain(), AFFINE), NONE, {"kind": "threshold"}, "sub-09")


@pytest.mark.parametrize("codes", ["RAS", "LIP"])
def test_a_given_mask_makes_mask_and_box(tmp_path, codes):
    inside = np.zeros(SHAPE, np.float32)
    inside[6:9, 8:12, 9:14] = [[[2.0]]]
    inside[7, 9, 10] = np.nan  # counts as outside
    save(turned(Volume(inside, AFFINE), codes), tmp_path / "mask.nii.gz")
    truth, mask = prepare.prepare_volume(
        Volume(brain(), AFFINE),
        *({"kind": "brain", "margin": 0}, {"kind": "file"}, "sub-01", 3),
        lambda scan: prepare.given_mask(tmp_path / "mask.nii.gz", scan, "sub-01"),
    )
    assert truth.data.shape == mask.data.shape == (3, 4, 5)
    assert mask.data.dtype == np.uint8 and mask.data.sum() == 59 and not mask.data[1, 1, 1]
    np.testing.assert_allclose(truth.affine[:3, 3], (AFFINE @ [6, 8, 9, 1])[:3])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Volume(np.zeros(SHAPE, np.uint8), AFFINE), r"mask\.nii\.gz: the mask is empty; it must"),
        (
            Volume(np.ones((20, 22, 23), np.uint8), AFFINE),
            r"mask\.nii\.gz: not on the grid of .*x\.nii",
        ),
        (
            Volume(np.ones(SHAPE, np.uint8), AFFINE + 0.1 * np.eye(4, k=3)),
            "voxels lie up to .* off; resample the mask to",
        ),
    ],
)
def test_a_given_mask_that_does_not_fit_is_refused(tmp_path, mask, message):
    save(mask, tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=message):
        prepare.given_mask(tmp_path / "mask.nii.gz", Volume(brain(), AFFINE), "x.nii")


def test_a_crop_that_leaves_nothing_of_the_mask_is_refused():
    corners = np.zeros(SHAPE, np.uint8)
    corners[0, 0, 0] = corners[-1, -1, -1] = 1
    with pytest.raises(InputError, match=r"sub-01: the crop to \[9, 9, 9\] leaves nothing"):
        prepare.prepare_volume(
            Volume(brain(), AFFINE),
            *({"kind": "shape", "shape": [9, 9, 9]}, {"kind": "file"}, "sub-01", 3),
            lambda scan: Volume(corners, scan.affine),
        )


class Cohort:
    """Raw scans, their list and where their results go."""

    def __init__(self, folder, count=3):
        self.folder = folder
        self.subjects = [f"sub-{number:02d}" for number in range(1, count + 1)]
        self.raw = {subject: folder / f"raw/{subject}_T1w.nii.gz" for subject in self.subjects}
        for number, path in enumerate(self.raw.values()):
            save(Volume(brain(seed=number), AFFINE), path)
        self.hr = [folder / f"hr/{subject}.nii.gz" for subject in self.subjects]
        self.masks = [folder / f"masks/{subject}.nii.gz" for subject in self.subjects]
        self.list(dict.fromkeys(self.subjects, "abc"))

    def list(self, checksums):
        rows = [f"{name}\t{self.raw[name]}\t\t1\t{digest}" for name, digest in checksums.items()]
        text = "\n".join(["subject\tpath\turl\tbytes\tsha256", *rows]) + "\n"
        (self.folder / "sources.tsv").write_text(text)

    def prepare(
        self, fingerprint="code", workers=1, find_brain=None, formats=(), given=(), **changes
    ):
        files = (self.subjects, self.hr, self.masks, formats, given)
        prepare.prepare_subjects(
            prepare.listed_scans(self.folder / "sources.tsv", *files),
            prepare.Settings(**{"crop": BRAIN, "mask": SIGNAL, "min_size": 8} | changes),
            staging=self.folder / "staging",
            fingerprint=fingerprint,
            workers=workers,
            find_brain=find_brain,
        )

    def results(self):
        return [path for path in [*self.hr, *self.masks] if path.exists()]


@pytest.mark.parametrize("workers", [1, 2])
def test_cohort_is_prepared(tmp_path, workers):
    cohort = Cohort(tmp_path)
    cohort.prepare(workers=workers)
    for path, hr, mask in zip(cohort.raw.values(), cohort.hr, cohort.masks, strict=True):
        truth, inside = prepare.prepare_volume(load(path), BRAIN, SIGNAL, "x")
        np.testing.assert_array_equal(load(hr).data, truth.data)
        np.testing.assert_array_equal(load(mask).data, inside.data)
        np.testing.assert_allclose(load(hr).affine, truth.affine, rtol=1e-6)
        assert nib.load(mask).get_data_dtype() == np.uint8
    assert not (tmp_path / "staging").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_all_problems_are_reported_and_finished_subjects_are_kept(tmp_path, monkeypatch, workers):
    cohort = Cohort(tmp_path, 5)
    save(Volume(np.zeros(SHAPE, np.float32), AFFINE), cohort.raw["sub-02"])
    cohort.raw["sub-03"].write_bytes(cohort.raw["sub-03"].read_bytes()[:3000])
    cohort.list(dict.fromkeys(["sub-01", "sub-02", "sub-03", "sub-05"], "abc"))
    with pytest.raises(InputError) as caught:
        cohort.prepare(workers=workers)
    first, *lines = str(caught.value).splitlines()
    assert first == "3 of 5 subjects cannot be used:"
    lines = sorted(line.strip() for line in lines)
    assert len(lines) == 3
    assert lines[0].startswith("sub-02: ") and "constant" in lines[0]
    assert lines[1].startswith("sub-03: ") and "again" in lines[1]
    assert lines[2].startswith("sub-04: not in ") and "sources.tsv" in lines[2]
    assert cohort.results() == []

    # Mended (the raw scans are told apart by the list's checksums): only those two are made.
    cohort.subjects.remove("sub-04")
    del cohort.hr[3], cohort.masks[3]
    for subject in ["sub-02", "sub-03"]:
        save(Volume(brain(), AFFINE), cohort.raw[subject])
    loaded = []
    monkeypatch.setattr(prepare, "load_scan", lambda path, form: loaded.append(path) or load(path))
    cohort.prepare()
    assert len(cohort.results()) == 8
    assert loaded == [str(cohort.raw[subject]) for subject in ["sub-02", "sub-03"]]


def test_rerun_after_a_kill_continues_unless_something_changed(tmp_path, monkeypatch):
    cohort = Cohort(tmp_path)
    loaded = []

    def killed(path, form):
        loaded.append(path[-14:-11])
        if "sub-03" in path and len(loaded) <= 3:
            raise KeyboardInterrupt
        return load(path)

    monkeypatch.setattr(prepare, "load_scan", killed)
    for changes in [{}, {"fingerprint": "other"}, {"min_size": 9}, {"sha256": "def"}]:
        del loaded[:]
        with pytest.raises(KeyboardInterrupt):
            cohort.prepare()
        assert len(loaded) == 3
        assert cohort.results() == []
        checksum = changes.pop("sha256", None)
        if checksum:
            cohort.list(dict.fromkeys(cohort.subjects, checksum))
        cohort.prepare(**changes)
        anew = bool(changes or checksum)
        assert len(loaded) == (6 if anew else 4)
        for path in cohort.results():
            path.unlink()


def test_what_a_worker_notices_reaches_the_log(tmp_path, caplog):
    cohort = Cohort(tmp_path)
    crop = {"kind": "shape", "shape": [8, 22, 24]}
    for workers in [1, 2]:
        caplog.clear()
        cohort.prepare(workers=workers, crop=crop)
        notes = [record for record in caplog.records if "cuts off" in record.getMessage()]
        assert len(notes) == 3
        assert all(record.levelno == logging.WARNING for record in notes)


def test_slices_are_drawn_among_the_central_ones_and_keep_their_place():
    data = np.arange(40, dtype=np.float32)[:, None, None] + np.zeros((40, 6, 7), np.float32)
    affine = np.diag([0.5, 1.0, 1.0, 1.0])
    truth, inside = Volume(data, affine), Volume(np.ones((40, 6, 7), np.uint8), affine)
    settings = {"count": 5, "axis": "sagittal", "central": 10}
    found = prepare.take_slices(truth, inside, settings, "sub-01", (1, "slices", "sub-01"))
    index = [int(t.data.flat[0]) for t, _ in found]
    assert len(set(index)) == 5
    assert all(15 <= i < 25 for i in index)
    assert all(t.data.shape == m.data.shape == (1, 6, 7) for t, m in found)
    assert [t.affine[0, 3] for t, _ in found] == [0.5 * i for i in index]
    again = prepare.take_slices(truth, inside, settings, "sub-01", (1, "slices", "sub-01"))
    assert [int(t.data.flat[0]) for t, _ in again] == index
    with pytest.raises(InputError, match=r"sub-01: 3 slices, but 5"):
        prepare.take_slices(truth, inside, {"count": 5, "central": 3}, "sub-01", (1,))


def half(scan, seed, name):
    """Stand in for what finds brains: one half, named by the seed."""
    inside = np.zeros(scan.data.shape, np.uint8)
    inside[: 8 + seed % 2] = 1
    return Volume(inside, scan.affine)


@pytest.mark.parametrize("workers", [1, 2])
def test_brains_are_found_by_what_is_given(tmp_path, workers):
    cohort = Cohort(tmp_path)
    cohort.prepare(workers=workers, crop=NONE, mask={"kind": "template"}, find_brain=half, seed=4)
    for subject, path in zip(cohort.subjects, cohort.masks, strict=True):
        assert load(path).data.sum() == (8 + seed(4, "brain", subject) % 2) * 22 * 24


def test_given_masks_are_part_of_what_results_depend_on(tmp_path, monkeypatch):
    cohort = Cohort(tmp_path)
    given = [tmp_path / f"given/{subject}.nii.gz" for subject in cohort.subjects]
    for path in given:
        save(Volume(np.ones(SHAPE, np.uint8), AFFINE), path)
    loaded = []

    def killed(path, form):
        loaded.append(path)
        if len(loaded) == 2:
            raise KeyboardInterrupt
        return load(path)

    monkeypatch.setattr(prepare, "load_scan", killed)
    options = {"crop": NONE, "mask": {"kind": "file"}, "given": given}
    with pytest.raises(KeyboardInterrupt):
        cohort.prepare(**options)
    save(Volume(np.eye(22, 24, dtype=np.uint8)[None].repeat(20, 0), AFFINE), given[0])
    cohort.prepare(**options)
    assert len(loaded) == 2 + 3
    assert load(cohort.masks[0]).data.sum() == 20 * 22


def test_a_2d_study_has_its_slices_and_their_masks_in_turn(tmp_path):
    cohort = Cohort(tmp_path, 2)
    for kind in ("hr", "masks"):
        paths = [tmp_path / f"{kind}/{s}_{n}.nii.gz" for s in cohort.subjects for n in (1, 2)]
        setattr(cohort, kind, paths)
    cohort.prepare(slices={"count": 2}, seed=3)
    for index, subject in enumerate(cohort.subjects):
        whole = prepare.prepare_volume(load(cohort.raw[subject]), BRAIN, SIGNAL, "x")
        drawn = prepare.take_slices(*whole, {"count": 2}, "x", (3, "slices", subject))
        for number, (truth, inside) in enumerate(drawn, start=2 * index):
            np.testing.assert_array_equal(load(cohort.hr[number]).data, truth.data)
            np.testing.assert_array_equal(load(cohort.masks[number]).data, inside.data)


def test_formats_reach_the_reader(tmp_path, monkeypatch):
    cohort = Cohort(tmp_path)
    seen = []
    monkeypatch.setattr(prepare, "load_scan", lambda path, form: seen.append(form) or load(path))
    cohort.prepare(formats=[{"echo": 1}, None, {"echo": 2}])
    assert seen == [{"echo": 1}, None, {"echo": 2}]


@given(crop=CROPS, multiple=st.sampled_from([1, 4, 8]))
def test_sizes_are_cut_to_a_multiple_on_both_sides(crop, multiple):
    scan = Volume(brain(), AFFINE)
    whole, _ = prepare.prepare_volume(scan, crop, SIGNAL, "sub-01", 1)
    truth, mask = prepare.prepare_volume(scan, crop, SIGNAL, "sub-01", 1, multiple=multiple)
    assert truth.data.shape == tuple(n - n % multiple for n in whole.data.shape)
    low = [(n % multiple) // 2 for n in whole.data.shape]
    np.testing.assert_allclose(
        truth.affine[:3, 3], nib.affines.apply_affine(whole.affine, low), atol=1e-9
    )
    inner = tuple(slice(a, a + n) for a, n in zip(low, truth.data.shape, strict=True))
    np.testing.assert_allclose(truth.data * whole.data[inner].max(), whole.data[inner], atol=1e-6)
    assert mask.data.shape == truth.data.shape


def hot(times=30):
    """A brain with one voxel far brighter than all others."""
    data = brain()
    data[8, 9, 10] = times * np.quantile(data[data > 0], 0.99)
    return data


def test_one_hot_voxel_is_said_with_its_numbers_and_cut_by_white(caplog):
    caplog.set_level(logging.INFO, logger="mrisr")
    prepare.prepare_volume(Volume(brain(), AFFINE), NONE, SIGNAL, "sub-01")
    assert caplog.text == ""
    truth, _ = prepare.prepare_volume(Volume(hot(), AFFINE), NONE, SIGNAL, "sub-01")
    assert "30 times the 99 % quantile of the voxels above 0 (1 voxel is above 8" in caplog.text
    assert "about 30 dB higher than without; set intensity: {white: 99.9 %}" in caplog.text
    assert np.quantile(truth.data[truth.data > 0], 0.99) < 0.04
    caplog.clear()
    white = {"white": "99.9 %"}
    truth, _ = prepare.prepare_volume(
        Volume(hot(), AFFINE), NONE, SIGNAL, "sub-01", intensity=white
    )
    assert "2 voxels above white" in caplog.text and "WARNING" not in caplog.text
    sound, _ = prepare.prepare_volume(
        Volume(brain(), AFFINE), NONE, SIGNAL, "sub-01", intensity=white
    )
    others = hot() == brain()
    np.testing.assert_allclose(truth.data[others], sound.data[others], rtol=2e-3)
    assert truth.data.max() == 1 and (truth.data == 1).sum() == 2  # of 1200 above 0, 0.1 %


def test_psnr_with_white_is_that_of_the_scan_without_its_hot_voxel():
    """One hot voxel hides the errors of all others; with `white` they count as without it."""
    found = {}
    for name, data, intensity in (
        ("sound", brain(), {"white": "99.9 %"}),
        ("hot", hot(), None),
        ("cut", hot(), {"white": "99.9 %"}),
    ):
        truth, _ = prepare.prepare_volume(
            Volume(data, AFFINE), NONE, SIGNAL, "sub-01", intensity=intensity
        )
        blurred = ndimage.gaussian_filter(truth.data, 0.6)
        blurred[8, 9, 10] = truth.data[8, 9, 10]
        near = np.ones(truth.data.shape, bool)
        near[5:12, 6:13, 7:14] = False  # what the blur of the hot voxel reaches
        error = np.mean((truth.data - blurred)[near] ** 2)
        found[name] = 10 * np.log10(1 / error)
    assert found["hot"] > found["sound"] + 25
    assert found["cut"] == pytest.approx(found["sound"], abs=0.05)


def test_an_outlier_that_is_refused_is_taken_where_white_cuts_it():
    scan = Volume(hot(1000), AFFINE)
    with pytest.raises(InputError, match=r"or set intensity: \{white: 99\.9 %\}"):
        prepare.prepare_volume(scan, NONE, SIGNAL, "sub-01")
    truth, _ = prepare.prepare_volume(scan, NONE, SIGNAL, "sub-01", intensity={"white": "99 %"})
    assert np.quantile(truth.data[truth.data > 0], 0.5) > 0.4


@pytest.mark.parametrize("black", [0.001, 0.0012345678, 3.0, 10.2345])
def test_a_background_of_one_value_is_said_and_taken_away_by_black(black, caplog):
    data = brain() + np.float32(black)
    _, mask = prepare.prepare_volume(Volume(data, AFFINE), NONE, SIGNAL, "sub-01")
    assert mask.data.all()
    said = f"its background is {black:.3g}, not 0 (88% of the voxels): the mask is the whole volume"
    assert said in caplog.text
    # The number that is advised is the one that helps, with all its digits.
    advised = float(re.search(r"set intensity: \{black: (\S+)\}", caplog.text)[1])
    assert advised == pytest.approx(black, rel=1e-6)
    caplog.clear()
    truth, mask = prepare.prepare_volume(
        Volume(data, AFFINE), BRAIN, SIGNAL, "sub-01", intensity={"black": advised}
    )
    assert caplog.text == ""
    right, inside = prepare.prepare_volume(Volume(brain(), AFFINE), BRAIN, SIGNAL, "sub-01")
    np.testing.assert_array_equal(mask.data, inside.data)
    np.testing.assert_allclose(truth.data, right.data, atol=1e-5)


def test_an_offset_that_is_refused_is_taken_with_black():
    data = brain() + np.float32(300)
    with pytest.raises(InputError, match=r"or set intensity: \{black: 300\}"):
        prepare.prepare_volume(Volume(data, AFFINE), NONE, SIGNAL, "sub-01")
    black = {"black": 300.0}
    truth, _ = prepare.prepare_volume(Volume(data, AFFINE), NONE, SIGNAL, "sub-01", intensity=black)
    right, _ = prepare.prepare_volume(Volume(brain(), AFFINE), NONE, SIGNAL, "sub-01")
    np.testing.assert_allclose(truth.data, right.data, atol=1e-6)


def test_a_mask_of_all_voxels_is_said(tmp_path, caplog):
    data = brain() + np.random.default_rng(1).uniform(1, 9, SHAPE).astype(np.float32)
    save(Volume(data, AFFINE), tmp_path / "raw.nii.gz")
    scan = prepare.ListedScan(
        name="sub-01",
        outputs=(tmp_path / "hr.nii.gz", tmp_path / "mask.nii.gz"),
        sources="list.tsv",
        path=str(tmp_path / "raw.nii.gz"),
    )
    settings = prepare.Settings(NONE, SIGNAL, 8)
    prepare.prepare_subjects([scan], settings, staging=tmp_path / "staging", fingerprint="")
    assert "its mask is 100.0% of the volume, for nearly all voxels are above 0" in caplog.text
