import base64
import html.parser
import io
import json
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mrisr.common.assets import page_digest
from mrisr.common.errors import ConfigError, InputError
from mrisr.common.files import sha256, write_json
from mrisr.evaluate.outliers import outliers, subject_values
from mrisr.plan.report import study_facts, viewer_files, viewer_settings
from mrisr.report import manifest as manifest_module
from mrisr.report.content import report, summarise
from mrisr.report.manifest import durations, manifest
from mrisr.report.viewer import Gallery
from mrisr.study.load import checked

#: Five pixels of a figure, no two alike.
PICTURE = Image.fromarray(np.arange(15, dtype=np.uint8).reshape(1, 5, 3) * 17)
VOID = {"meta", "img", "br", "link", "input", "col"}


class Page(html.parser.HTMLParser):
    """Checks that elements nest; collects text, ids and addresses that a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.ids, self.loaded, self.anchors = [], "", [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.loaded += [attrs[key] for key in ("src", "srcset", "poster", "data") if key in attrs]
        assert tag not in ("link", "iframe", "object")
        if tag == "a":
            self.anchors.append(attrs["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Importing torch takes seconds and tells nothing here."""
    monkeypatch.setattr(manifest_module, "_gpu", lambda: None)


@pytest.fixture
def record(tmp_path):
    (tmp_path / "quality.html").write_text(
        '<html><body><section class="mrisr-table" data-table="quality"><h3>Quality</h3>\n'
        "<table><tr><td>1 &#177; 2</td></tr></table></section></body></html>"
    )
    return manifest(
        {"study": "demo", "seed": 7, "scales": [2, 2.5]},
        7,
        tables=[tmp_path / "quality.html"],
        time=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    )


@pytest.fixture
def given(tmp_path):
    """What a study of two methods, one of them learned, tells the report."""
    folder = tmp_path / "models" / "net" / "x2-4"
    about = {"steps": 480, "parameters": 52801, "seconds": 7500.0, "val_loss": 0.0123456}
    about |= {"best_epoch": 3, "restarts": 1, "collapsed": True, "preset": "demo", "device": "cpu"}
    write_json(folder / "model.json", about)
    path = tmp_path / "net.csv"
    values = [*(f"sub-{i},psnr,volume,{30 + i / 10}" for i in range(6)), "sub-6,psnr,volume,12.5"]
    path.write_text("\n".join(["subject,metric,region,value", *values]) + "\n")
    cell = {"dataset": "d", "dataset_label": "Demo <1>", "scale": 2, "skipped": None, "model": None}
    cells = [
        {**cell, "method": "net", "method_label": "Net", "control": False, "path": str(path)}
        | {"learned": True},
        {**cell, "method": "cubic", "method_label": "Cubic", "control": False, "path": None}
        | {"skipped": "scale 2 not supported", "learned": False},
    ]
    dataset = {
        **{"label": "Demo <1>", "description": "Seven & more.", "licence": "CC0", "doi": "10.1/x"},
        **{"citation": "A. Author", "url": "https://example.org/", "simulated": True},
        **{"has_ground_truth": True, "subjects": {"train": 4, "test": 7}},
    }
    method = {"kind": "supervised", "control": False, "own": []}
    paper = {"title": "On <nets>", "doi": "10.1/net"}
    return {
        "config": {"study": "demo", "seed": 7, "title": "Demo <study>"}
        | {"baseline": "cubic", "primary_metric": "psnr"},
        "cells": cells,
        "models": [
            {"method": "net", "label": "Net", "trained": "x2-4", "folder": str(folder)}
            | {"published_steps": 936000}
        ],
        "datasets": [dataset],
        "notes": {"Degradation": "Cubic B-splines."},
        "methods": [
            {"name": "net", "label": "Net", "paper": paper, "settings": {"model": {"width": 24}}}
            | method,
            {"name": "cubic", "label": "Cubic", "paper": None, "settings": {}}
            | method
            | {"kind": "interpolation"},
        ],
        "subjects": {"d": [f"sub-{i}" for i in range(7)]},
        "viewer": [],
    }


