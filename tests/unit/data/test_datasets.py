import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import mrisr
from mrisr.common.errors import ConfigError, InputError
from mrisr.data import datasets


def write_dataset(root: Path, rows: str | None = None, name: str = "own", **changes) -> Path:
    """Write a dataset file, and its split if given, into the plugin folder `root`."""
    content = {
        "label": "Own scans",
        "skull_stripped": True,
        "source": {"kind": "bids", "folder": str(root / "bids")},
        "split": "test" if rows is None else f"{name}.tsv",
    } | changes
    folder = root / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    if rows is not None:
        (folder / f"{name}.tsv").write_text(rows.replace(" ", "\t"), encoding="utf-8")
    return folder / f"{name}.yaml"


def add(root: Path, *names: str) -> None:
    for name in names:
        path = root / "bids" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def load(root: Path, **overrides) -> datasets.Dataset:
    return datasets.load("own", overrides, search=[root])


HTTPS = {
    "kind": "https",
    "url": "https://example.org/{subject}.nii.gz",
    "pattern": "{subject}/{subject}_T1w.nii.gz",
}


HDF5 = {
    "kind": "hdf5",
    "dataset": "target",
    "voxel_size": [1, 1, 1],
    "orientation": ["SI", "AP", "LR"],
}
MASKS = {"kind": "file", "pattern": "masks/{subject}.nii.gz"}


def test_the_module_is_light():
    code = (
        "import sys, mrisr.data.datasets as d; d.load('demo');"
        "heavy = {'numpy', 'nibabel', 'torch', 'pooch', 'requests', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    package = Path(mrisr.__file__).parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(package)})


def test_all_dataset_files_load():
    for name in datasets.names():
        dataset = datasets.load(name)
        every = [subject for split in dataset.subjects.values() for subject in split]
        assert len(set(every)) == len(every)
        stated = "counts" in dataset.spec["split"]
        assert bool(every) != (dataset.needs_folder and not stated)
        for key in ("licence", "citation", "url"):
            assert dataset.spec[key]


@pytest.mark.parametrize(
    ("name", "every", "counts"),
    [
        ("ds002748", [f"sub-{n:02}" for n in range(1, 73)], {"train": 50, "val": 7, "test": 15}),
        (
            "aomic_id1000",
            [f"sub-{n:04}" for n in range(1, 929)],
            {"train": 780, "val": 48, "test": 100},
        ),
    ],
)
def test_a_committed_split_is_the_seeded_one(name, every, counts):
    dataset = datasets.load(name)
    made = datasets.make_split(reversed(every), counts, 2022, "split", name)
    assert dataset.subjects == made
    rows = [line.split("\t") for line in dataset.path.with_suffix(".tsv").read_text().split("\n")]
    assert [row[0] for row in rows[1:-1]] == made["train"] + made["val"] + made["test"]
    assert str(counts).replace("'", "") in dataset.spec["description"]
    assert dataset.local_files("test") == {}
    assert dataset.code is None


def test_hcp_has_the_numbers_of_the_paper_and_no_subjects(tmp_path):
    dataset = datasets.load("hcp1200", downloads=tmp_path)
    counts = {split: len(subjects) for split, subjects in dataset.subjects.items()}
    assert counts == {"train": 780, "val": 111, "test": 222}
    every = [subject for subjects in dataset.subjects.values() for subject in subjects]
    assert (every[0], every[-1]) == ("placeholder0001", "placeholder1113")
    assert dataset.spec["crop"] == {"kind": "shape", "shape": [264, 264, 264]}


def test_demo_is_marked_as_simulated():
    dataset = datasets.load("demo")
    assert dataset.label.endswith(" (simulated)")
    assert dataset.code == "mrisr.data.simulate"
    assert [len(dataset.subjects[split]) for split in ("train", "val", "test")] == [4, 1, 2]
    with pytest.raises(ConfigError, match=r"datasets\.demo\.folder: this dataset is made"):
        datasets.load("demo", {"folder": "anywhere"})


@given(st.sets(st.integers(0, 999), min_size=3), st.data())
def test_make_split_is_a_partition(numbers, data):
    subjects = [f"sub-{number}" for number in numbers]
    train = data.draw(st.integers(0, len(subjects)))
    counts = {"train": train, "test": len(subjects) - train}
    made = datasets.make_split(subjects, counts, 1)
    assert {split: len(its) for split, its in made.items()} == counts
    assert sorted(made["train"] + made["test"]) == sorted(subjects)
    assert datasets.make_split(sorted(subjects), counts, 1) == made


def test_make_split_refuses_counts_that_do_not_add_up():
    with pytest.raises(ConfigError, match="3 different subjects of 3 given, but 1 \\+ 1 asked"):
        datasets.make_split(["a", "b", "c"], {"train": 1, "test": 1}, 1)


def test_unknown_dataset_and_override():
    with pytest.raises(ConfigError, match="no dataset 'ds02748': did you mean 'ds002748'"):
        datasets.load("ds02748")
    with pytest.raises(ConfigError, match=r"datasets\.demo: unknown key 'subject': .*'subjects'"):
        datasets.load("demo", {"subject": {}})
    with pytest.raises(ConfigError, match=r"(?s)datasets\.demo .*crop\.shape"):
        datasets.load("demo", {"crop": {"kind": "shape"}})


def test_subjects_override():
    every = datasets.load("ds002748").subjects
    some = [every["val"][4], every["val"][1]]
    dataset = datasets.load("ds002748", {"subjects": {"train": 3, "val": some}, "folder": None})
    assert dataset.subjects == {"train": every["train"][:3], "val": some, "test": every["test"]}
    other = every["test"][0]
    asked = {"train": 59, "val": [other, "sub-99", some[0], some[0]], "tset": 1}
    with pytest.raises(ConfigError) as caught:
        datasets.load("ds002748", {"subjects": asked})
    for line in (
        "subjects.train: 59 asked, the split has 50",
        f"no val subject '{other}': it is in test",
        "no val subject 'sub-99'",
        f"{some[0]} is listed twice",
        "subjects.tset: unknown split: did you mean 'test'?",
    ):
        assert line in str(caught.value)


def test_crop_is_replaced_not_merged():
    assert datasets.load("ds002748", {"crop": {"kind": "none"}}).spec["crop"] == {"kind": "none"}
    assert datasets.load("ds002748").spec["crop"]["margin"] == 8


def test_split_table_problems_are_all_named(tmp_path):
    sha = "a" * 64
    rows = (
        "subject split sha256\n"
        f"sub-01 train {sha}\n"
        f"sub-01 test {sha}\n"
        f"sub-02 tran {sha}\n"
        f"-x test {sha}\n"
        "sub-03 test beef\n"
        "sub-04 test\n"
    )
    path = write_dataset(tmp_path, rows, source=HTTPS)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert str(path.with_suffix(".tsv")) in message
    for line in (
        "line 3: subject sub-01 is in line 2 already",
        "line 4: subject sub-02: unknown split 'tran': did you mean 'train'?",
        "line 5: '-x' cannot name a subject",
        "line 6: subject sub-03: 'beef' is no sha256",
        "line 7: as many cells as there are columns",
    ):
        assert line in message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("subject,split\nsub-01,test\n", r"no column 'subject' \(or 'participant_id'\); tabs"),
        ("subject\nsub-01\n", "no column 'split'"),
        ("subject split sha265\nsub-01 test x\n", "unknown column 'sha265': .*'sha256'"),
    ],
)
def test_split_table_columns(tmp_path, rows, message):
    write_dataset(tmp_path, rows, source=HTTPS)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path)


