"""Splits of datasets whose subjects are listed by each user."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.common.errors import InputError
from mrisr.data import datasets, draw_split, finding
from mrisr.data.finding import SUBJECT

PATTERNS = st.sampled_from(
    ["{subject}.nii.gz", "{subject}/T1w/brain.nii.gz", "x/{subject}/{subject}_T1w.nii"]
)


def call(*arguments):
    return CliRunner().invoke(app, ["data", "split", *map(str, arguments)])


@pytest.fixture
def own(tmp_path):
    """A dataset whose subjects are not known, and a folder with eight of them."""
    spec = {
        "label": "Own",
        "skull_stripped": True,
        "source": {
            "kind": "https",
            "url": "https://example.org/{subject}",
            "pattern": "{subject}/{subject}_T1w.nii.gz",
        },
        "split": {"kind": "listed", "counts": {"train": 5, "val": 1, "test": 2}, "seed": 3},
    }
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "own.yaml").write_text(yaml.safe_dump(spec))
    for n in range(1, 9):
        path = tmp_path / "scans" / f"{n:03}" / f"{n:03}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "scans" / "009").mkdir()
    (tmp_path / "scans" / "010").mkdir()
    (tmp_path / "scans" / "010" / "011_T1w.nii.gz").touch()
    return tmp_path


@given(PATTERNS, st.text("aZ09-_", min_size=1, max_size=8).filter(re.compile(SUBJECT).fullmatch))
def test_the_subject_is_found_again_in_its_path(pattern, subject):
    assert finding.match_subject(pattern, pattern.replace("{subject}", subject)) == subject


@given(st.integers(0, 2000), st.integers(0, 900), st.integers(0, 200), st.integers(1, 300))
def test_val_and_test_keep_their_numbers(found, train, val, test):
    counts = {"test": test, "train": train, "val": val}
    if found < val + test + min(1, train):
        with pytest.raises(InputError, match="too few"):
            draw_split.fit_counts(found, counts, "here")
    else:
        fitted = draw_split.fit_counts(found, counts, "here")
        assert sum(fitted.values()) == found and min(fitted.values()) >= 0
        assert (fitted["val"], fitted["test"]) == (val, test)
        assert list(fitted) == ["train", "val", "test"]


def test_a_copy_on_disk_gives_the_seeded_split(own):
    options = ["--plugins", own, "--downloads", own / "down", "--folder", own / "scans"]
    done = call("own", *options)
    assert done.exit_code == 0, done.output
    assert "8 subjects listed at" in done.stderr
    dataset = datasets.load("own", {"folder": own / "scans"}, [own], own / "down")
    subjects = [f"{n:03}" for n in range(1, 9)]
    counts = {"train": 5, "val": 1, "test": 2}
    assert dataset.subjects == datasets.make_split(subjects, counts, 3, "split", "own")
    assert len(dataset.local_files("train")) == 5

    before = (own / "down" / "own" / "split.tsv").read_bytes()
    assert call("own", *options).exit_code == 0
    assert (own / "down" / "own" / "split.tsv").read_bytes() == before
    (own / "scans" / "001" / "001_T1w.nii.gz").unlink()
    done = call("own", *options)
    assert done.exit_code == 1 and "--replace" in done.stderr
    assert (own / "down" / "own" / "split.tsv").read_bytes() == before
    assert call("own", *options, "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ds002748"], "its subjects are known, there is nothing to list"),
        (["hcp120"], "did you mean 'hcp1200'"),
        (["own", "--plugins", "."], "a web server does not list its files"),
        (["own", "--plugins", ".", "--folder", "datasets"], "datasets holds no {subject}/"),
        (["own", "--plugins", ".", "--folder", "lost"], "no folder lost"),
    ],
)
def test_mistakes_are_explained(own, monkeypatch, arguments, message):
    monkeypatch.chdir(own)
    done = call(*arguments)
    assert done.exit_code == 1 and "Traceback" not in done.output
    assert message in done.stderr
    assert not (own / "resources").exists()


def test_placeholders_stand_for_subjects_until_they_are_listed(own):
    asked = {"train": 2, "test": ["mine"]}
    dataset = datasets.load("own", {"subjects": asked, "folder": own / "scans"}, [own], own)
    assert dataset.subjects["train"] == ["placeholder0001", "placeholder0002"]
    assert dataset.subjects["val"] == ["placeholder0006"]
    assert dataset.subjects["test"] == ["mine"]
    assert dataset.local_files("train") == {}
    assert dataset.lacking == (
        f"dataset 'own': its subjects are not listed yet, there is no {own}/own/split.tsv; run:"
        f" mrisr data split own --downloads {own} --plugins {own}"
    )


def test_subjects_that_a_paper_shows_are_tested_on(caplog):
    rule = {"seed": 3, "test": ["004", "008", "099"]}
    found = [f"{n:03}" for n in range(1, 21)]
    counts = {"train": 12, "val": 4, "test": 4}
    drawn = draw_split.drawn_around(found, counts, rule, "own")
    assert {name: len(subjects) for name, subjects in drawn.items()} == counts
    assert {"004", "008"} < set(drawn["test"]) and drawn["test"] == sorted(drawn["test"])
    assert sorted(subject for each in drawn.values() for subject in each) == found
    assert "no such subject: 099" in caplog.text
    # Without them the draw is the plain one.
    plain = draw_split.drawn_around(found, counts, {"seed": 3}, "own")
    assert plain == datasets.make_split(found, counts, 3, "split", "own")
    with pytest.raises(InputError, match=r"split\.test pins 2 subjects, but the test split has 1"):
        draw_split.drawn_around(found, {"train": 15, "val": 4, "test": 1}, rule, "own")


def test_the_arssr_papers_figures_show_test_subjects(tmp_path):
    dataset = datasets.load("hcp1200", downloads=tmp_path)
    assert dataset.spec["split"]["test"] == ["531536", "827052", "996782"]
