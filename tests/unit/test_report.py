import base64
import html.parser
import json
import re
from datetime import UTC, datetime

import pytest

from mrisr import report as module
from mrisr.errors import InputError
from mrisr.files import sha256, write_json
from mrisr.report import manifest, report, summarise

VOID = {"meta", "img", "br", "link"}


class Page(html.parser.HTMLParser):
    """Checks that elements nest; collects text, ids and addresses that a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.ids, self.loaded, self.anchors = [], "", set(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.loaded += [attrs[key] for key in ("src", "srcset", "poster", "data") if key in attrs]
        assert tag not in ("link", "script", "iframe")
        if tag == "a":
            self.anchors.append(attrs["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Importing torch takes seconds and tells nothing here."""
    monkeypatch.setattr(module, "_gpu", lambda: None)


@pytest.fixture
def record(tmp_path):
    (tmp_path / "quality.html").write_text(
        "<h3>Demo</h3><table><tr><td>1 &#177; 2</td></tr></table>"
    )
    return manifest(
        {"study": "demo", "seed": 7, "scales": [2, 2.5]},
        7,
        tables=[tmp_path / "quality.html"],
        time=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    )


def make(tmp_path, record, **changes):
    (tmp_path / "a.png").write_bytes(b"\x89PNG picture")
    write_json(tmp_path / "a.json", {"name": "a", "caption": 'It\'s "one"'})
    model = {
        **{"label": "Net", "trained": "x2-4", "steps": 480, "published_steps": 936000},
        **{"parameters": 52801, "seconds": 7500.0, "val_loss": 0.0123456, "best_epoch": 3},
        **{"restarts": 1, "collapsed": True, "preset": "demo", "device": "cpu"},
    }
    dataset = {
        **{"label": "Demo <1>", "description": "Seven & more.", "licence": "CC0", "doi": "10.1/x"},
        **{"citation": "A. Author", "url": "https://example.org/", "simulated": True},
        "subjects": {"train": 4, "test": 2},
    }
    arguments = {
        **{"title": "Demo <study>", "summary": "What was done.", "models": [model]},
        **{"tables": [tmp_path / "quality.html"], "figures": [tmp_path / "a.json"]},
        **{"datasets": [dataset], "manifest": record},
        **changes,
    }
    report(tmp_path / "report.html", **arguments)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_page_is_self_contained_and_well_formed(tmp_path, record):
    text, page = make(tmp_path, record)
    assert page.loaded == ["data:image/png;base64," + base64.b64encode(b"\x89PNG picture").decode()]
    assert not re.search(r"url\(|@import", text)
    inner = [anchor.removeprefix("#") for anchor in page.anchors if anchor.startswith("#")]
    assert inner and set(inner) <= page.ids


def test_page_says_what_a_reader_needs(tmp_path, record):
    text, page = make(tmp_path, record)
    for part in (
        *("Demo <study>", "What was done.", "1 ± 2", 'It\'s "one"', "52,801", "936,000", "2.1 h"),
        *("0.01235", "x2-4", "collapsed: supports no conclusion; demo preset", "Seven & more."),
        *("Licence: CC0", "Cite: A. Author", "4 train, 2 test", "control", "†", "‡"),
        *("2024-05-06T07:08:09+00:00", "say nothing about real brains"),
    ):
        assert part in page.text, part
    assert "https://doi.org/10.1/x" in page.anchors
    assert "<study>" not in text


def test_further_tables_are_folded_under_the_others(tmp_path, record):
    text, _ = make(tmp_path, record)
    assert "<details>" not in text
    (tmp_path / "more.html").write_text("<table><tr><td>p &lt; 1</td></tr></table>")
    text, _ = make(tmp_path, record, folded=[("Tests & more", tmp_path / "more.html")])
    inner = text.partition("<details>")[2].partition("</details>")[0]
    assert "<summary>Tests &amp; more</summary>" in inner and "<td>p &lt; 1</td>" in inner
    assert text.index("1 &#177; 2") < text.index("<details>") < text.index('id="figures"')
    with pytest.raises(InputError, match=r"no\.html: no such file"):
        make(tmp_path, record, folded=[("Tests", tmp_path / "no.html")])


def test_page_of_a_study_with_nothing_yet(tmp_path, record):
    _, page = make(tmp_path, record, tables=[], figures=[], models=[])
    for part in ("No table", "No figure", "no model is there"):
        assert part in page.text


def test_unknown_facts_of_a_model_are_visible(tmp_path, record):
    _, page = make(tmp_path, record, models=[{"label": "Net", "trained": "x2"}])
    assert page.text.count("–") >= 8


def test_imported_weights_are_named(tmp_path, record):
    model = {"label": "Net", "trained": "x2", "imported": True, "file": "/a/b/authors.pkl"}
    _, page = make(tmp_path, record, models=[model])
    assert "weights imported from authors.pkl" in page.text and "/a/b" not in page.text


def test_only_web_addresses_become_links(tmp_path, record):
    dataset = {"label": "D", "url": "javascript:alert(1)"}
    text, _ = make(tmp_path, record, datasets=[dataset])
    assert "javascript:" not in text


def test_missing_table_or_figure_is_named(tmp_path, record):
    for changes in ({"tables": [tmp_path / "no.html"]}, {"figures": [tmp_path / "no.json"]}):
        with pytest.raises(InputError, match=r"no\.(html|json|png): no such file"):
            make(tmp_path, record, **changes)
    assert not (tmp_path / "report.html").exists()


def test_manifest_records_files_and_config(tmp_path, record):
    path = tmp_path / "quality.html"
    assert record["sha256"]["tables"] == {str(path): sha256(path)}
    assert record["study"] == "demo" and record["seed"] == record["config"]["seed"] == 7
    assert record["versions"]["numpy"] and record["host"]["cpus"] >= 1 and record["commit"]
    write_json(tmp_path / "manifest.json", record)
    assert json.loads((tmp_path / "manifest.json").read_text()) == record
    with pytest.raises(InputError, match="gone: no such file"):
        manifest({}, 1, models=[tmp_path / "gone"])


def test_summary_is_two_sentences():
    text = summarise({"Demo": 1, "Real": 7}, ["Cubic", "Net"], [2, 2.5], "down-sampling")
    assert text.startswith(
        "Low-resolution input of 1 test subject of Demo and 7 test subjects of Real was made from"
        " the ground truth by down-sampling at 2× and 2.5×. Cubic and Net reconstructed it"
    )


def test_summary_of_real_scans_claims_no_ground_truth():
    text = summarise({}, ["Cubic"], [2], "", {"Own": 2})
    assert text.startswith("Real low-resolution scans of 2 test subjects of Own were reconstructed")
    assert "made from" not in text and "by Cubic at 2×" in text
    both = summarise({"Demo": 1}, ["Cubic"], [2], "down-sampling", {"Own": 2})
    assert "made from the ground truth by down-sampling" in both and "likewise" in both
