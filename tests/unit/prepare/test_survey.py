"""`mrisr data list | describe | check`."""

import gzip
import os

import nibabel as nib
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from corpus import AFFINE, KINDS, Lab, head
from mrisr.cli.main import app
from mrisr.common.text import WIDTH
from mrisr.data import datasets
from mrisr.prepare import survey


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab(tmp_path):
    """A dataset of eight sound scans."""
    lab = Lab(tmp_path)
    for number in range(2, 9):
        data = head()
        data[10, 10, 10] += number  # no two are the same
        lab.write(data, subject=f"sub-{number:02}")
    lab.spec()
    return lab


def call(*arguments):
    done = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def make(lab, name):
    (kind,) = (kind for kind in KINDS if kind.name == name)
    lab.scan.unlink(missing_ok=True)
    kind.make(lab)


WEB = {
    "label": "Web",
    "licence": "CC0",
    "skull_stripped": True,
    "scan": {"shape": [20, 22, 24], "voxel_size": [0.9, 1.1, 1.5], "megabytes": 2},
    "source": {
        "kind": "https",
        "url": "https://example.org/{subject}.nii.gz",
        "pattern": "{subject}.nii.gz",
    },
    "split": "web.tsv",
}


def web(root, **changes):
    """Write a dataset of three subjects that would be downloaded; it is never asked for."""
    (root / "datasets").mkdir(exist_ok=True)
    (root / "datasets" / "web.yaml").write_text(yaml.safe_dump(WEB | changes))
    rows = ["subject\tsplit", "sub-01\ttrain", "sub-02\tval", "sub-03\ttest"]
    (root / "datasets" / "web.tsv").write_text("\n".join(rows) + "\n")


def test_list_names_every_dataset_and_what_is_on_disk(lab):
    web(lab.root)
    (lab.root / "datasets" / "lost.yaml").write_text(
        yaml.safe_dump(WEB | {"source": {"kind": "bids", "folder": "nowhere"}, "split": "test"})
    )
    here = lab.root / "resources" / "web"
    here.mkdir(parents=True)
    (here / "sub-02.nii.gz").write_bytes(bytes(5000))
    (here / "checksums.tsv").write_bytes(bytes(100))
    done = call("list", "--plugins", lab.root)
    assert done.exit_code == 0
    for name in datasets.names([lab.root]):
        assert f"\n{name}" in "\n" + done.stdout
    assert "8 subjects (8 test)" in done.stdout
    assert (
        "3 subjects (1 train, 1 val, 1 test); 20 x 22 x 24 voxels of 0.9 x 1.1 x 1.5 mm\n"
        "  download; 1 of 3 scans on disk, 5 kB, 100 bytes of other files, about 6 MB in all"
    ) in done.stdout
    assert "cannot be used: dataset 'lost': no folder nowhere" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", datasets.names())
def test_describe_says_what_the_file_of_a_dataset_says(name):
    done = call("describe", name)
    assert done.exit_code == 0
    said = " ".join(done.stdout.split())
    dataset = datasets.load(name)
    for key in ("description", "licence", "citation", "doi", "url"):
        assert " ".join(dataset.spec[key].split()) in said
    for split, subjects in dataset.subjects.items():
        assert f"{len(subjects)} {split}" in said or not subjects
    assert dataset.needs_folder or "nothing on disk yet" in said
    long = [line for line in done.stdout.splitlines() if len(line) > WIDTH]
    assert all(len(line.split()) <= 2 for line in long)  # a path or an address


def test_describe_counts_published_checksums(lab):
    web(lab.root)
    table = lab.root / "datasets" / "web.tsv"
    rows = table.read_text().splitlines()
    stated = [f"{row}\t{'a' * 32}\t{700 + n}" for n, row in enumerate(rows[1:])]
    table.write_text("\n".join([rows[0] + "\tmd5\tbytes", *stated]) + "\n")
    said = call("describe", "web", "--plugins", lab.root).stdout
    assert "published for all files" in said
    assert "about 2.1 kB in all" in said
    assert "https://example.org/{subject}.nii.gz" in said


def test_a_sound_dataset_passes(lab):
    done = call("check", "own", "--plugins", lab.root, "--full", "--workers", 2)
    assert done.exit_code == 0
    assert "8 fine (" in done.stdout and "0 with problems" in done.stdout
    assert "shape:       20 x 22 x 24 (8)" in done.stdout
    assert "voxel size:  0.9 x 1.1 x 1.5 mm (8)" in done.stdout
    assert "orientation: LAS (8)" in done.stdout
    assert "Problems" not in done.stdout and "Warnings" not in done.stdout


