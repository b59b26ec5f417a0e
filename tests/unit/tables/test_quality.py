import html.parser
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.common.statistics import mean_interval
from mrisr.tables.numbers import interval, number
from mrisr.tables.quality import COLUMNS, quality_table

PUBLISHED = Path(__file__).parents[3] / "config" / "published"
LABELS = {"nearest": "Nearest", "cubic": "Cubic", "net": "Net_1 & Co", "other": "Other"}


def write(folder, name, psnr, ssim=(0.9, 0.92), n=2):
    path = folder / f"{name}.csv"
    lines = ["subject,metric,region,value"]
    for i in range(n):
        for region, offset in (("volume", 0), ("mask", -8)):
            lines.append(f"sub-{i:02d},psnr,{region},{psnr[i] + offset}")
            lines.append(f"sub-{i:02d},ssim,{region},{ssim[i] + offset / 100}")
    path.write_text("\n".join(lines) + "\n")
    return path


def cell(method, path, scale=2, **changes):
    learned = method in ("net", "other")
    model = {"steps": 480_000, "collapsed": False, "restarts": 0, "preset": "published"}
    return {
        **{"dataset": "demo", "dataset_label": "Demo", "scale": scale, "method": method},
        **{"method_label": LABELS[method], "control": method == "nearest", "learned": learned},
        **{"path": path, "skipped": None, "model": model if learned else None},
        **{"published_steps": 936000 if learned else None},
        **changes,
    }


@pytest.fixture
def cells(tmp_path):
    return [
        cell("nearest", write(tmp_path, "nearest", (20.0, 21.0), (0.7, 0.72))),
        cell("cubic", write(tmp_path, "cubic", (30.0, 31.0))),
        cell("net", write(tmp_path, "net", (33.0, 34.123456789), (0.95, 0.96))),
        cell("other", write(tmp_path, "other", (31.0, 32.0), (0.93, 0.94))),
    ]


def make(cells, **arguments):
    return quality_table(cells, baseline="cubic", **arguments)


def row(table, method, metric="psnr", region="volume", scale=2):
    frame = table.frame
    hit = frame[
        (frame["method"] == method) & (frame["metric"] == metric) & (frame["region"] == region)
        & (frame["scale"] == scale)
    ]  # fmt: skip
    assert len(hit) == 1
    return hit.iloc[0]


def styles(table, column=1):
    """Style of each method's entry in a column of the first scale."""
    return {line[0].text: line[column].style for line in table.blocks[0].groups[0][1]}


def test_frame_is_tidy_and_in_full_precision(cells, tmp_path):
    table = make(cells)
    table.write(tmp_path / "quality")
    frame = pd.read_csv(tmp_path / "quality.csv", keep_default_na=False, dtype=str)
    assert frame.columns.tolist() == COLUMNS and len(frame) == 4 * 4
    net = frame[(frame["method"] == "net") & (frame["metric"] == "psnr")].iloc[0]
    assert float(net["mean"]) == (33.0 + 34.123456789) / 2
    assert float(net["std"]) == pytest.approx(1.123456789 / math.sqrt(2), rel=1e-15)
    assert net["ci_low"] == net["ci_high"] == ""
    assert net["n"] == "2" and net["scale"] == "2"


def test_same_input_same_bytes(cells, tmp_path):
    for name in ("a", "b"):
        make(cells, notes={"seed": "1"}).write(tmp_path / name / "table")
    for suffix in ("csv", "md", "tex", "html"):
        assert (tmp_path / f"a/table.{suffix}").read_bytes() == (
            tmp_path / f"b/table.{suffix}"
        ).read_bytes()


def test_best_and_second_leave_out_controls(cells):
    found = styles(make(cells))
    assert found == {
        "Nearest (control)": "",
        "Cubic": "",
        "Net_1 & Co§": "best",
        "Other§": "second",
    }


