"""Training patches in a ZIP archive, against a server on this machine."""

import errno
import io
import shutil
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from mrisr.common.errors import ConfigError, InputError
from mrisr.data import datasets, draw_split
from mrisr.data import fetch as sources
from mrisr.methods import method as methods
from mrisr.prepare.ground_truth import Settings, listed_scans, prepare_patch, prepare_subjects
from mrisr.study.load import checked
from mrisr.train.engine import TrainingJob, train
from mrisr.volumes.io import Volume, load
from tiny_study import TINY

EDGE = 16
LAS = np.diag([-0.7, 0.7, 0.7, 1])


def patch(seed, top=0.9):
    data = np.random.default_rng(seed).random((EDGE, EDGE, EDGE), dtype=np.float32) * top
    return nib.Nifti1Image(data, LAS)


def packed(**members):
    """A ZIP archive with the authors' folders."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def gzipped(image, folder):
    nib.save(image, folder / "one.nii.gz")
    return (folder / "one.nii.gz").read_bytes()


@pytest.fixture
def lab(tmp_path, server):
    """The dataset of the authors' patches, from a server on this machine."""
    (tmp_path / "datasets").mkdir()
    spec = yaml.safe_load((datasets.FOLDER / "arssr_patches.yaml").read_text())
    spec["source"]["zip"] = f"{server.url}/download"
    spec["split"]["counts"] = {"train": 3, "val": 1, "test": 0}
    (tmp_path / "datasets" / "cubes.yaml").write_text(yaml.safe_dump(spec))
    members = {
        f"data/hr_train/100307_{i}.nii.gz": gzipped(patch(i), tmp_path) for i in range(3)
    } | {"data/hr_val/100408_0.nii.gz": gzipped(patch(9), tmp_path)}
    server.files["/download"] = packed(**members, **{"data/hr_train/../../evil.nii.gz": b"x"})
    return tmp_path


def loaded(lab, **overrides):
    return datasets.load("cubes", overrides, [lab], lab / "downloads")


def test_patches_are_downloaded_listed_and_trained_on(lab, monkeypatch):
    monkeypatch.chdir(lab)
    before = loaded(lab)
    assert before.unlisted.startswith("mrisr data split cubes")
    assert [len(before.subjects[s]) for s in ("train", "val", "test")] == [3, 1, 0]
    folder = draw_split.split(before, lab / "downloads")
    assert not list(lab.rglob("evil*"))
    dataset = loaded(lab)
    assert dataset.subjects["train"] == ["100307_0", "100307_1", "100307_2"]
    assert dataset.subjects["val"] == ["100408_0"] and dataset.unlisted is None
    # A copy on disk does as well.
    assert loaded(lab, folder=folder).subjects == dataset.subjects

    files = {}
    for split in ("train", "val"):
        sources.fetch(dataset, split, lab / "downloads", lab / f"{split}.tsv")
        names = dataset.subjects[split]
        files[split] = [lab / f"hr/{name}.nii.gz" for name in names]
        masks = [lab / f"masks/{name}.nii.gz" for name in names]
        scans = listed_scans(lab / f"{split}.tsv", names, files[split], masks)
        settings = Settings({"kind": "none"}, {"kind": "signal"}, min_size=EDGE, holds_patches=True)
        prepare_subjects(scans, settings, staging=lab / "staging", fingerprint="x")
    made = load(files["train"][1])
    # Turned to RAS, and not divided by its own maximum: its volume's was another.
    np.testing.assert_array_equal(made.data, patch(1).get_fdata(dtype=np.float32)[::-1])
    assert made.data.max() < 0.91 and made.stored == "LAS"
    assert load(lab / "masks/100307_1.nii.gz").data.all()

    method = methods.get("arssr_rdn", {**TINY["arssr_rdn"]})
    settings = {**method.spec["training"], "patches_per_subject": 1, "border": 0}
    job = TrainingJob(
        *("arssr_rdn", method.build, [2, 4], {**method.spec, "training": settings}),
        {"kind": "volume", "kernel": "spline", "grid": "corners", "antialias": None},
        *(1, files["train"], files["val"], str(lab / "checkpoints")),
    )
    trained = train(job)
    assert trained.info["steps"] == 12 and trained.info["passes"] == 8  # of 3 patches
    assert all(torch.isfinite(value).all() for value in trained.state.values())


