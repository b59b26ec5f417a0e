"""What is said of a call before Snakemake reads its configs."""

import sys

import pytest
from snakemake.cli import parse_args

from mrisr.cli.before_snakemake import problems
from mrisr.common.paths import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.yaml").write_text("study: mine\n")
    (tmp_path / "tab.yaml").write_text("datasets:\n\tdemo:\n")
    (tmp_path / "open.yaml").write_text("scales: [2\nseed: 1\n")
    (tmp_path / "latin.yaml").write_bytes("title: Köpfe".encode("latin-1"))
    (tmp_path / "file").touch()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--configfile config/min.yaml", "no such file (from {here}): did you mean 'config/mine."),
        (
            "--configfile=configs/mine.yaml",
            "(from {here}): there is no folder configs",
        ),
        ("--configfile config/demo.yaml", "mrisr's own is {root}/config/demo.yaml"),
        ("--configfile config", "--configfile config: is a folder; name a config in it"),
        ("--configfile tab.yaml", "tab.yaml: not valid YAML: line 2 is indented with a tab; write"),
        ("--configfile latin.yaml", "latin.yaml: not text in UTF-8; is it a YAML file?"),
        ("--configfile open.yaml", "open.yaml: not valid YAML: line 2, column 5: while parsing a"),
        (
            "--configfile config/mine.yaml results/a.md -n",
            "results/a.md is no config; put targets before it: snakemake results/a.md --configfile"
            " config/mine.yaml",
        ),
        ("-n --configfiles config/mine.yaml tab.yaml", "tab.yaml: not valid YAML"),
        ("-dfile/deeper", "--directory file/deeper: {here}/file is no folder; name another"),
        ("-d file/deeper", "--directory file/deeper: {here}/file is no folder; name another"),
        ("--directory /proc", "/proc: nothing can be written here, where Snakemake keeps"),
    ],
)
def test_what_snakemake_would_answer_with_a_traceback_is_a_sentence(words, message, tmp_path):
    (said,) = problems(words.split())
    assert message.format(here=tmp_path, root=ROOT) in said and "\n" not in said


@pytest.mark.parametrize(
    "words",
    [
        "",
        "results/a.md --configfile config/mine.yaml --config tab.yaml=1",
        "--configfile config/mine.yaml -- tab.yaml",
        "--directory new/deeper --configfile config/mine.yaml",
    ],
)
def test_what_is_right_passes_and_leaves_no_trace(words, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert list(problems(words.split())) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_the_default_profile_says_it_in_place_of_snakemake(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["snakemake", "-n", "--configfile", "config/opn.yaml"])
    with pytest.raises(SystemExit) as end:
        parse_args(None)
    assert end.value.code == 1
    assert "did you mean 'config/open.yaml'?" in capsys.readouterr().err