def make(tmp_path, record, given, points=None, **changes):
    PICTURE.save(tmp_path / "a.png")
    about = {"points": points} | {
        "name": "a",
        "title": 'A "figure"',
        "caption": 'It\'s "one"',
        "section": "Curves",
    }
    write_json(tmp_path / "a.json", about | {"methods": ["net"], "scales": [2], "dataset": "d"})
    arguments = {
        "study_facts": given,
        "tables": {"quality": ("Quality", tmp_path / "quality.html")},
        "figures": [tmp_path / "a.json"],
        "manifest": record,
        **changes,
    }
    report(tmp_path / "report.html", **arguments)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_page_is_self_contained_and_well_formed(tmp_path, record, given):
    text, page = make(tmp_path, record, given)
    (address,) = page.loaded
    kind, _, packed = address.partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(packed))) as image:
        assert image.tobytes() == PICTURE.tobytes()
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text
    assert len(page.ids) == len(set(page.ids))
    inner = [anchor.removeprefix("#") for anchor in page.anchors if anchor.startswith("#")]
    assert inner and set(inner) <= set(page.ids)


def test_page_says_what_a_reader_needs(tmp_path, record, given):
    text, page = make(tmp_path, record, given)
    for part in (
        *("Demo <study>", "7 test subjects of Demo <1>", "1 ± 2", 'It\'s "one"', "52,801"),
        *("936,000", "0.051 %", "2.1 h", "0.01235", "x2-4", "On <nets>", "width: 24"),
        *("collapsed: supports no conclusion; demo preset", "Seven & more.", "Licence: CC0"),
        *("Cite: A. Author", "4 train, 7 test", "control", "†", "‡", "scale 2 not supported"),
        *("2024-05-06T07:08:09+00:00", "say nothing about real brains", "scales:\n- 2\n- 2.5"),
    ):
        assert part in page.text, part
    assert {"https://doi.org/10.1/x", "https://doi.org/10.1/net"} <= set(page.anchors)
    assert "<study>" not in text and "<nets>" not in text


def test_every_table_figure_method_and_subject_has_an_address(tmp_path, record, given):
    text, page = make(tmp_path, record, given)
    wanted = {"table-quality", "figure-a", "method-net", "subjects-d", "subject-d-sub-6"}
    assert wanted <= set(page.ids)
    assert 'id="figure-a" data-dataset="d" data-scale="2" data-method="net"' in text
    assert "A: A &#34;figure&#34;</a></h4>" in text  # its kind and its title
    method = text.partition('id="method-net"')[2].partition("</article>")[0]
    assert 'href="#figure-a"' in method


def test_points_of_a_figure_lead_to_their_subject(tmp_path, record, given):
    text, page = make(tmp_path, record, given, points={"sub-6": [[0.25, 0.5], [1, 0]]})
    assert "#subject-d-sub-6" in page.anchors and 'd="M250 500h0M1000 0h0"' in text
    many, _ = make(tmp_path, record, given, points={"sub-6": [[0, 0]] * 3001})
    assert 'class="points"' not in many


def test_a_tables_own_page_and_heading_are_not_repeated(tmp_path, record, given):
    text, _ = make(tmp_path, record, given)
    assert text.count("<body>") == 1 and "<h3>Quality</h3>" not in text
    assert 'data-table="quality"' in text


def test_a_value_that_stands_out_is_marked_with_its_subject(tmp_path, record, given):
    text, page = make(tmp_path, record, given)
    assert "1 values stand out." in page.text
    article = text.partition('id="subject-d-sub-6"')[2].partition("</article>")[0]
    assert '<span class="apart">12.50</span>' in article and "median 30.20" in article
    other = text.partition('id="subject-d-sub-1"')[2].partition("</article>")[0]
    assert "apart" not in other and "30.10" in other


