"""What readers get: pairs that say nothing of the methods, and a key apart from them."""

import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from mrisr.errors import InputError
from mrisr.io import Volume, save
from mrisr.reader_pairs import export_pairs

ITEMS = [f"sub-{i:02d}_slice-1" for i in range(9)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two methods' slices: of the second one every intensity is higher, some above 1."""
    folder = tmp_path_factory.mktemp("beyond")
    found = {"coord_2x": [], "conv": []}
    for index, item in enumerate(ITEMS):
        data = np.random.default_rng(index).random((1, 20, 16), dtype=np.float32)
        for name, gain in (("coord_2x", 0.5), ("conv", 1.2)):
            found[name].append(str(folder / name / f"{item}.nii.gz"))
            save(Volume(gain * data, np.diag([3, 0.5, 0.7, 1])), found[name][-1])
    return found


def export(images, folder, count=None, seed=1):
    key = folder / "key.csv"
    export_pairs(images, ITEMS, folder / "pairs", folder / "pairs.csv", key, count, seed)
    with (folder / "pairs.csv").open() as shown, key.open() as known:
        return list(csv.DictReader(shown)), list(csv.DictReader(known))


def test_the_key_tells_what_each_image_is(images, tmp_path):
    shown, known = export(images, tmp_path)
    assert len(shown) == len(known) == 9
    assert sorted(row["item"] for row in known) == ITEMS
    for pair, row in zip(shown, known, strict=True):
        assert pair["pair"] == row["pair"]
        assert (pair["row_mm"], pair["column_mm"]) == ("0.7", "0.5")
        white = float(pair["white"])
        assert 0 < float(pair["window"]) <= white
        for side in ("left", "right"):
            file = tmp_path / pair[side]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == row[f"{side}_sha256"]
            image = np.asarray(Image.open(file))
            assert image.dtype == np.uint16 and image.shape == (16, 20)
            index = ITEMS.index(row["item"])
            data = np.random.default_rng(index).random((1, 20, 16), dtype=np.float32)[0]
            gain = {"coord_2x": 0.5, "conv": 1.2}[row[f"{side}_method"]]
            seen = image.astype(np.float64) / 65535 * white
            # Superior is up and anterior on the left.
            np.testing.assert_allclose(seen, gain * data.T[::-1, ::-1], atol=2e-5)


def test_sides_and_order_are_drawn_and_nothing_else_tells_them_apart(images, tmp_path):
    shown, known = export(images, tmp_path)
    left = [row["left_method"] for row in known]
    assert abs(left.count("conv") - left.count("coord_2x")) == 1
    assert [row["item"] for row in known] != ITEMS
    text = (tmp_path / "pairs.csv").read_text()
    for word in ("conv", "coord", "sub-", "slice"):
        assert word not in text
    for file in (tmp_path / "pairs").iterdir():
        assert set(Image.open(file).info) == set()  # no text, no date
        assert file.name.rpartition("_")[0] in {row["pair"] for row in shown}


def test_the_same_seed_gives_the_same_bytes_and_another_other_pairs(images, tmp_path):
    first, again, other = (
        export(images, tmp_path / name, 4, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again and len(first[0]) == 4
    assert first[1] != other[1]


def test_an_export_takes_the_place_of_the_one_before(images, tmp_path):
    export(images, tmp_path)
    export(images, tmp_path, 2)
    assert len(list((tmp_path / "pairs").iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.csv", "pairs", "pairs.csv"]


def test_pairs_that_cannot_be_made_are_refused(images, tmp_path):
    with pytest.raises(InputError, match=r"reader_study.pairs: 10 asked for, but there are 9"):
        export(images, tmp_path, 10)
    save(Volume(np.ones((1, 20, 18), np.float32), np.diag([3, 0.5, 0.7, 1])), tmp_path / "x.nii.gz")
    odd = {**images, "conv": [str(tmp_path / "x.nii.gz")] * 9}
    with pytest.raises(InputError, match=r"x.nii.gz"):
        export(odd, tmp_path)
