"""What readers get: pairs that say nothing of the methods, and a key apart from them."""

import csv
import json
import stat

import nibabel as nib
import numpy as np
import pytest

from mrisr.common.errors import InputError
from mrisr.readers import pairs
from mrisr.readers.folder import ReaderStudy
from mrisr.readers.found import found_items
from mrisr.readers.key import read_key
from mrisr.readers.pairs import make
from mrisr.volumes.io import Volume, load, save
from reader_scans import METHODS, make_study, write_results


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("pairs"), 9)


def key_of(study):
    return read_key(study.folder.with_name("key.csv"))


def test_the_key_tells_what_each_image_is(study):
    key = key_of(study)
    sources = {
        item.name: item for item in found_items(study.folder.parent / "results/flat", METHODS)
    }
    assert sorted(its.item for its in key.values()) == sorted(sources)
    for case in study.cases:
        its = key[case.name]
        assert (its.dataset, its.scale, its.subject) == ("knees", "2", its.item.split("_")[0])
        assert {its.left_method, its.right_method} == set(METHODS)
        truth = [
            load(sources[its.item].files[its.methods[name]]) for name in (case.left, case.right)
        ]
        gain = pairs.WHITE / max(volume.data.max() for volume in truth)
        shown = [nib.load(study.image(name)) for name in (case.left, case.right)]
        for volume, image in zip(truth, shown, strict=True):
            # One gain for both, to half a step; the same place in space.
            assert np.abs(np.asarray(image.dataobj) - gain * volume.data).max() <= 0.51
            np.testing.assert_allclose(image.affine, volume.affine, atol=1e-6)
        both = np.stack([image.dataobj for image in shown])
        assert case.window == (0, pytest.approx(np.percentile(both, 99.9), abs=1))
        assert case.shape == (1, 24, 20) and case.slices


def test_images_of_a_pair_differ_in_their_voxels_alone(study):
    assert len({case.left for case in study.cases} | {case.right for case in study.cases}) == 18
    for case in study.cases:
        left, right = (study.image(name).read_bytes() for name in (case.left, case.right))
        assert len(left) == len(right) and left[:352] == right[:352] and left != right
        header = nib.load(study.image(case.left)).header
        for field in ("descrip", "intent_name", "db_name", "aux_file"):
            assert not header[field].item()
        times = {study.image(name).stat().st_mtime_ns for name in (case.left, case.right)}
        assert times == {0}


def test_the_folder_holds_nothing_of_methods_and_subjects(study):
    assert sorted(path.name for path in study.folder.iterdir()) == ["images", "study.json"]
    text = (study.folder / "study.json").read_text()
    for word in ("conv", "coord", "sub-", "slice-", "knees"):
        assert word not in text
    mode = stat.S_IMODE(study.folder.with_name("key.csv").stat().st_mode)
    assert mode == 0o600


def test_order_sides_and_names_do_not_go_with_the_method(tmp_path):
    """Over many seeds: either method is as often left, first in the alphabet, and early."""
    items = found_items(write_results(tmp_path, 2, (1, 4, 3)), METHODS)
    left, first, early = 0, 0, 0
    for seed in range(40):
        folder = tmp_path / f"s{seed}"
        make(items, folder, tmp_path / f"s{seed}.csv", seed=seed)
        known = list(read_key(tmp_path / f"s{seed}.csv").values())
        lefts = [its.left_method == METHODS[0] for its in known]
        assert sum(lefts) == 1  # half of them
        left += lefts[0]
        for its in known:
            first += its.methods[min(its.left, its.right)] == METHODS[0]
        early += known[0].item == items[0].name
    # Five standard deviations of a fair coin.
    assert abs(left - 20) < 16 and abs(first - 40) < 23 and abs(early - 20) < 16


def test_the_same_seed_gives_the_same_bytes_and_another_other_pairs(tmp_path):
    def made(name, seed):
        study = make_study(tmp_path / name, seed=seed)
        files = sorted(path for path in study.folder.rglob("*") if path.is_file())
        files.append(study.folder.with_name("key.csv"))
        return [(path.name, path.read_bytes()) for path in files]

    first, again, other = made("a", 1), made("b", 1), made("c", 2)
    assert first == again
    assert not {name for name, _ in first[:-2]} & {name for name, _ in other[:-2]}


def test_repeats_are_cases_of_their_own_with_sides_changed(tmp_path):
    study = make_study(tmp_path, 6, repeats=2)
    key = key_of(study)
    again = [its for its in key.values() if its.repeat_of]
    assert len(study.cases) == 8 and len(again) == 2
    for its in again:
        before = key[its.repeat_of]
        assert (its.left, its.right) == (before.right, before.left)
        assert (its.left_method, its.item) == (before.right_method, before.item)
    assert not any("repeat" in path.read_text() for path in study.folder.glob("*.json"))


def test_volumes_of_any_study_become_pairs(tmp_path):
    study = make_study(tmp_path, 2, shape=(6, 7, 8), stage="sr")
    assert {case.shape for case in study.cases} == {(6, 7, 8)}
    assert not any(case.slices for case in study.cases)
    assert {its.subject for its in key_of(study).values()} == {"sub-00", "sub-01"}