def test_undertrained_is_a_matter_of_steps_and_ranked(cells):
    cells[2]["model"]["steps"] = 0.09 * 936000
    table = make(cells)
    assert "undertrained" in row(table, "net")["note"]
    assert styles(table)["Net_1 & Co†§"] == "best"
    note = next(note for note in table.footnotes if note.startswith("† undertrained"))
    assert "10 % of the published steps" in note and note.endswith(": Net_1 & Co at 2×.")


LONG = {"psnr": [30.0, 31, 32, 33, 34, 35], "ssim": [0.9] * 6}


def held(tmp_path, gain, **changes):
    """Return the table of cubic and a network that is better by `gain` in each subject's PSNR."""
    psnr = [value + by for value, by in zip(LONG["psnr"], gain, strict=True)]
    cells = [
        cell("cubic", write(tmp_path, "cubic", LONG["psnr"], LONG["ssim"], 6)),
        cell("net", write(tmp_path, "net", psnr, LONG["ssim"], 6), **changes),
    ]
    return make(cells)


def test_not_above_the_baseline_is_tested_and_ranked(tmp_path):
    # One of six is worse, by little: 2 of 2^6 sums of ranks are as far up, p = 0.031.
    above = held(tmp_path, [1, 2, 3, 4, 5, -0.5])
    assert row(above, "net")["note"] == "" and styles(above)["Net_1 & Co"] == "best"
    # Better in the mean, and not beyond chance; whatever the means, both are ranked.
    unsure = held(tmp_path, [5, -1, 2, -1.9, 0.5, 0.4])
    assert row(unsure, "net")["note"] == "not above the baseline"
    assert styles(unsure) == {"Cubic": "second", "Net_1 & Co¶": "best"}
    note = next(note for note in unsure.footnotes if note.startswith("¶"))
    assert "not above Cubic, in PSNR inside the mask a one-sided" in note
    assert "Net_1 & Co at 2× (+0.83 dB, p = 0.281, n = 6)" in note
    assert r"$\mathparagraph$" in unsure.tex()


def test_the_mask_is_where_a_method_is_held_against_the_baseline(tmp_path):
    """Far above cubic over the volume, thanks to the background; below it inside the mask."""
    cells = [
        cell("cubic", write(tmp_path, "cubic", LONG["psnr"], LONG["ssim"], 6)),
        cell("net", write(tmp_path, "net", LONG["psnr"], LONG["ssim"], 6)),
    ]
    lines = cells[1]["path"].read_text().splitlines()
    for i, line in enumerate(lines):
        *name, value = line.split(",")
        if ",psnr," in line:
            lines[i] = ",".join([*name, str(float(value) + (9 if name[2] == "volume" else -1))])
    cells[1]["path"].write_text("\n".join(lines) + "\n")
    assert row(make(cells), "net")["note"] == "not above the baseline"
    for its in cells:
        kept = [line for line in its["path"].read_text().splitlines() if ",mask," not in line]
        its["path"].write_text("\n".join(kept) + "\n")
    assert row(make(cells), "net")["note"] == ""


def test_few_subjects_are_not_tested_and_ranked(cells):
    table = make(cells)
    assert row(table, "net")["note"] == "not tested against the baseline"
    assert row(table, "cubic")["note"] == ""
    assert any(note.startswith("§ not tested against Cubic, fewer than 5") for note in
               table.footnotes)  # fmt: skip


def test_a_collapsed_model_is_marked_ranked_and_said_to_be_restarted(cells):
    cells[2]["model"] |= {"collapsed": True, "restarts": 2}
    table = make(cells)
    assert row(table, "net")["note"].startswith("collapsed; restarted 2 times")
    assert styles(table)["Net_1 & Co‡§"] == "best"
    assert any("‡ collapsed" in note for note in table.footnotes)
    assert any("restarted 2 times" in note for note in table.footnotes)


def test_a_validation_loss_that_still_falls_is_said(cells):
    cells[2]["model"] |= {"loss_fell": 0.02}
    cells[3]["model"] |= {"loss_fell": 0.002}
    notes = make(cells).footnotes
    assert "The validation loss was still falling when training ended: Net_1 & Co at 2×." in notes