def test_outliers_need_five_subjects_and_a_spread(tmp_path, given):
    values = subject_values(given["cells"])
    assert outliers(values)["subject"].tolist() == ["sub-6"]
    rest = [0.1 * i for i in range(6)]
    median, mad = 30.2 + 0.1 * 0, pd.Series([30 + x for x in rest] + [12.5])
    spread = (mad - mad.median()).abs().median()
    assert outliers(values)["z"].item() == pytest.approx(0.6745 * (12.5 - median) / spread)
    path = tmp_path / "few.csv"
    for rows in (["30"] * 3 + ["12"], ["30"] * 8 + ["12"], ["inf"] * 9):
        lines = [f"s{i},psnr,volume,{value}" for i, value in enumerate(rows)]
        path.write_text("\n".join(["subject,metric,region,value", *lines]) + "\n")
        assert outliers(subject_values([{**given["cells"][0], "path": str(path)}])).empty


def test_page_of_a_study_with_nothing_yet(tmp_path, record, given):
    given["cells"] = [{**cell, "path": str(tmp_path / "no.csv")} for cell in given["cells"]]
    given["models"][0]["folder"] = str(tmp_path / "no")
    _, page = make(tmp_path, record, given, tables={}, figures=[])
    for part in ("No table", "No figure", "not there yet", "nothing measured yet"):
        assert part in page.text
    assert page.text.count("–") >= 7  # facts of the model that nobody knows


def test_imported_weights_are_named(tmp_path, record, given):
    about = {"imported": True, "file": "/a/b/authors.pkl"}
    write_json(tmp_path / "models/net/x2-4/model.json", about)
    _, page = make(tmp_path, record, given)
    assert "weights imported from authors.pkl" in page.text and "/a/b" not in page.text


def test_shipped_weights_are_named(tmp_path, record, given):
    about = {"imported": True, "shipped": True, "file": "/a/model.safetensors", "steps": 4800}
    about |= {"train_subjects": ["a", "b"], "dataset": "ds1"}
    write_json(tmp_path / "models/net/x2-4/model.json", about)
    _, page = make(tmp_path, record, given)
    assert "trained elsewhere for 4,800 steps on 2 subjects of ds1" in page.text


def test_only_web_addresses_become_links(tmp_path, record, given):
    given["datasets"][0]["url"] = "javascript:alert(1)"
    text, _ = make(tmp_path, record, given)
    assert "javascript:" not in text


def test_names_from_data_cannot_end_the_viewers_scripts(tmp_path, record, given):
    name = "</script><script>alert(1)</script>"
    image = {"key": "net", "label": name, "kind": "sr", "blob": "b"}
    its = {"dataset": "d", "dataset_label": name, "subject": "sub-1", "scale": 2}
    shown = Gallery([its | {"measured": False, "shape": [1, 1, 1], "images": [image]}], {"b": "AA"})
    text, _ = make(tmp_path, record, given, viewer=shown)
    assert "alert(1)</script>" not in text
    inner = text.partition('id="viewer-sets">')[2].partition("</script>")[0]
    images = json.loads(inner)[0]["images"]
    assert images == [image | {"psnr": "30.10"}]


def test_marks_of_a_training_stand_beside_its_images(tmp_path, record, given):
    about = {"key": "net", "label": "Net", "kind": "sr", "blob": "b"}
    its = {"dataset": "d", "dataset_label": "D", "subject": "sub-1", "scale": 2}
    shown = Gallery([its | {"measured": True, "shape": [1, 1, 1], "images": [about]}], {"b": "AA"})
    row = {"dataset": "d", "scale": 2, "method": "net", "metric": "psnr", "region": "volume"}
    row |= {"n": 7, "mean": 30.0, "std": 1.0, "ci_low": 29.0, "ci_high": 31.0}
    row |= {"note": "collapsed; not above the baseline"}
    pd.DataFrame([row]).to_csv(tmp_path / "quality.csv", index=False)
    text, _ = make(tmp_path, record, given, viewer=shown, quality=tmp_path / "quality.csv")
    inner = text.partition('id="viewer-sets">')[2].partition("</script>")[0]
    assert json.loads(inner)[0]["images"][0]["label"] == "Net‡"
    assert "30.00 ± 1.00 [29.00, 31.00]" in text


