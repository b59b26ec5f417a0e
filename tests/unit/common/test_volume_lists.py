"""Lists of volumes: what they name, and volumes that are gone or changed since."""

import hashlib

import pytest

from mrisr.common import volume_lists
from mrisr.common.errors import InputError


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Return a list of two images with masks, by paths relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "mask_a", "mask_b"):
        (tmp_path / f"{name}.nii.gz").write_text(name)
    masks = ["mask_a.nii.gz", "mask_b.nii.gz"]
    volume_lists.write("list.tsv", 2, image=["a.nii.gz", "b.nii.gz"], mask=masks)
    return "list.tsv"


def test_a_list_names_images_and_masks_with_their_checksums(listed, tmp_path):
    rows = (tmp_path / listed).read_text().splitlines()
    assert rows[0] == "image\timage_sha256\tmask\tmask_sha256"
    its = [hashlib.sha256(name.encode()).hexdigest() for name in ("b", "mask_b")]
    assert rows[2] == f"b.nii.gz\t{its[0]}\tmask_b.nii.gz\t{its[1]}" and len(rows) == 3


def test_lists_and_volumes_are_told_apart_and_keep_their_order(listed, tmp_path):
    (tmp_path / "0.nii.gz").write_text("0")
    assert volume_lists.files([listed, "0.nii.gz"]) == ["a.nii.gz", "b.nii.gz", "0.nii.gz"]
    assert volume_lists.files([listed], "mask") == ["mask_a.nii.gz", "mask_b.nii.gz"]
    found = volume_lists.checksums(["0.nii.gz", listed])
    assert list(found) == ["0.nii.gz", "a.nii.gz", "b.nii.gz"]
    assert found["a.nii.gz"] == hashlib.sha256(b"a").hexdigest()


@pytest.mark.parametrize("look", [volume_lists.files, volume_lists.checksums])
def test_a_volume_that_is_gone_is_named_with_what_makes_it_again(listed, tmp_path, look):
    (tmp_path / "b.nii.gz").unlink()
    assert "mask_b.nii.gz" in look([listed], "mask")
    with pytest.raises(
        InputError, match=r"b\.nii\.gz: not there, but listed in list\.tsv"
    ) as error:
        look([listed])
    assert str(error.value).startswith("b.nii.gz: not there, but listed in list.tsv")
    assert "run snakemake as before with b.nii.gz as its target" in str(error.value)


def test_a_volume_that_changed_is_refused(listed, tmp_path):
    (tmp_path / "a.nii.gz").write_text("another")
    with pytest.raises(InputError, match=r"a\.nii\.gz: changed since it was made") as error:
        volume_lists.checksums([listed])
    assert "Delete it, then run snakemake" in str(error.value)
    # Where only the grid counts, it is not read.
    assert volume_lists.files([listed])[0] == "a.nii.gz"


def test_of_many_problems_some_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{i}.nii.gz" for i in range(9)]
    for name in names:
        (tmp_path / name).write_text(name)
    volume_lists.write("list.tsv", image=names)
    for name in names:
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="and 4 more"):
        volume_lists.files(["list.tsv"])