def test_imported_weights_are_named_in_place_of_the_budget(cells):
    cells[2]["model"] = {"imported": True, "file": "/a/b/authors.pkl", "steps": None}
    cells[3]["model"] = {"imported": True, "file": "model.safetensors", "steps": 480}
    table = make(cells)
    assert "Weights imported from authors.pkl: Net_1 & Co at 2×." in table.footnotes
    assert (
        "Weights imported from model.safetensors, trained for 480 of the 936,000 published steps"
        " (0.051 %): Other at 2×." in table.footnotes
    )
    assert styles(table)["Net_1 & Co§"] == "best"
    assert not any(note.startswith("Trained for") or "‡" in note for note in table.footnotes)


def test_shipped_weights_are_said_to_be_trained_elsewhere(cells):
    subjects = {"train_subjects": ["a", "b"], "dataset": "ds1"}
    cells[2]["model"] = {"imported": True, "shipped": True, "file": "m", "steps": 4800, **subjects}
    table = make(cells)
    assert (
        "Weights that come with mrisr, trained elsewhere for 4,800 steps on 2 subjects of ds1:"
        " Net_1 & Co at 2×." in table.footnotes
    )
    assert not any(note.startswith("Trained") and "Net_1" in note for note in table.footnotes)


def test_steps_that_see_less_than_the_published_ones_are_said(cells):
    cells[2]["published_training"] = {"batch": 16, "lr_patch": 48, "epochs": 10}
    cells[2]["model"] = {"steps": 480, "training": {"batch": 4, "lr_patch": 48, "epochs": 1}}
    assert (
        "Trained for 480 of the 936,000 published steps (0.051 %), each with a batch of 4 (16) in"
        " place of the published: Net_1 & Co at 2×." in make(cells).footnotes
    )


def test_patches_that_follow_the_scale_are_said_in_words(cells):
    cells[2]["published_training"] = {"patch": None, "lr_patch": 10}
    cells[2]["model"] = {"steps": 480, "training": {"patch": 24, "lr_patch": 10}}
    (said,) = [note for note in make(cells).footnotes if re.match("Trained.*Net_1", note)]
    assert "patches of 24 (10 times the scale) in place of the published" in said
    cells[2]["model"]["training"]["patch"] = None
    (said,) = [note for note in make(cells).footnotes if re.match("Trained.*Net_1", note)]
    assert "patches of" not in said


def test_without_the_baselines_values_nothing_is_tested(cells):
    cells[1]["path"] = None
    table = make(cells)
    assert row(table, "net")["note"] == "not tested against the baseline"
    assert styles(table)["Net_1 & Co§"] == "best"
    # A study that names no baseline has nothing to check.
    assert styles(quality_table(cells))["Net_1 & Co"] == "best"


def test_missing_and_skipped_stay_visible(cells, tmp_path):
    cells[2]["path"] = tmp_path / "not_there.csv"
    cells[3] |= {"path": None, "skipped": "trained for 2 to 4"}
    table = make(cells)
    assert row(table, "net")["note"] == "missing" and row(table, "net")["n"] == 0
    assert row(table, "other")["note"] == "skipped: trained for 2 to 4"
    assert math.isnan(row(table, "net")["mean"])
    for text in (table.markdown(), table.tex(), table.html()):
        assert text.count("missing") >= 4 and text.count("n/a") >= 4
        assert "trained for 2 to 4" in text


def test_everything_missing_still_makes_a_table(cells):
    table = make([{**its, "path": None} for its in cells], metrics=["psnr"], regions=["volume"])
    assert table.frame["note"].eq("missing").all() and len(table.frame) == 4


def test_one_subject_has_no_spread_and_equal_volumes_show_infinity(cells, tmp_path):
    cells[0]["path"] = write(tmp_path, "nearest", (math.inf,), (1.0,), n=1)
    cells[1]["path"] = write(tmp_path, "cubic", (30.0,), (0.9,), n=1)
    table = make(cells[:2])
    assert math.isinf(row(table, "nearest")["mean"]) and math.isnan(row(table, "nearest")["std"])
    assert math.isnan(row(table, "cubic")["std"])
    for name in ("nearest", "cubic"):
        assert math.isnan(row(table, name)["ci_low"]) and math.isnan(row(table, name)["ci_high"])
    assert "| Nearest (control) | ∞ |" in table.markdown()
    assert "| Cubic | 30.00 |" in table.markdown()
    assert ",inf,,,," in table.csv() and r"$\infty$" in table.tex()