def test_an_archive_that_is_none_or_changed_is_refused(lab, server):
    server.files["/download"] = b"<html>too large to scan for viruses</html>"
    with pytest.raises(InputError, match=r"sent no ZIP archive.*in a browser and put it at .*zip"):
        draw_split.split(loaded(lab), lab / "downloads")
    archive = lab / "downloads/cubes/data.zip"
    archive.write_bytes(packed(**{"data/hr_train/a_0.nii.gz": b"x"}))  # by hand, and half of it
    with pytest.raises(InputError, match=r"data\.zip: holds no hr_val/<name>\.nii\.gz"):
        draw_split.split(loaded(lab), lab / "downloads")
    archive.write_bytes(packed(other=b"x"))
    with pytest.raises(InputError, match=r"data\.zip: changed since its first use"):
        draw_split.split(loaded(lab), lab / "downloads")
    archive.with_name("data.zip.sha256").unlink()
    archive.write_bytes(archive.read_bytes()[:30])
    with pytest.raises(InputError, match=r"cannot be read as a ZIP archive"):
        draw_split.split(loaded(lab), lab / "downloads")


def test_a_damaged_patch_is_the_archives_fault_and_a_full_disk_is_not(lab, server, monkeypatch):
    content = bytearray(packed(**{"hr_train/a_0.nii.gz": b"x" * 999, "hr_val/b_0.nii.gz": b"y"}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    start = content.index(b"a_0.nii.gz") + len(b"a_0.nii.gz")
    content[start] |= 0b110  # a block of a kind that does not exist
    server.files["/download"] = bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as a ZIP archive .*delete it"):
        draw_split.split(loaded(lab), lab / "downloads")
    shutil.rmtree(lab / "downloads")
    server.files["/download"] = packed(**{"hr_train/a_0.nii.gz": b"x"})

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="full"):
        draw_split.split(loaded(lab), lab / "downloads")


@pytest.mark.parametrize(("low", "high"), [(0, 900), (-0.2, 1), (0, np.nan), (0, 1.01)])
def test_patches_that_are_not_normalised_are_refused(low, high):
    data = np.full((8, 8, 8), low, np.float32)
    data[0] = high
    with pytest.raises(InputError, match=r"p: intensities from .*its whole volume's maximum"):
        prepare_patch(Volume(data, np.eye(4)), "p")


def test_studies_train_on_patches_and_test_on_volumes(lab, monkeypatch):
    monkeypatch.chdir(lab)
    draw_split.split(loaded(lab), lab / "downloads")
    study = {
        "study": "patches",
        "seed": 1,
        "plugins": ["."],
        "downloads": "downloads",
        "datasets": {"cubes": {"roles": ["train"]}, "demo": {"roles": ["test"]}},
        "scales": [2],
        "degradation": {"kind": "volume"},
        "methods": {"cubic": None, "srcnn3d": None},
        "metrics": ["psnr"],
    }
    training = checked(study).methods["srcnn3d"].spec["training"]
    assert (training["patches_per_subject"], training["border"]) == (1, 0)
    tested = {**study["datasets"], "cubes": {"roles": ["train", "test"]}}
    with pytest.raises(ConfigError, match=r"datasets\.cubes: holds training patches, and no vol"):
        checked({**study, "datasets": tested})
    # The subjects that patches were cut from are known by their names.
    own = {"label": "Own", "skull_stripped": True, "split": "test"}
    own["source"] = {"kind": "folder", "folder": "own", "pattern": "{subject}.nii.gz"}
    (lab / "datasets/own.yaml").write_text(yaml.safe_dump(own))
    (lab / "own").mkdir()
    for name in ("100307", "999999"):
        (lab / f"own/{name}.nii.gz").touch()
    tested = {"cubes": {"roles": ["train"]}, "own": {"roles": ["test"]}}
    with pytest.raises(ConfigError, match=r"datasets\.own: 1 test subjects .*cut from: 100307;"):
        checked({**study, "datasets": tested})


def test_keys_that_do_not_go_together_are_refused(lab):
    file = lab / "datasets/cubes.yaml"
    spec = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**spec, "scans": "hr"}))
    with pytest.raises(ConfigError, match=r"scans: patches, split: \{kind: folders\} and source"):
        loaded(lab)
    file.write_text(yaml.safe_dump(spec))
    with pytest.raises(ConfigError, match=r"cubes\.split: a draw would put patches of one subject"):
        loaded(lab, split={"kind": "drawn", "fractions": [0.8, 0.2, 0]})
