"""The commands `mrisr readers`."""

import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from mrisr.cli.main import app
from mrisr.readers.folder import ReaderStudy
from mrisr.readers.store import Store
from reader_scans import METHODS, write_results


def call(*arguments):
    return CliRunner().invoke(app, ["readers", *map(str, arguments)])


def said(result):
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder, *options):
    results = write_results(folder, 4)
    return call("make", results, "-m", *METHODS, "-o", "mine", *options)


def answer_all(scores):
    study = ReaderStudy.load("mine")
    with Store(study) as store:
        for reader in store.readers():
            for shown in store.cases(reader):
                store.save(reader, shown.name, shown.name, scores, 30, 0)


def test_a_study_goes_from_results_to_a_table(folder):
    text = said(make(folder, "--readers", "R1, R2", "--url", "https://x.example/mri/"))
    assert "4 cases in mine; which is which is in" in text
    links = re.findall(r"(R\d)  https://x\.example/mri/r/([\w-]{43})/\n", text)
    assert [name for name, _ in links] == ["R1", "R2"]
    assert (folder / "mine_key.csv").exists()
    assert "R2      0 of 4    0        0.0      never" in said(call("status", "mine"))
    answer_all({"noise": 0, "sharpness": 0})
    assert re.search(r"R1 +4 of 4 +0 +2\.0 +20\d\d-", said(call("status", "mine")))
    assert "8 answers in answers.csv" in said(call("export", "mine", "-o", "answers.csv"))
    answers = pd.read_csv("answers.csv")
    assert len(answers) == 16 and set(answers["left_method"]) == set(METHODS)
    text = said(call("table", "answers.csv", "-m", *METHODS, "-o", "out/readers"))
    assert text.startswith("### coord\\_2x compared with conv, knees, 2×")
    assert "| Pooled | 0.00 ± 0.00 |" in text and (folder / "out/readers.tex").exists()


def test_an_unblinded_export_is_private_and_holds_no_formulas(folder):
    said(make(folder, "--readers", "=cmd|calc, @x, -1+1, R1"))
    answer_all({"noise": -1, "sharpness": 0})
    said(call("export", "mine", "-o", "answers.csv"))
    assert (folder / "answers.csv").stat().st_mode & 0o077 == 0
    answers = pd.read_csv("answers.csv", dtype=str)
    assert set(answers["reader"]) == {"'=cmd|calc", "'@x", "'-1+1", "R1"}
    assert set(answers["score"]) == {"-1", "0"}  # numbers stay numbers


def test_an_export_may_be_blinded_or_the_whole_history(folder):
    said(make(folder, "--readers", "1", "--pairs", "2", "--seed", "3"))
    answer_all({"noise": 1, "sharpness": -1})
    with Store(ReaderStudy.load("mine")) as store:
        (reader,) = store.readers()
        store.save(reader, "case-001", "changed", {"noise": 2, "sharpness": 0}, 6, 1)
    said(call("export", "mine", "-o", "blind.csv", "--blinded"))
    blind = pd.read_csv("blind.csv")
    assert not {"left_method", "subject"} & set(blind) and len(blind) == 4
    changed = blind[blind["case"] == "case-001"].set_index("question")
    assert changed["score"].to_dict() == {"noise": 2, "sharpness": 0}
    assert set(changed["seconds"]) == {36} and set(changed["revision"]) == {2}
    said(call("export", "mine", "-o", "all.csv", "--history"))
    assert len(pd.read_csv("all.csv")) == 6
    refused = call("table", "all.csv", "-m", *METHODS, "-o", "t")
    assert refused.exit_code == 1 and "without --history" in refused.stderr


def test_readers_are_added_and_get_new_links(folder):
    said(make(folder))
    first = said(call("reader", "mine", "R1", "--cases", "2"))
    second = said(call("reader", "mine", "R1"))
    tokens = [re.search(r"/r/([\w-]{43})/", text)[1] for text in (first, second)]
    with Store(ReaderStudy.load("mine")) as store:
        assert store.reader(tokens[0]) is None
        assert len(store.cases(store.reader(tokens[1]))) == 2


def test_what_cannot_be_done_is_said(folder):
    said(make(folder))
    for arguments, message in (
        (("status", "mine"), "mrisr readers reader mine NAME"),
        (("status", "nowhere"), "mrisr readers make"),
        (("serve", "mine"), "mrisr readers reader mine NAME"),
        (("export", "mine", "-o", "x.csv", "--key", "none.csv"), "none.csv: no such file"),
    ):
        done = call(*arguments)
        assert done.exit_code == 1 and message in done.stderr
    again = make(folder)
    assert again.exit_code == 1 and "is there already" in again.stderr
    assert make(folder, "--readers", "A,A").exit_code == 2
    assert call("export", "mine", "-o", "x", "--key", "k", "--blinded").exit_code == 2
    said(call("reader", "mine", "R1"))
    (folder / "other_key.csv").write_text((folder / "mine_key.csv").read_text().replace("nii", "x"))
    done = call("export", "mine", "-o", "x.csv", "--key", "other_key.csv")
    assert done.exit_code == 1 and "key is that of another study" in done.stderr