def test_a_mean_that_one_subject_makes_infinite_is_not_best(tmp_path):
    psnr = [30.0, 31, 32, 33, 34, 35]
    cells = [
        cell("cubic", write(tmp_path, "cubic", psnr, [0.9] * 6, 6)),
        cell("net", write(tmp_path, "net", [*psnr[:5], math.inf], [0.9] * 6, 6)),
        cell("other", write(tmp_path, "other", [value + 1 for value in psnr], [0.9] * 6, 6)),
    ]
    table = make(cells)
    entry = table.blocks[0].groups[0][1][1][1]
    assert (entry.text, entry.style) == ("∞ in 1 of 6", "absent")
    assert styles(table)["Other"] == "best" and styles(table)["Cubic"] == "second"
    assert "infinite in some subjects" in row(table, "net")["note"]


def test_methods_of_other_subjects_are_refused(cells, tmp_path):
    write(tmp_path, "other", (31.0,), (0.9,), n=1)
    with pytest.raises(InputError, match=r"other\.csv: other subjects than in .*nearest\.csv"):
        make(cells)


def test_published_values_stand_beside_ours(cells):
    published = pd.read_csv(PUBLISHED / "arssr_table1.csv").assign(
        dataset="demo", source="Printed in Table 1, 5 % off"
    )
    table = make(cells, published=published)
    assert row(table, "cubic")["published_mean"] == 24.44
    assert row(table, "cubic")["published_std"] == 2.85
    assert math.isnan(row(table, "cubic", region="mask")["published_mean"])
    assert math.isnan(row(table, "net")["published_mean"])
    assert "| Cubic | 30.50 ± 0.71 | 24.44 ± 2.85 |" in table.markdown()
    assert table.footnotes.count("Printed in Table 1, 5 % off") == 1
    # Only columns that have some: PSNR and SSIM over the volume.
    assert table.blocks[0].header.count("published") == 2
    other = make(cells, published=published.assign(dataset="another"))
    assert "published" not in other.blocks[0].header
    assert "Printed in Table 1, 5 % off" not in other.footnotes


def test_footnotes_state_what_was_done(cells):
    cells[3]["model"] = None
    cells[2]["model"]["preset"] = "demo"
    cells[2]["simulated"] = True
    table = make(cells, notes={"degradation": "cubic B-spline", "data_range": "max − min", "x": ""})
    notes = "\n".join(table.footnotes)
    assert "Degradation: cubic B-spline\nData range: max − min" in notes
    assert "480,000 of the 936,000 published steps (51 %); demo preset" in notes
    assert "an unknown number of steps (no model.json): Other at 2×." in notes
    assert "Demo: no scans" in notes and "X:" not in notes


def test_datasets_are_blocks_and_named_in_footnotes(cells, tmp_path):
    cells.append(
        cell("net", write(tmp_path, "b", (30.0, 31.0)), dataset="b", dataset_label="B", scale=2.5)
    )
    table = make(cells)
    assert [block.title for block in table.blocks] == ["Demo", "B"]
    assert table.blocks[1].groups[0][0] == "2.5×" and "b,2.5,net" in table.csv()
    assert any("on B at 2.5×" in note for note in table.footnotes)


@pytest.mark.parametrize(
    "content",
    [
        "subject,metric,value\nsub-01,psnr,3\n",
        "subject,metric,region,value\nsub-01,psnr,volume,nan\n",
        "subject,metric,region,value\nsub-01,psnr,volume,x\n",
        "subject,metric,region,value\nsub-01,psnr,volume,3\nsub-02,ssim,volume,3\n",
        "subject,metric,region,value\nsub-01,psnr,volume,3\nsub-01,psnr,volume,3\n",
        "subject,metric,region,value\n",
        "",
    ],
)
def test_damaged_csv_is_named(cells, content):
    cells[2]["path"].write_text(content)
    with pytest.raises(InputError, match=r"net\.csv: .*run again"):
        make(cells)


