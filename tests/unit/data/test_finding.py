"""Which files and subjects are found in folders of users."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr.common.errors import InputError
from mrisr.data import finding


def add(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"entities": {"acq": "mprage", "run": 1}}, "sub-01_acq-mprage_run-01_T1w.nii.gz"),
        ({"entities": {"acq": "mprage", "run": "02"}}, "sub-01_acq-mprage_run-2_T1w.nii.gz"),
        ({"entities": {"acq": None}}, "sub-01_T1w.mgz"),
        ({"suffix": "T2w"}, "sub-01_T2w.nii"),
        ({"suffix": "T1w", "entities": {"desc": "a+b"}}, "sub-01_acq-x_desc-a+b_T1w.nii.gz"),
    ],
)
def test_entities_choose_among_the_scans_of_a_subject(tmp_path, source, wanted):
    names = [
        "sub-01_acq-mprage_run-01_T1w.nii.gz",
        "sub-01_acq-mprage_run-2_T1w.nii.gz",
        "sub-01_acq-mprage_run-11_T1w.nii.gz",
        "sub-01_acq-x_desc-a+b_T1w.nii.gz",
        "sub-01_T1w.mgz",
        "sub-01_T2w.nii",
        "sub-01_T1w.json",
        "sub-011_T1w.nii.gz",
    ]
    add(tmp_path, *(f"sub-01/anat/{name}" for name in names))
    assert finding.bids_file(tmp_path, "sub-01", source).name == wanted


def test_what_no_file_agrees_with_is_said_in_full(tmp_path):
    add(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    source = {"session": "a", "entities": {"acq": "x", "run": 1, "rec": None}}
    with pytest.raises(InputError) as caught:
        finding.bids_file(tmp_path, "sub-01", source)
    assert str(caught.value) == (
        "no file sub-01/ses-a/anat/*_acq-x*_run-1_T1w.nii.gz (or .nii, .mgz, .mgh) without rec"
    )


def test_another_datatype_and_a_derivative(tmp_path):
    add(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/perf/sub-01_m0scan.nii.gz",
        "derivatives/prep/sub-01.html",
        "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "derivatives/prep/sub-01/anat/sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz",
    )
    source = {"datatype": "perf", "suffix": "m0scan"}
    assert finding.bids_file(tmp_path, "sub-01", source).parent.name == "perf"
    folder = tmp_path / "derivatives/prep"
    assert finding.bids_subjects(folder) == ["sub-01"]
    source = {"entities": {"desc": "preproc", "space": None}}
    assert finding.bids_file(folder, "sub-01", source).name == "sub-01_desc-preproc_T1w.nii.gz"


SUBJECTS = st.sets(st.from_regex(finding.SUBJECT, fullmatch=True), min_size=1, max_size=5)


@pytest.mark.parametrize(
    "pattern",
    [
        "{subject}/T1.nii.gz",
        "{subject}/anat/{subject}.mgz",
        "*/{subject}.mgh",
        "**/{subject}/mri/T1.mgz",
        "site?/[a-c]_{subject}.nii",
        "x.{subject}.h5",
    ],
)
@settings(max_examples=15)
@given(names=SUBJECTS)
def test_the_subjects_that_a_pattern_finds_are_those_that_were_written(
    tmp_path_factory, pattern, names
):
    folder = tmp_path_factory.mktemp("pattern")
    fill = {"**": "deep/er", "*": "some", "?": "1", "[a-c]": "b"}
    files = {}
    for name in names:
        path = pattern.replace("{subject}", name)
        for wildcard, text in fill.items():
            path = path.replace(wildcard, text)
        files[name] = folder / path
        add(folder, path)
    add(folder, "T1.txt", ".hidden/T1.nii.gz", "deep/._a.mgh", "site12/b_wrong.nii")
    assert finding.pattern_subjects(folder, pattern) == sorted(names)
    found = {name: finding.pattern_file(folder, name, pattern) for name in names}
    assert found == files


def test_a_subject_is_as_short_as_the_pattern_allows(tmp_path):
    add(tmp_path, "a/sub-01_ses-1_T1.mgz", "b/sub-02_T1.mgz")
    assert finding.pattern_subjects(tmp_path, "*/{subject}_*.mgz") == ["sub-01", "sub-02"]


def test_what_a_pattern_cannot_find_is_named(tmp_path):
    add(tmp_path, "my scan/T1.nii.gz", "-x/T1.nii.gz", "ok/T1.nii.gz", "ok/T1_2.nii.gz")
    with pytest.raises(InputError) as caught:
        finding.pattern_subjects(tmp_path, "{subject}/T1.nii.gz")
    for part in ("'-x', 'my scan' cannot name subjects", "rename", "list the subjects"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=r"holds no file \*/T2\.nii\.gz; correct source\.pattern"):
        finding.pattern_subjects(tmp_path, "{subject}/T2.nii.gz")
    with pytest.raises(InputError, match=r"2 files match, ok/T1.* and ok/T1_2.*; do this"):
        finding.pattern_file(tmp_path, "ok", "{subject}/T1*.nii.gz", "do this")


@pytest.mark.parametrize("pattern", ["{subject}*_T1.nii.gz", "*{subject}_T1.nii", "{subject}?.nii"])
def test_a_wildcard_beside_the_subject_is_refused(tmp_path, pattern):
    (tmp_path / "P10_T1.nii.gz").touch()
    for find in (
        lambda: finding.pattern_subjects(tmp_path, pattern),
        lambda: finding.pattern_file(tmp_path, "P1", pattern),
        lambda: finding.pattern_files(tmp_path, "P1", pattern),
    ):
        with pytest.raises(InputError, match=r"wildcard beside \{subject\}"):
            find()


@pytest.mark.parametrize(
    ("one_of", "names"), [("[^a]", "^a"), ("[!a]", "^b"), ("[ab]", "ab"), ("[!^]", "ab")]
)
def test_characters_in_brackets_are_those_that_a_search_of_the_folder_takes(
    tmp_path, one_of, names
):
    add(tmp_path, *(f"s_{name}.nii" for name in "^ab"))
    found = finding.pattern_files(tmp_path, "s", f"{{subject}}_{one_of}.nii")
    assert {path.stem for path in found} == {f"s_{name}" for name in names}