def test_negative_and_empty_images_keep_one_scale(tmp_path):
    for name, data in (("a", np.full((1, 4, 4), -2.0)), ("b", np.zeros((1, 4, 4)))):
        save(Volume(data.astype(np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("a", "b")}
    make([pairs.Item("d", "s", "s", "2", files)], tmp_path / "s", tmp_path / "k.csv", seed=0)
    case = ReaderStudy.load(tmp_path / "s").cases[0]
    values = {
        int(nib.load(tmp_path / "s/images" / n).dataobj[0, 0, 0]) for n in (case.left, case.right)
    }
    assert values == {-pairs.WHITE, 0} and case.window[1] > case.window[0]


def test_a_study_with_readers_is_never_replaced_nor_a_key(study, tmp_path):
    items = found_items(study.folder.parent / "results/flat", METHODS)
    for place in (study.folder / "key.csv", study.folder / "images" / ".." / "k.csv"):
        with pytest.raises(InputError, match="keep it outside"):
            make(items, study.folder, place, seed=1)
    with pytest.raises(InputError, match=r"study.json: is there already"):
        make(items, study.folder, tmp_path / "k.csv", seed=1)
    (tmp_path / "k.csv").write_text("")
    with pytest.raises(InputError, match=r"k.csv: is there already"):
        make(items, tmp_path / "s", tmp_path / "k.csv", seed=1)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"count": 7}, "pairs: 7 asked for, of 6"),
        ({"count": 2, "repeats": 3}, "repeats: 3 .* of 2"),
    ],
)
def test_more_than_there_is_is_refused(tmp_path, options, message):
    items = found_items(write_results(tmp_path), METHODS)
    with pytest.raises(InputError, match=message):
        make(items, tmp_path / "s", tmp_path / "k.csv", seed=1, **options)


def test_pairs_that_cannot_be_compared_are_refused(tmp_path):
    results = write_results(tmp_path, 2)
    odd = results / "beyond/knees/conv/x2/sub-00_slice-1.nii.gz"
    save(Volume(np.ones((1, 24, 21), np.float32), np.diag([3, 0.5, 0.7, 1])), odd)
    with pytest.raises(InputError, match=r"sub-00_slice-1.nii.gz"):
        make(found_items(results, METHODS), tmp_path / "s", tmp_path / "k.csv", seed=1)
    assert not (tmp_path / "s/study.json").exists() and not (tmp_path / "k.csv").exists()
    save(Volume(np.full((1, 24, 20), np.nan, np.float32), np.diag([3, 0.5, 0.7, 1])), odd)
    with pytest.raises(InputError, match="not finite"):
        make(found_items(results, METHODS), tmp_path / "s", tmp_path / "k.csv", seed=1)


def test_what_is_compared_is_found_or_asked_for(tmp_path):
    results = write_results(tmp_path, 2)
    assert len(found_items(results, METHODS, 2.0, "knees")) == 2
    with pytest.raises(InputError, match=r"'conf': did you mean 'conv'"):
        found_items(results, ("coord_2x", "conf"))
    with pytest.raises(InputError, match="twice"):
        found_items(results, ("conv", "conv"))
    with pytest.raises(InputError, match="no dataset and scale in common"):
        found_items(results, METHODS, 3)
    for method in METHODS:
        folder = results / "beyond/knees" / method
        (folder / "x3").mkdir()
        (folder / "x3/sub-00_slice-1.nii.gz").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"several: 2, 3; give --scale|several: 3, 2; give --scale"
    ):
        found_items(results, METHODS)
    (results / "beyond/knees/conv/x2/sub-09_slice-1.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"sub-09_slice-1.nii.gz .* alone"):
        found_items(results, METHODS, 2)


def test_a_damaged_study_is_named(study, tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    with pytest.raises(InputError, match="mrisr readers make"):
        ReaderStudy.load(folder)
    said = json.loads((study.folder / "study.json").read_text())
    for change, message in (
        ({"cases": []}, "cases"),
        ({"choices": ["a"]}, "choices: give 5"),
        ({"questions": []}, "questions"),
        ({"cases": [{**said["cases"][0], "left": "../../key.csv"}]}, "no image"),
        ({"cases": [{"case": "x"}]}, "damaged"),
    ):
        (folder / "study.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(InputError, match=message):
            ReaderStudy.load(folder)


def test_a_key_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_key(tmp_path / "key.csv")
    with (tmp_path / "key.csv").open("w") as file:
        csv.writer(file).writerows([["case", "left"], ["case-001", "x"]])
    with pytest.raises(InputError, match="not the key of a reader study"):
        read_key(tmp_path / "key.csv")


def test_an_image_of_a_user_passes_the_gate(tmp_path):
    for name in ("a", "b"):
        save(Volume(np.ones((4, 5, 6), np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    image = nib.load(tmp_path / "b.nii.gz")
    image.header["sform_code"], image.header["qform_code"] = 0, 0
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), tmp_path / "b.nii.gz")
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("a", "b")}
    item = pairs.Item("ours", "sub-01", "sub-01", "2", files)
    with pytest.raises(InputError, match=r"b\.nii\.gz: no orientation in the header"):
        make([item], tmp_path / "study", tmp_path / "key.csv", seed=1)