HOSTILE = r"a_b & 50% $x$ #1 {y} ~^ \z <b>|*`"


class Tags(html.parser.HTMLParser):
    """Checks that elements nest and collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.seen = [], "", set()

    def handle_starttag(self, tag, attrs):
        self.open += [] if tag in ("meta", "br") else [tag]
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_labels_and_notes_are_escaped(cells):
    cells = [{**its, "dataset_label": HOSTILE, "method_label": HOSTILE} for its in cells]
    table = make(cells, notes={"crop": HOSTILE})

    tags = Tags()
    tags.feed(table.html())
    tags.close()
    assert not tags.open and HOSTILE in tags.text and table.html().isascii()

    tex = table.tex()
    body = re.sub(r"\\([&%$#_{}]|[a-zA-Z]+\*?)", " ", tex.partition("\n")[2])
    assert not re.search(r"[%#_~]", body) and body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0 and body.count("^") == 0
    assert tex.isascii() and tex.count(r"\begin{") == tex.count(r"\end{")

    for line in table.markdown().splitlines():
        if line.startswith("| 2"):
            assert len(re.split(r"(?<!\\)\|", line)) == 2 + 7
            assert "<b>" not in line.replace(r"\<b\>", "")


def extend(path, metric, value, region="volume", n=2):
    """Append a metric to a CSV."""
    lines = [f"sub-{i:02d},{metric},{region},{value + i / 100}\n" for i in range(n)]
    path.write_text(path.read_text() + "".join(lines))


def test_intervals_are_printed_in_every_form(cells, tmp_path):
    psnr = [33.0, 35.0, 34.0, 33.5, 34.5]
    for its in cells:
        write(tmp_path, its["method"], psnr, [0.9] * 5, n=5)
    table = make(cells)
    low, high = mean_interval(psnr)
    net = row(table, "net")
    assert (net["ci_low"], net["ci_high"]) == (low, high)
    text = f"[{low:.2f}, {high:.2f}]"
    assert text == "[33.02, 34.98]"
    assert "| 2× | *95 % interval* | *\\[33.02, 34.98\\]* |" in table.markdown()
    assert r"{\tiny [33.02, 34.98]}" in table.tex()
    assert f'<small class="below">{text}</small>' in table.html()
    assert any("Student's t interval" in note for note in table.footnotes)


def test_few_subjects_are_shown_one_by_one(cells, tmp_path):
    table = make(cells)
    for form in (table.markdown(), table.tex(), table.html()):
        assert "33.00, 34.12" in form and "each subject" in form and "interval*" not in form
    assert any("Fewer than 5 subjects have no interval" in note for note in table.footnotes)
    one = [{**its, "path": write(tmp_path, f"{its['method']}1", (30.0,), n=1)} for its in cells]
    assert "subject*" not in make(one).markdown()
    assert "interval" not in " ".join(make(one).footnotes)


def test_what_rounds_to_zero_has_no_sign():
    assert number(-0.00001, 0.5) == "0.0000 ± 0.5000" and number(-0.0, digits=0) == "0"
    assert number(-0.05, digits=2) == "−0.05" and number(-math.inf) == "−∞"
    assert interval(-0.00001, 0.1, 2, sign=True) == "[0.00, +0.10]"


def test_what_explains_stands_apart_and_is_not_ranked(cells):
    for i, its in enumerate(cells):
        for region in ("volume", "mask"):
            extend(its["path"], "gain", 0.9 + i / 10, region)
            extend(its["path"], "offset", -0.05, region)
    table = make(cells)
    quality, fit = table.blocks
    assert quality.title == "Demo" and not any("Gain" in text for text in quality.header)
    assert fit.title == "Demo: fit of SR = gain × ground truth + offset"
    assert fit.header == ["Method", "Gain", "Offset", "Gain in mask", "Offset in mask", "n"]
    entries = [entry for _, lines in fit.groups for line in lines for entry in line]
    assert {entry.style for entry in entries} == {""}
    assert fit.groups[0][1][2][1].text == "1.1050 ± 0.0071"
    assert row(table, "net", "gain")["mean"] == pytest.approx(1.105)
    assert any("neither ranked nor tested" in note for note in table.footnotes)
    assert table.tex().count(r"\begin{table}") == 2
    only = make(cells, metrics=["gain"])
    assert [block.title for block in only.blocks] == [fit.title]
    assert "ranked nor tested" not in " ".join(make(cells, metrics=["psnr"]).footnotes)


def test_an_unavailable_metric_keeps_its_column_with_the_reason(cells):
    for its in cells:
        lines = its["path"].read_text().splitlines()
        its["path"].write_text("\n".join(x for x in lines if "ssim" not in x) + "\n")
    cells[3]["path"] = None
    table = make(cells, metrics=["ssim", "psnr"], unavailable={"ssim": "no weights.", "other": "x"})
    assert table.blocks[0].header[1] == "SSIM ↑"
    entry = table.blocks[0].groups[0][1][2][1]
    assert (entry.text, entry.style) == ("–", "absent")
    assert (
        row(table, "net", "ssim")["note"].endswith("; unavailable")
        and row(table, "net", "ssim")["n"] == 0
    )
    assert (
        "unavailable" not in row(table, "net", "psnr", "mask")["note"]
        and row(table, "net", "psnr")["n"] == 2
    )
    assert styles(table, 2)["Net_1 & Co§"] == "best"
    # What has not been measured at all is still missing.
    assert row(table, "other", "ssim")["note"] == row(table, "other")["note"] == "missing"
    assert [note for note in table.footnotes if note.startswith("SSIM")] == ["SSIM: no weights."]
    assert "missing: not measured yet: Other at 2×." in table.footnotes
    found = make(cells[:3], unavailable={"ssim": "no weights"})
    assert "SSIM ↑" in found.blocks[0].header


def test_a_metric_that_is_missing_without_a_reason_is_missing_alone(cells):
    lines = cells[2]["path"].read_text().splitlines()
    cells[2]["path"].write_text("\n".join(x for x in lines if "ssim" not in x) + "\n")
    table = make(cells, metrics=["ssim", "psnr"])
    assert "missing" in row(table, "net", "ssim")["note"]
    assert "missing" not in row(table, "net")["note"]
    assert "missing: SSIM not measured yet: Net_1 & Co at 2×." in table.footnotes
    assert styles(table)["Net_1 & Co§"] == "absent" and styles(table, 2)["Net_1 & Co§"] == "best"


def test_tex_rows_have_as_many_cells_as_columns(cells):
    tex = make(cells).tex()
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", tex)[1])
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 2 * 4  # each method has a second line
    assert all(len(re.split(r"(?<!\\)&", line)) == columns for line in rows)
    assert r"\textbf{33.56 $\pm$ 0.79}" in tex and r"\underline{31.50 $\pm$ 0.71}" in tex


def test_ties_share_and_one_alone_is_not_best(cells, tmp_path):
    write(tmp_path, "other", (33.0, 34.123456789))
    assert list(styles(make(cells)).values()) == ["", "", "best", "best"]
    assert set(styles(make(cells[:2])).values()) == {""}


def scored(folder, name, values):
    """Write the scores of a real LR scan's reconstructions."""
    lines = [f"sub-{i:02d},psi,volume,{value}" for i, value in enumerate(values)]
    (folder / f"{name}.csv").write_text("\n".join(["subject,metric,region,value", *lines]) + "\n")
    return folder / f"{name}.csv"