def test_missing_table_or_figure_is_named(tmp_path, record, given):
    changes = [{"tables": {"no": ("No", tmp_path / "no.html")}}, {"figures": [tmp_path / "b.json"]}]
    for change in changes:
        with pytest.raises(InputError, match=r"(no\.html|b\.png): no such file"):
            make(tmp_path, record, given, **change)
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


def test_manifest_records_threads_of_trainings_and_reconstructions(tmp_path):
    write_json(tmp_path / "net/x2/model.json", {"threads": 3})
    write_json(tmp_path / "imported/x2/model.json", {})
    models = [tmp_path / name / "x2/model.safetensors" for name in ("net", "imported")]
    log = tmp_path / "logs/sr/d/cubic/x2.log"
    log.parent.mkdir(parents=True)
    log.write_text("2024-05-06 on a CPU, 1 threads\n")
    (log.parent / "x3.log").write_text("killed\n")
    assert manifest_module.threads(models, tmp_path / "logs") == {
        "train": {str(models[0]): 3},
        "reconstruct": {"d/cubic/x2": 1},
    }


def test_durations_are_summed_by_stage(tmp_path):
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, seconds, memory, cpu in (
        *(("sr/d/a/x2", "10.5", "100.0", "8.25"), ("sr/d/b/x2", "2", "300.0", "1.5")),
        ("report.html", "1.0", "-", "-"),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{header}{seconds}\t0:00:10\t{memory}\t1\t1\t1\t0\t0\t90\t{cpu}\n")
    assert durations(tmp_path) == {
        "report": {"jobs": 1, "seconds": 1, "cpu_seconds": 0, "peak_megabytes": 0},
        "sr": {"jobs": 2, "seconds": 12.5, "cpu_seconds": 9.75, "peak_megabytes": 300},
    }


def test_summary_is_two_sentences(given):
    text = summarise(given)
    assert text == (
        "Low-resolution input of 7 test subjects of Demo <1> was made from the ground truth by"
        " cubic B-splines at 2×. Net and Cubic reconstructed it on the grid of the ground truth,"
        " against which every volume was measured."
    )


def test_summary_of_real_scans_claims_no_ground_truth(given):
    own = {"label": "Own", "has_ground_truth": False, "subjects": {"test": 1}}
    both = summarise(given | {"datasets": [*given["datasets"], own]})
    assert "made from the ground truth by cubic" in both and "likewise" in both
    text = summarise(given | {"datasets": [own]})
    assert text.startswith("Real low-resolution scans of 1 test subject of Own were reconstructed")
    assert "made from" not in text and "by Net and Cubic at 2×" in text


@pytest.fixture
def small(tiny_study, monkeypatch):
    def load(**config):
        study = tiny_study(methods={"cubic": None, "identity": None}, scales=[2, 3], **config)
        monkeypatch.chdir(study.folder)
        return study.config

    return load


def test_viewer_shows_one_subject_and_never_the_ground_truth_twice(small):
    study = checked(small())
    sets = study_facts(study)["viewer"]
    assert [(its["subject"], its["scale"]) for its in sets] == [("sub-04", 2), ("sub-04", 3)]
    assert [image["method"] for image in sets[0]["images"]] == ["cubic"]
    assert len(viewer_files(sets)) == 6  # truth and mask, LR and cubic at two scales


def test_viewer_is_what_the_config_says(small):
    config = small()
    assert viewer_settings(checked(config).config)["megabytes"] == 20
    config["report"] = {"viewer": False}
    assert study_facts(checked(config))["viewer"] == []
    config["report"] = {"viewer": {"subjects": 2, "scales": [3]}}
    assert [its["subject"] for its in study_facts(checked(config))["viewer"]] == [
        "sub-04",
        "sub-05",
    ]
    config["report"] = {"viewer": {"scales": [2, 7]}}
    with pytest.raises(ConfigError, match=r"report\.viewer\.scales: nothing is .* at 7; tested"):
        checked(config)


def test_the_carried_library_is_the_one_that_its_readme_names():
    from mrisr.common.assets import NIIVUE

    said = (NIIVUE.parent / "README.md").read_text()
    assert f"{sha256(NIIVUE)}  {NIIVUE.name}" in said
    assert len(page_digest()) == 16