def test_checksums_are_read(tmp_path):
    rows = f"subject split md5 bytes\nsub-01 test {'A' * 32} 12\nsub-02 test n/a \n"
    write_dataset(tmp_path, rows, source=HTTPS)
    assert load(tmp_path).checksums == {"sub-01": {"md5": "a" * 32, "bytes": 12}, "sub-02": {}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": {"kind": "bids"}}, "missing key 'source.folder'"),
        ({"source": {"kind": "bidz", "folder": "x"}}, "did you mean 'bids'"),
        ({"source": {**HTTPS, "sufix": "T1w"}}, "unknown key 'source.sufix'"),
        ({"source": {**HTTPS, "pattern": "../{subject}.nii"}}, "source.pattern"),
        ({"source": {**HTTPS, "url": "https://example.org/one.nii"}}, "source.url"),
        ({"source": HTTPS}, "split: test takes the subjects of a folder"),
        ({"split": "lost.tsv"}, "no file .*lost.tsv"),
        ({"split": {"kind": "tabel"}}, "did you mean 'table'"),
        ({"source": {"kind": "folder", "pattern": "T1.nii"}}, "source.pattern"),
        ({"source": {"kind": "folder", "pattern": "{subject}.h5"}}, "the key format go together"),
        ({"format": HDF5}, "the key format go together"),
        ({"format": {**HDF5, "orientation": ["SI"]}}, "format.orientation"),
        ({"mask": {"kind": "file"}}, "missing key 'mask.pattern'"),
        ({"source": HTTPS, "mask": MASKS}, "mask: kind file takes masks from the folder"),
        ({"mask": {"kind": "template"}}, "kind template .* but skull_stripped is true"),
        ({"lable": "x"}, "unknown key 'lable': "),
    ],
)
def test_wrong_dataset_files(tmp_path, changes, message):
    add(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    write_dataset(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path)


def test_plugin_names(tmp_path):
    write_dataset(tmp_path)
    assert "own" in datasets.names([tmp_path]) and "own" not in datasets.names()
    write_dataset(tmp_path, name="demo")
    with pytest.raises(ConfigError, match=r"dataset 'demo' is in .* rename one"):
        datasets.names([tmp_path])
    (tmp_path / "datasets" / "demo.yaml").rename(tmp_path / "datasets" / "My-Scans.yaml")
    with pytest.raises(ConfigError, match="'My-Scans' cannot name a dataset"):
        datasets.names([tmp_path])


def test_bids_subjects_and_files(tmp_path):
    add(
        tmp_path,
        "sub-02/anat/sub-02_T1w.nii",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.json",
        "participants.tsv",
    )
    write_dataset(tmp_path)
    dataset = load(tmp_path)
    assert dataset.subjects == {"train": [], "val": [], "test": ["sub-01", "sub-02"]}
    assert list(dataset.local_files("test").items()) == [
        ("sub-01", tmp_path / "bids/sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_T1w.nii.gz"),
        ("sub-02", tmp_path / "bids/sub-02/anat/sub-02_T1w.nii"),
    ]
    assert dataset.local_files("train") == {}


def test_bids_problems_are_named_together(tmp_path):
    add(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
        "sub-04/anat/sub-04_T1w.nii.gz",
    )
    link = tmp_path / "bids/sub-03/anat/sub-03_T1w.nii.gz"
    link.parent.mkdir(parents=True)
    link.symlink_to("annex/objects/gone")
    write_dataset(tmp_path)
    with pytest.raises(InputError) as caught:
        load(tmp_path).local_files("test")
    message = str(caught.value)
    assert "3 of 4 test subjects" in message
    assert "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz and sub-01/ses-b" in message
    assert "set session, entities or pattern in source of" in message
    assert "sub-02: no file sub-02/anat/*_T1w.nii.gz" in message
    assert "sub-03: " in message and "datalad get" in message
    assert "sub-04" not in message
    assert list(load(tmp_path, subjects={"test": ["sub-04"]}).local_files("test")) == ["sub-04"]


@pytest.mark.parametrize("chosen", [{"session": "ses-b"}, {"session": "b"}, {"pattern": "*"}])
def test_session_and_pattern_choose_among_files(tmp_path, chosen):
    if "pattern" in chosen:
        chosen = {"pattern": "{subject}/ses-b/*/*_T?w.nii.gz"}
    add(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
    )
    source = {"kind": "bids", "folder": str(tmp_path / "bids"), **chosen}
    write_dataset(tmp_path, source=source)
    found = load(tmp_path).local_files("test")["sub-01"]
    assert found.name == "sub-01_ses-b_T1w.nii.gz"


def test_bids_folder_problems(tmp_path):
    write_dataset(tmp_path)
    with pytest.raises(InputError, match=r"dataset 'own': no folder .*bids"):
        load(tmp_path)
    (tmp_path / "bids").mkdir()
    with pytest.raises(InputError, match="holds no folder sub-"):
        load(tmp_path)
    add(tmp_path, "sub-01 (copy)/anat/x")
    with pytest.raises(InputError, match=r"'sub-01 \(copy\)' cannot name a subject"):
        load(tmp_path)


def test_folder_replaces_a_download(tmp_path):
    add(tmp_path, "sub-01/sub-01_T1w.nii.gz")
    write_dataset(tmp_path, "subject split\nsub-01 test\nsub-02 test\n", source=HTTPS)
    dataset = load(tmp_path, folder=tmp_path / "bids", subjects={"test": 1})
    assert dataset.local_files("test") == {
        "sub-01": tmp_path / "bids" / "sub-01" / "sub-01_T1w.nii.gz"
    }
    with pytest.raises(InputError, match=r"sub-02: no file sub-02/sub-02_T1w.nii.gz"):
        load(tmp_path, folder=str(tmp_path / "bids")).local_files("test")


def test_a_dry_run_needs_no_scans_where_the_publisher_states_their_number():
    dataset = datasets.load("skm_tea")
    assert dataset.needs_folder and dataset.placeholders
    assert [len(dataset.subjects[split]) for split in ("train", "val", "test")] == [86, 33, 36]
    assert dataset.local_files("train") == {}
    with pytest.raises(InputError, match=r"give their folder with datasets\.skm_tea\.folder"):
        dataset.check_access()


def test_subjects_and_scans_of_a_folder_by_pattern(tmp_path):
    add(
        tmp_path, "patient07/T1.nii.gz", "patient12/T1.nii.gz", "patient12/FLAIR.nii.gz", "x/T2.nii"
    )
    source = {"kind": "folder", "folder": str(tmp_path / "bids"), "pattern": "{subject}/T1.nii.gz"}
    write_dataset(tmp_path, source=source)
    dataset = load(tmp_path)
    assert dataset.subjects["test"] == ["patient07", "patient12"]
    assert dataset.local_files("test")["patient07"] == tmp_path / "bids/patient07/T1.nii.gz"
    del source["folder"]
    write_dataset(tmp_path, source=source)
    dataset = load(tmp_path)
    assert dataset.needs_folder and not any(dataset.subjects.values())
    for look in (dataset.check_access, lambda: dataset.local_files("test")):
        with pytest.raises(
            InputError, match=r"'own': .* give their folder with datasets\.own\.fold"
        ):
            look()
    assert load(tmp_path, folder=tmp_path / "bids").subjects["test"] == ["patient07", "patient12"]
    with pytest.raises(InputError, match=r"dataset 'own': .*datasets holds no file"):
        load(tmp_path, folder=tmp_path / "datasets")


@pytest.mark.parametrize("scans", ["hr", "stacks"])
def test_a_file_that_two_subjects_match_is_refused(tmp_path, scans):
    """P1 must not get the scan of P1_2."""
    add(tmp_path, "P1_2_a_T1.nii.gz", "P3_b_T1.nii.gz")
    source = {
        "kind": "folder",
        "folder": str(tmp_path / "bids"),
        "pattern": "{subject}_*_T1.nii.gz",
    }
    about = {"source": source, "scans": scans}
    write_dataset(tmp_path, "subject split\nP1 test\nP1_2 test\nP3 test\n", **about)
    with pytest.raises(InputError) as caught:
        load(tmp_path).local_files("test")
    file = tmp_path / "bids/P1_2_a_T1.nii.gz"
    assert f"P1_2: {file} is found for P1 too; make the pattern say where" in str(caught.value)
    assert "P3" not in str(caught.value)
    write_dataset(tmp_path, "subject split\nP1_2 test\nP3 test\n", **about)
    assert set(load(tmp_path).local_files("test").values()) == {
        file,
        tmp_path / "bids/P3_b_T1.nii.gz",
    }


@pytest.mark.parametrize("intensity", [{"white": "99.9 %"}, {"black": 0.001}, {"white": "95%"}])
def test_intensity_is_taken_from_the_file_and_replaced_by_the_study(tmp_path, intensity):
    add(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    write_dataset(tmp_path, intensity=intensity)
    assert load(tmp_path).spec["intensity"] == intensity
    assert ("quantile" in load(tmp_path).intensity) == ("white" in intensity)
    other = {"white": "99 %", "black": 2}
    assert load(tmp_path, intensity=other).intensity == (
        "the 99 % quantile of the voxels above 0 is 1, above it is cut; raw 2 is 0, and so is what"
        " is darker"
    )


@pytest.mark.parametrize("intensity", [{"white": 99.9}, {"white": "50 %"}, {"grey": 1}, {}])
def test_another_intensity_is_refused(tmp_path, intensity):
    write_dataset(tmp_path, intensity=intensity)
    with pytest.raises(ConfigError, match="intensity"):
        load(tmp_path)


def test_given_masks_are_looked_up_beside_the_scans(tmp_path):
    add(tmp_path, *(f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in (1, 2)), "masks/sub-01.nii.gz")
    write_dataset(tmp_path)
    assert load(tmp_path).mask_files("test") == {} and load(tmp_path).brain_known
    write_dataset(tmp_path, mask=MASKS, skull_stripped=False)
    with pytest.raises(InputError) as caught:
        load(tmp_path).mask_files("test")
    assert "1 of 2 test subjects have no usable mask" in str(caught.value)
    assert "sub-02: no file masks/sub-02.nii.gz" in str(caught.value)
    one = load(tmp_path, subjects={"test": ["sub-01"]})
    assert one.mask_files("test") == {"sub-01": tmp_path / "bids/masks/sub-01.nii.gz"}
    assert one.brain_known


def test_a_head_without_a_mask_of_its_brain_has_none(tmp_path):
    add(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    write_dataset(tmp_path, skull_stripped=False)
    assert not load(tmp_path).brain_known
    write_dataset(tmp_path, skull_stripped=False, mask={"kind": "template"})
    assert load(tmp_path).brain_known


def test_splits_that_are_both_rounded_up_leave_no_less_than_nobody():
    drawn = datasets._drawn("own", {"train": list("abc"), "val": [], "test": []}, [0, 0.5, 0.5], 1)
    assert [len(drawn[split]) for split in ("train", "val", "test")] == [0, 2, 1]
