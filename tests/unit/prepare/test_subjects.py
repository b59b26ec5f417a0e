"""One loop over subjects: all are tried, problems are told together, the finished wait."""

import logging

import pytest

from mrisr.common.errors import InputError
from mrisr.common.files import Staging
from mrisr.prepare.subjects import Subject, each, source_paths

log = logging.getLogger("mrisr")


def write_names(subject, staged):
    """Write the subject's name to its outputs; subjects named `bad` have a problem."""
    log.warning("working on %s", subject.name)
    if subject.name.startswith("bad"):
        raise InputError(f"{subject.name} is unusable; mend it")
    for path in staged:
        path.write_text(subject.name)


def cohort(folder, *names):
    return [
        Subject(name=name, outputs=(folder / f"a/{name}.txt", folder / f"b/{name}.txt"))
        for name in names
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_problems_are_told_together_and_finished_subjects_wait(tmp_path, workers, caplog):
    names = ("one", "bad1", "two", "bad2")
    with pytest.raises(InputError) as caught:
        each(write_names, cohort(tmp_path, *names), Staging(tmp_path / "s", 1), "write", workers)
    assert str(caught.value) == (
        "2 of 4 subjects cannot be used:\n"
        "  bad1: bad1 is unusable; mend it\n  bad2: bad2 is unusable; mend it"
    )
    assert not (tmp_path / "a").exists()
    # What is logged in another process is logged here, in the order of the subjects.
    said = [record.getMessage() for record in caplog.records if record.name == "mrisr"]
    assert [line for line in said if "working" in line] == [f"working on {n}" for n in names]

    caplog.clear()
    good = cohort(tmp_path, "one", "two", "three")
    each(write_names, good, Staging(tmp_path / "s", 1), "write", workers)
    assert "working on three" in caplog.text and "working on one" not in caplog.text
    for subject in good:
        assert [path.read_text() for path in subject.outputs] == [subject.name] * 2
    assert not (tmp_path / "s").exists()


def test_a_subject_with_one_of_its_outputs_is_made_again(tmp_path):
    one = cohort(tmp_path, "one")
    staging = Staging(tmp_path / "s", 1)
    staging.path(one[0].outputs[0]).write_text("half")
    each(write_names, one, staging, "write")
    assert one[0].outputs[0].read_text() == "one"


def test_what_the_list_of_raw_scans_lacks_is_named(tmp_path):
    (tmp_path / "sources.tsv").write_text("subject\tpath\ta\nsub-01\traw/1.nii\t-\n")
    assert source_paths(tmp_path / "sources.tsv", ["sub-01"]) == {"sub-01": "raw/1.nii"}
    with pytest.raises(InputError, match=r"sources\.tsv: lacks sub-02, sub-03; make that list"):
        source_paths(tmp_path / "sources.tsv", ["sub-01", "sub-02", "sub-03"])