@pytest.fixture
def real(tmp_path):
    about = {"dataset": "real", "dataset_label": "Real", "has_ground_truth": False}
    return [
        cell("cubic", scored(tmp_path, "real-cubic", (0.1, 0.2)), **about),
        cell("net", scored(tmp_path, "real-net", (0.3, 0.4)), **about),
    ]


def test_metrics_that_need_a_ground_truth_have_a_dash_for_real_scans(cells, real):
    table = make([*cells, *real], metrics=["psnr", "psi", "gain"], regions=["volume"])
    assert (table.frame[table.frame["dataset"] == "demo"]["note"] != "no ground truth").all()
    frame = table.frame[table.frame["dataset"] == "real"].set_index(["method", "metric"])
    assert set(frame.loc[(slice(None), "psnr"), "note"]) == {"no ground truth"}
    assert frame.loc[("net", "psi"), "mean"] == pytest.approx(0.35)
    # Nothing to hold it against: ranked by what there is, not marked.
    assert frame.loc[("net", "psi"), "note"] == ""
    assert [block.title.split(":")[0] for block in table.blocks] == ["Demo", "Demo", "Real"]
    assert "| 2× | Net\\_1 & Co | *–* | **0.3500 ± 0.0707** | 2 |".replace("&", "\\&") in (
        table.markdown()
    )


