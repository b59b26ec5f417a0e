"""Footnotes told once, the leaderboard and the paragraph on methods."""

import math

import pandas as pd
import pytest

from mrisr.report.leaderboard import leaderboard
from mrisr.report.methods_text import methods_text
from mrisr.report.shared_notes import shared


def section(*notes):
    items = "\n".join(f"<li>{note}</li>" for note in notes)
    return f'<section><table></table>\n<ul class="notes">\n{items}\n</ul>\n</section>'


def test_a_footnote_of_several_tables_stands_once_and_each_refers_to_it():
    found, notes = shared({"a": section("Seed: 1", "Mine"), "b": section("Seed: 1", "Mask &lt;")})
    assert [(note["number"], note["html"], note["tables"]) for note in notes] == [
        (1, "Seed: 1", ["a", "b"])
    ]
    for name, alone in (("a", "Mine"), ("b", "Mask &lt;")):
        assert "Seed: 1" not in found[name]
        assert f"<li>{alone}</li>" in found[name] and 'href="#note-1"' in found[name]


def test_a_table_whose_footnotes_are_all_shared_has_no_empty_list():
    found, notes = shared({"a": section("x", "y"), "b": section("y", "x"), "c": section()})
    assert '<ul class="notes">' not in "".join(found.values())
    assert [note["html"] for note in notes] == ["x", "y"]
    assert '<a href="#note-2">2</a>, <a href="#note-1">1</a>' in found["b"]
    alone = {"a": section("x")}
    assert shared(alone)[0]["a"].count("<li>x</li>") == 1 and shared(alone)[1] == []


def method(name, **changes):
    about = {"name": name, "label": name.title(), "kind": "supervised", "control": False}
    return about | {"paper": None, "settings": {}, "own": [], **changes}


@pytest.fixture
def facts():
    cell = {"dataset": "d", "dataset_label": "Demo", "control": False, "skipped": None}
    cells = [
        cell | {"scale": scale, "method": name, "method_label": name.title()}
        for scale in (2, 3)
        for name in ("cubic", "net", "late")
    ]
    paper = {"title": "A. Author, On nets, 2020", "doi": "10.1/net"}
    dataset = {"label": "Demo", "citation": "B. Author, Scans", "doi": "10.1/scans"}
    return {
        "config": {"primary_metric": "psnr", "baseline": "cubic", "regions": ["volume", "mask"]}
        | {"metrics": ["psnr", "ssim", "gain"]},
        "cells": cells,
        "methods": [
            *(method("cubic"), method("net", paper=paper), method("late")),
            method("nearest", control=True),
        ],
        "datasets": [dataset | {"subjects": {"train": 3, "test": 7}, "simulated": False}],
        "notes": {"Mask": "voxels with signal.", "Seed": "7", "Split": ""},
    }


def quality(**means):
    keys = ("dataset", "scale", "method", "metric", "region", "n", "mean", "ci_low", "ci_high")
    rows = [
        ("d", scale, name, "psnr", "mask", 7, mean, mean - 1, mean + 1)
        for name, values in means.items()
        for scale, mean in zip((2, 3), values, strict=True)
        if not math.isnan(mean)
    ]
    return pd.DataFrame(rows, columns=keys).assign(note="")


def test_leaderboard_has_one_line_a_method_the_best_first_and_no_controls(facts, tmp_path):
    means = quality(cubic=(30, 28), net=(31, 27), late=(math.nan, 29), nearest=(20, 20))
    means.loc[means["method"] == "net", "note"] = "undertrained"
    board = leaderboard(facts, means, [], tmp_path / "report.html")
    assert [row["label"] for row in board["rows"]] == ["Net", "Cubic", "Late"]
    assert [head["text"] for head in board["header"]] == ["2×", "3×"]
    net, _, late = board["rows"]
    assert net["marks"] == "†" and net["cells"][0]["text"] == "31.00"
    assert net["cells"][0]["below"] == "[30.00, 32.00]"
    assert late["cells"][0]["mean"] is None and board["measure"] == "PSNR inside the mask (dB)"
    assert leaderboard(facts, pd.DataFrame(), [], tmp_path / "report.html") is None


def test_leaderboard_links_the_files_of_a_model_that_are_there(facts, tmp_path):
    folder = tmp_path / "results" / "models" / "net #1" / "x2"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    model = {"method": "net", "folder": str(folder), "trained": "x2"}
    model |= {"parameters": "52,801", "steps": "480", "seconds": "2.1 h"}
    means = quality(cubic=(30, 28), net=(31, 27))
    board = leaderboard(facts, means, [model], tmp_path / "results" / "report.html")
    assert board["rows"][0]["files"] == [
        {"href": "models/net%20%231/x2/model.safetensors", "text": "x2 weights"}
    ]
    assert board["rows"][0]["parameters"] == "52,801" and board["rows"][1]["files"] == []


def test_paragraph_on_methods_cites_what_the_study_used(facts):
    manifest = {"mrisr": "1.0", "commit": "abc", "seed": 7, "versions": {"numpy": "2.4"}}
    found = methods_text(facts, manifest, "Summary.")
    text = found["text"]
    for part in (
        *("Summary. Methods that follow papers: Net [1].", "Subjects: Demo (3 train, 7 test) [2]."),
        *("Mask: voxels with signal.", "by PSNR [3] and SSIM [4], over the whole volume and"),
        *("with Cubic, and with each other,", "the primary metric was PSNR inside the mask"),
        "computed by mrisr 1.0, commit abc with seed 7 (numpy 2.4).",
    ):
        assert part in text, part
    assert "Seed" not in text and "Gain" not in text
    assert found["references"][0] == "[1] A. Author, On nets, 2020, doi:10.1/net"
    assert len(found["references"]) == 8
    facts["cells"] = facts["cells"][:1]
    assert "Wilcoxon" not in methods_text(facts, manifest, "")["text"]