def test_scans_unlike_the_others_are_named_and_no_problem(lab):
    lab.write(head((30, 22, 24)), subject="sub-03")
    lab.write(head(), np.diag([0.9, 1.1, 1.6, 1]), subject="sub-04")
    done = call("check", "own", "--plugins", lab.root)
    assert done.exit_code == 0
    for line in (
        "sub-03: shape 30 x 22 x 24 where 7 of 8 have 20 x 22 x 24",
        "sub-04: voxel size 0.9 x 1.1 x 1.6 mm where 7 of 8 have 0.9 x 1.1 x 1.5 mm",
        "sub-04: orientation RAS where 7 of 8 have LAS",
    ):
        assert line in done.stdout


def test_one_scan_under_two_names_is_refused(lab):
    lab.path("sub-05").write_bytes(lab.path("sub-06").read_bytes())
    done = call("check", "own", "--plugins", lab.root, "--full", "--workers", 1)
    assert done.exit_code == 1
    said = " ".join(done.stdout.split())
    assert "the same scan as sub-05 (test) -> take one of them out" in said


def test_training_patches_are_held_to_what_preparing_them_refuses(lab, monkeypatch):
    (lab.root / "cubes/hr_train").mkdir(parents=True)
    (lab.root / "cubes/hr_val").mkdir()
    data = np.random.default_rng(0).random((3, 16, 16, 16), dtype=np.float32)
    for name, patch in zip(("hr_train/a_0", "hr_train/a_1", "hr_val/b_0"), data, strict=True):
        scale = 900 if name == "hr_train/a_1" else 0.9
        nib.save(nib.Nifti1Image(patch * scale, AFFINE), lab.root / f"cubes/{name}.nii.gz")
    lab.changes = {
        "source": {"kind": "folder", "folder": "cubes", "pattern": "hr_*/{subject}.nii.gz"},
        "scans": "patches",
        "split": {"kind": "folders", "train": "hr_train", "val": "hr_val"}
        | {"counts": {"train": 2, "val": 1, "test": 0}},
    }
    lab.spec()
    monkeypatch.chdir(lab.root)
    done = call("check", "own", "--plugins", lab.root, "--full", "--workers", 1)
    said = " ".join(done.stdout.split())
    assert done.exit_code == 1 and "1 with problems" in said, done.output
    assert "a_1.nii.gz: intensities from" in said and "whole volume's maximum" in said
    assert "its mask is" not in said


@pytest.mark.parametrize("how", ["copy", "hard link", "link"])
def test_one_scan_in_two_splits_is_refused_by_the_header_alone(lab, how):
    lab.rows = "subject split\nsub-01 train\nsub-02 train\nsub-03 val\nsub-05 test\nsub-06 test\n"
    lab.spec()
    test, train = (lab.path(subject) for subject in ("sub-05", "sub-01"))
    test.unlink()
    if how == "copy":
        test.write_bytes(train.read_bytes())
    else:
        (os.link if how == "hard link" else os.symlink)(train.absolute(), test)
    done = call("check", "own", "--plugins", lab.root)
    assert done.exit_code == 1
    said = " ".join(done.stdout.split())
    assert "sub-05 (test): " in said and "the same scan as sub-01 (train) -> take it out" in said
    assert "1 with problems" in said


