"""Lists of subjects, as they come with BIDS folders, from publishers and from users."""

import json

import pytest
import yaml

from mrisr.common.errors import ConfigError, InputError
from mrisr.data import datasets, subject_lists


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


class Lab:
    """A dataset of five subjects in a folder, and files beside it."""

    def __init__(self, root):
        self.root = root
        (root / "datasets").mkdir()
        self.folder = root / "scans"
        for number in range(1, 6):
            scan = self.folder / f"sub-0{number}" / "anat" / f"sub-0{number}_T1w.nii.gz"
            scan.parent.mkdir(parents=True)
            scan.touch()

    def load(self, split, asked=None, **changes):
        content = {
            "label": "Ours",
            "skull_stripped": True,
            "source": {"kind": "bids", "folder": str(self.folder)},
            "split": split,
        } | changes
        (self.root / "datasets/ours.yaml").write_text(yaml.safe_dump(content))
        return datasets.load("ours", {"subjects": asked or {}}, search=[self.root])

    def write(self, name, text):
        path = self.root / name
        path.write_text(text.replace(" ", "\t"))
        return str(path)


PARTICIPANTS = "participant_id age sex site\n01 31 F a\nsub-02 n/a M b\n"


def test_participants_of_a_bids_folder_with_and_without_sub(lab):
    lab.write("scans/participants.tsv", PARTICIPANTS)
    dataset = lab.load({"kind": "table", "file": "participants.tsv", "as": "test"})
    assert dataset.subjects == {"train": [], "val": [], "test": ["sub-01", "sub-02"]}
    assert list(dataset.local_files("test")) == ["sub-01", "sub-02"]


def test_a_list_beside_the_dataset_file_comes_before_one_in_the_folder(lab):
    lab.write("scans/list.tsv", "participant_id split\nsub-01 test\n")
    lab.write("datasets/list.tsv", "participant_id split group\n02 train x\n03 val x\n04 test x\n")
    assert lab.load("list.tsv").subjects == {
        "train": ["sub-02"],
        "val": ["sub-03"],
        "test": ["sub-04"],
    }


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        ("list.tsv", PARTICIPANTS, r"no column 'split' \(train, val or test\); add it, or give"),
        ("list.tsv", "participant_id splt\n01 test\n", "no column 'split'"),
        (
            "list.tsv",
            "participant_id split sha265 age\n01 test x 3\n",
            "'sha265': did you .*sha256",
        ),
        ("list.tsv", "subject split age\nsub-01 test 3\n", "unknown column 'age': known: "),
        ("list.tsv", "name split\nsub-01 test\n", r"no column 'subject' \(or 'participant_id'\)"),
        ("list.tsv", "participant_id split\n01 test\nsub-01 test\n", "line 3: .*in line 2 already"),
        ({"kind": "table", "file": "list.tsv"}, PARTICIPANTS, "missing key 'split.as'"),
        (
            {"kind": "table", "file": "list.tsv", "as": "test"},
            "participant_id split\n01 test\n",
            "has a column 'split', but the dataset's file says as: test; leave out one",
        ),
    ],
)
def test_wrong_tables(lab, split, text, message):
    lab.write("datasets/list.tsv", text)
    with pytest.raises(ConfigError, match=message):
        lab.load(split)


@pytest.mark.parametrize(
    "text",
    [
        "sub-04\nsub-02\n",
        "04\n\n02\n",
        "subject comment\nsub-04 good\nsub-02 good\n",
        "participant_id split\n04 test\n01 train\n02 test\n",
    ],
)
def test_a_file_of_the_study_lists_the_subjects(lab, text):
    path = lab.write("mine.txt", text)
    assert lab.load("test", {"test": path}).subjects["test"] == ["sub-04", "sub-02"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"subjects\.test: .*mine\.txt lists no test subject"),
        ("name group\nsub-01 a\n", "no column 'subject' or 'participant_id'"),
        ("sub-01\nsub-99\n", "no test subject 'sub-99'"),
        ("sub-01\nsub-01\n", "sub-01 is listed twice"),
        (None, r"subjects\.test: no file .*mine\.txt"),
    ],
)
def test_wrong_files_of_a_study(lab, text, message):
    path = str(lab.root / "mine.txt") if text is None else lab.write("mine.txt", text)
    with pytest.raises(ConfigError, match=message):
        lab.load("test", {"test": path})


def annotations(folder, split, *names, **changes):
    path = folder / f"annotations/v1.0.0/{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"voxel_spacing": [0.3125, 0.3125, 0.8], "orientation": ["SI", "AP", "RL"]}
    images = [{"scan_id": name, **record, **changes} for name in names]
    path.write_text(json.dumps({"images": images}))


def test_skm_tea_needs_the_users_copy_and_reads_its_annotations(tmp_path):
    with pytest.raises(InputError, match=r"dataset 'skm_tea': .*registration.*skm_tea\.folder in"):
        datasets.load("skm_tea").check_access()
    annotations(tmp_path, "train", "MTR_001", "MTR_002")
    annotations(tmp_path, "val", "MTR_003", orientation=["SI", "AP", "LR"])
    annotations(tmp_path, "test", "MTR_005", voxel_spacing=[0.3, 0.3, 0.8])
    dataset = datasets.load("skm_tea", {"folder": tmp_path, "subjects": {"train": 1}})
    assert dataset.subjects == {"train": ["MTR_001"], "val": ["MTR_003"], "test": ["MTR_005"]}
    assert dataset.format("MTR_001")["orientation"] == ["SI", "AP", "RL"]
    assert dataset.format("MTR_005")["voxel_size"] == [0.3, 0.3, 0.8]
    assert dataset.format("MTR_003") == dataset.spec["format"]
    with pytest.raises(InputError, match=r"MTR_005: no file files_recon_calib-24/MTR_005\.h5"):
        dataset.local_files("test")


def test_wrong_annotations_are_all_named(tmp_path):
    annotations(tmp_path, "train", "MTR_001", "a b")
    annotations(tmp_path, "val", "MTR_001")
    (tmp_path / "annotations/v1.0.0/test.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        datasets.load("skm_tea", {"folder": tmp_path})
    for part in ("'a b' cannot name", "MTR_001 is in train already", "test.json: no JSON with"):
        assert part in str(caught.value)


def test_a_quotation_mark_at_the_start_of_a_note_swallows_no_rows(tmp_path):
    path = tmp_path / "participants.tsv"
    notes = ["fine", '"odd', "fine", "fine", 'said "no"']
    rows = [f"sub-0{n}\ttest\t{note}" for n, note in enumerate(notes, start=1)]
    path.write_text("\n".join(["participant_id\tsplit\tnote", *rows, ""]))
    found = subject_lists.read_split(path, "own", bids=True)
    assert found.subjects["test"] == [f"sub-0{n}" for n in range(1, 6)]