def test_a_metric_with_controls_out_of_order_is_shown_and_ranks_nobody(cells, tmp_path):
    write(tmp_path, "nearest", (60.0, 61.0), (0.7, 0.72))
    table = make(cells)
    assert table.blocks[0].header[1:3] == ["PSNR ↑ (dB) (not ranked)", "SSIM ↑"]
    assert set(styles(table).values()) == {""} and styles(table, 2)["Net_1 & Co§"] == "best"
    note = next(note for note in table.footnotes if note.startswith("Not ranked"))
    assert "Nearest (60.50) is better than Cubic (30.50) at 2×" in note
    assert "controls out of order" in row(table, "net")["note"]
    assert "controls out of order" not in row(table, "net", "ssim")["note"]


def test_unmeasured_is_missing_and_not_worst(cells):
    for its, values in zip(cells, ((0.1, 0.1), (0.2, 0.2), ("nan", 0.2), (0.3, 0.3)), strict=True):
        lines = [f"sub-{i:02d},psi,volume,{value}\n" for i, value in enumerate(values)]
        its["path"].write_text(its["path"].read_text() + "".join(lines))
    table = make(cells, metrics=["psi", "psnr"])
    entry = table.blocks[0].groups[0][1][2][1]
    assert (entry.text, entry.style) == ("unmeasured", "absent")
    assert row(table, "net", "psi")["n"] == 0
    assert row(table, "net", "psi")["note"].endswith("; unmeasured")
    assert styles(table)["Other§"] == "best" and styles(table)["Cubic"] == "second"
    assert any(note.startswith("unmeasured: in some subject PSI") for note in table.footnotes)


def test_real_scans_alone_show_only_metrics_without_reference(real):
    table = make(real, metrics=["psnr", "ssim", "psi"], regions=["volume", "mask"])
    assert set(table.frame["metric"]) == {"psi"}
    assert table.blocks[0].header == ["Method", "PSI ↑", "n"]


def test_steps_of_few_subjects_are_many_passes(cells):
    cells[2]["published_training"] = {"epochs": 2500, "steps_per_epoch": None}
    cells[2]["published_steps"] = 780_000
    cells[2]["model"] = {"steps": 780_000, "passes": 39_000.0}
    assert (
        "Trained for 780,000 of the 780,000 published steps (100 %), 39,000 passes over its"
        " patches (2,500 published): Net_1 & Co at 2×." in make(cells).footnotes
    )


def test_scales_beyond_a_training_are_ranked_and_said(cells):
    cells[2]["beyond"] = True
    table = make(cells)
    assert "beyond the scales of its training" in row(table, "net")["note"].split("; ")
    assert "Extrapolated, beyond the scales of its training: Net_1 & Co at 2×." in table.footnotes
    assert styles(table)["Net_1 & Co§"] == "best"


def test_bold_is_only_told_of_where_it_can_be(cells):
    assert "the best is bold" in make(cells).footnotes[0]
    for alone in ([cells[0], cells[2]], [cells[1]]):
        table = make(alone)
        assert "bold" not in table.footnotes[0] and "not ranked" in table.footnotes[0]
        assert not any(block.ranked for block in table.blocks)