def test_files_of_one_size_are_read_only_where_samples_of_them_are_equal(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(survey, "sha256", lambda path: read.append(path.name) or path.read_bytes())
    content = np.random.default_rng(0).bytes(40_000)
    contents = {"a": content, "b": content, "c": content[::-1], "d": content[:-500] + bytes(500)}
    rows = []
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        rows.append(survey.Row(name, "train", survey.Report(tmp_path / name)))
    rows[1].split = "test"
    survey._refuse_twins(rows, {}, tmp_path)
    assert [len(row.report.problems) for row in rows] == [0, 1, 0, 0]
    assert read == ["a", "b"]


def test_the_header_alone_is_read_unless_full(lab):
    make(lab, "one NaN")
    assert call("check", "own", "--plugins", lab.root).exit_code == 0
    done = call("check", "own", "--plugins", lab.root, "--full", "--workers", 1)
    assert done.exit_code == 1
    assert "1 of 10560 voxels are NaN" in done.stdout


def test_problems_that_many_share_are_said_once(lab):
    lab.rows = "subject split\n" + "".join(f"sub-{n:02} test\n" for n in range(1, 40))
    lab.spec()
    make(lab, "4-D series")
    done = call("check", "own", "--plugins", lab.root, "--csv", "out.csv")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "31 subjects (sub-09, sub-10," in text and "sub-20 and 19 more): no file" in text
    assert done.stdout.count("no file") == 1
    assert "sub-02 (test): sub-02/anat/sub-02_T1w.nii.gz: 4-D with shape" in text
    assert "7 fine" in text and "32 with problems" in text
    assert (lab.root / "out.csv").read_text().count("no file") == 31
    assert max(map(len, done.stdout.splitlines())) <= max(WIDTH, len(str(lab.bids)) + 20)


def test_nothing_is_downloaded_and_absent_is_no_problem(lab, monkeypatch):
    web(lab.root)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked for the network"))
    path = lab.root / "resources" / "web" / "sub-02.nii.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(lab.path("sub-02").read_bytes())
    done = call("check", "web", "--plugins", lab.root)
    assert done.exit_code == 0
    assert "1 fine" in done.stdout
    assert "2 not on disk yet, the workflow downloads them: sub-01, sub-03" in done.stdout

    # What was recorded at the download is verified, as fetching does.
    (path.parent / "checksums.tsv").write_text(
        f"file\tbytes\tsha256\nsub-02.nii.gz\t{path.stat().st_size}\t{'0' * 64}\n"
    )
    done = call("check", "web", "--plugins", lab.root, "--full", "--workers", 1)
    assert done.exit_code == 1
    assert "its sha256 is" in done.stdout and "checksums.tsv has from its download" in done.stdout


def test_split_and_folder_are_chosen(lab):
    web(lab.root)
    copy = lab.root / "copy"
    copy.mkdir()
    (copy / "sub-03.nii.gz").write_bytes(lab.path("sub-03").read_bytes())
    chosen = ("check", "web", "--plugins", lab.root, "--folder", copy)
    assert call(*chosen, "--split", "test").exit_code == 0
    done = call(*chosen)
    assert done.exit_code == 1
    assert "datasets.web.subjects.train" in done.stdout


def test_a_study_says_which_subjects_and_how_large(lab):
    config = {
        "study": "small",
        "seed": 1,
        "plugins": [str(lab.root)],
        "datasets": {"own": {"subjects": {"test": ["sub-02", "sub-03"]}}},
        "scales": [2, 5.1],
        "degradation": {"kind": "volume"},
        "methods": {"cubic": None},
        "metrics": ["psnr"],
    }
    (lab.root / "small.yaml").write_text(yaml.safe_dump(config))
    done = call("check", "own", "--configfile", lab.root / "small.yaml")
    assert done.exit_code == 1
    assert "2 subjects (sub-02, sub-03)" in done.stdout and "at least 21" in done.stdout
    assert "sub-04" not in done.stdout
    done = call("check", "demo", "--configfile", lab.root / "small.yaml")
    assert done.exit_code == 1 and "has no dataset 'demo'" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "ds02748"], "did you mean 'ds002748'?"),
        (["check", "ds002748", "--split", "tset"], "did you mean 'test'?"),
        (["check", "ds002748", "--folder", "nowhere"], "no folder nowhere"),
        (["describe", "ds02748"], "did you mean 'ds002748'?"),
        (["list", "--plugins", "bad"], "cannot name a dataset"),
    ],
)
def test_mistakes_are_explained(arguments, message, tmp_path):
    (tmp_path / "bad" / "datasets").mkdir(parents=True)
    (tmp_path / "bad" / "datasets" / "My Scans.yaml").touch()
    done = call(*arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())


def test_a_simulated_dataset_is_checked_once_it_is_made(tmp_path):
    assert "7 not on disk yet, the workflow makes them" in call("check", "demo").stdout
    folder = tmp_path / "resources" / "demo" / "mni152-seed1-abc"
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(head(), AFFINE), folder / "sub-01_T1w.nii.gz")
    (folder / "sub-02_T1w.nii.gz").write_bytes(gzip.compress(b"text"))
    done = call("check", "demo")
    assert done.exit_code == 1
    assert "1 fine" in done.stdout and "1 with problems" in done.stdout
