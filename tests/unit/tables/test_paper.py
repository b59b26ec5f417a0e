import copy
import functools
import html.parser
import math
import re

import numpy as np
import pandas as pd
import pytest

from mrisr.common.errors import ConfigError
from mrisr.plan import cells as summary
from mrisr.scaffold import write
from mrisr.study import tables_key
from mrisr.study.load import checked
from mrisr.tables import from_files
from mrisr.tables import html as table_html
from mrisr.tables.paper import COLUMNS, paper_table
from mrisr.volumes.regions import MEAN, REGIONS

CONFIG = {
    "study": "tiny",
    "seed": 1,
    "preset": "demo",
    "datasets": {"demo": None},
    "scales": [2, 3],
    "degradation": {"kind": "volume"},
    "methods": {"nearest": None, "cubic": None, "srcnn3d": None, "arssr_rdn": None},
    "baseline": "cubic",
    "metrics": ["psnr", "ssim", "psi", "lpc_si", "gain"],
    "segmentation": {"priors": "atlas"},
}
QUALITY = {"nearest": 40.0, "cubic": 30.0, "srcnn3d": 33.0, "arssr_rdn": 32.0}


@functools.cache
def without_tables():
    return checked(copy.deepcopy(CONFIG))


def study(**table):
    """A study with the table `paper`."""
    found = copy.copy(without_tables())
    found.config = {**found.config, "tables": {"paper": {"dataset": "demo", **table}}}
    return found


def complete(spec, notes=None, lacking=()):
    """The complete table behind a spec: PSNR as in QUALITY less the scale, others derived."""
    rows = []
    for scale in (2, 3):
        for method, psnr in QUALITY.items():
            for metric in [*CONFIG["metrics"], "dice", "iou"]:
                value = psnr - scale if metric == "psnr" else (psnr - scale) / 50
                value = value / (2 - value) if metric == "iou" else value
                overlap = metric in ("dice", "iou")
                for region in [*REGIONS, MEAN] if overlap else ["volume", "mask"]:
                    gone = (method, scale) in lacking or (method, scale, metric) in lacking
                    note = "missing" if gone else (notes or {}).get((method, scale))
                    rows.append(
                        ("demo", scale, method, metric, region)
                        + ((0, math.nan, math.nan) if gone else (4, value, 0.5))
                        + (note,)
                    )
    names = ["dataset", "scale", "method", "metric", "region", "n", "mean", "std", "note"]
    return pd.DataFrame(rows, columns=names).assign(dataset=spec["dataset"])


def make(its, published=None, notes=None, lacking=()):
    """The table `paper` of a study."""
    spec = summary.paper_tables(its)["paper"]
    cells = [{**cell.params, "model": None} for cell in summary.paper_cells(its, spec)]
    if published is not None:
        names = ["scale", "method", "metric", "mean", "std"]
        published = pd.DataFrame(published, columns=names)
        published = published.assign(region="volume", source="Printed in Table 1.")
    return paper_table(
        spec,
        complete(spec, notes, lacking),
        cells,
        published,
        summary.paper_notes(its, spec),
        baseline=summary.baseline_label(its),
    )


def printed(table):
    """The printed rows as texts, each after its group; the block."""
    block = table.blocks[0]

    def text(entry):
        return "/".join(part.text for part in entry.joined) or entry.text

    return [[name, *map(text, row)] for name, rows in block.groups for row in rows], block


PSNR = {"metrics": ["psnr"], "methods": ["cubic", "srcnn3d", "arssr_rdn"]}


def test_default_layout_is_scales_methods_metrics_as_in_table_1_of_arssr():
    rows, block = printed(make(study()))
    assert block.header == ["Method", "PSNR ↑ (dB)", "SSIM ↑", "PSI ↑", "LPC-SI ↑"]
    assert (block.corner, block.labels) == ("Scale", 1)
    assert block.spans == (("Reference-based metrics", 2), ("Non-reference-based metrics", 2))
    assert [row[:3] for row in rows[:4]] == [
        ["2×", "Nearest (control)", "38.00 ± 0.50"],
        ["2×", "Cubic", "28.00 ± 0.50"],
        ["2×", "SRCNN3D", "31.00 ± 0.50"],
        ["2×", "ArSSR (RDN)", "30.00 ± 0.50"],
    ]
    assert [row[0] for row in rows] == ["2×"] * 4 + ["3×"] * 4


def test_overlap_is_laid_out_as_table_4_of_arssr():
    rows, block = printed(make(study(kind="overlap", methods={"cubic": None, "arssr_rdn": "Ours"})))
    assert block.title == "paper: Demo cohort (simulated): Dice ↑/IoU ↑"
    assert block.header == ["Region", "Cubic", "Ours"]
    assert rows[0] == ["2×", "CSF", "0.5600/0.3889", "0.6000/0.4286"]
    assert rows[6][1] == "Mean" and rows[7][:2] == ["3×", "CSF"]


def test_rows_can_be_scales_with_their_mean_as_in_table_3_of_arssr_v2():
    layout = {"rows": "scale", "columns": "method", "cells": "metric"}
    its = study(layout=layout, mean=True, metrics=["psi", "lpc_si"], methods=["cubic", "srcnn3d"])
    table = make(its)
    rows, block = printed(table)
    assert block.corner is None and block.header == ["Scale", "Cubic", "SRCNN3D"]
    assert [row[1] for row in rows] == ["2×", "3×", "Mean"]
    assert rows[2][2] == "0.5500/0.5500"
    frame = table.frame.query("scale == 'mean' and metric == 'psi'").set_index("method")
    assert frame["mean"].to_dict() == pytest.approx({"cubic": 0.55, "srcnn3d": 0.61})
    assert frame["rank"].to_dict() == {"cubic": "second", "srcnn3d": "best"}
    assert ",mean,cubic,psi," in table.csv()


def test_methods_can_have_groups_and_columns_as_in_table_1_of_coord():
    about = {
        "cubic": {"label": "Bicubic", "group": "Default", "columns": {"λ": "–", "Train": ""}},
        "srcnn3d": {"group": "Default", "columns": {"λ": 10, "Train": "1–2×"}},
        "arssr_rdn": {"group": "Ablation", "columns": {"λ": 0, "Train": "2×"}},
    }
    layout = {"groups": "group", "rows": "method", "columns": "scale", "cells": "metric"}
    its = study(methods=about, layout=layout, metrics=["ssim", "psnr"])
    rows, block = printed(make(its, notes={("arssr_rdn", 3): "undertrained"}))
    assert block.header == ["Method", "λ", "Train", "2×", "3×"] and block.labels == 3
    assert block.spans == (("Scale", 2),)
    assert rows == [
        ["Default", "Bicubic", "–", "", "0.5600/28.00", "0.5400/27.00"],
        ["Default", "SRCNN3D", "10", "1–2×", "0.6200/31.00", "0.6000/30.00"],
        # The mark is about one scale of the row.
        ["Ablation", "ArSSR (RDN)", "0", "2×", "0.6000/30.00", "0.5800/29.00†"],
    ]


PUBLISHED = [
    (2, "cubic", "psnr", "24.4", "2.85"),
    (2, "srcnn3d", "psnr", "38.11", math.nan),
    (2.5, "cubic", "psnr", "23.28", "2.85"),
    (2, "dcsrn", "psnr", "38.50", "2.2"),
]


def test_a_method_of_a_plugin_folder_stands_in_tables_that_do_not_list_it(tmp_path):
    write.method("own", "interpolation", tmp_path)
    asked = {"dataset": "demo", "methods": {"cubic": None, "srcnn3d": "SRCNN"}}
    methods = {**CONFIG["methods"], "own": None, "variant": {"base": "srcnn3d"}}
    config = {**CONFIG, "methods": methods, "plugins": [str(tmp_path)]}
    segmentation = {"priors": "atlas", "methods": ["cubic", "srcnn3d"]}
    tables = {"paper": asked, "overlap": {**asked, "kind": "overlap"}}
    found = checked({**config, "segmentation": segmentation, "tables": tables})
    quality, overlap = tables_key.specs(found)
    assert [its["name"] for its in quality["methods"]] == ["cubic", "srcnn3d", "own"]
    # Of what is not segmented there is no overlap.
    assert [its["name"] for its in overlap["methods"]] == ["cubic", "srcnn3d"]


def test_ours_published_and_difference_stand_together():
    table = make(study(**PSNR), published=PUBLISHED)
    below = [row[1].below for row in table.blocks[0].groups[0][1]]
    # The digits are those that the paper printed; the difference has ours.
    assert below == ["24.4 ± 2.85 (+3.60)", "38.11 (−7.11)", ""]
    frame = table.frame.set_index(["scale", "method"])
    assert table.frame.columns.tolist() == COLUMNS
    row = frame.loc[(2, "cubic")]
    assert (row["published_mean"], row["published_std"]) == (24.4, 2.85)
    assert row["difference"] == pytest.approx(3.6)
    assert math.isnan(frame.loc[(3, "cubic"), "difference"])
    assert "Printed in Table 1." in table.footnotes
    assert "Published, and not in this table: DCSRN, 2.5×." in table.footnotes
    assert "| 2× | *published (Δ)* | *24.4 ± 2.85 (+3.60)* |" in table.markdown()
    assert r"{{\tiny 24}}{{\tiny .4 $\pm$ 2.85 (+3.60)}}" in table.tex()
    pipes = [line.count("|") for line in table.markdown().splitlines() if line.startswith("|")]
    assert len(pipes) == 2 + 6 + 2 and set(pipes) == {4}
    assert '<br><small class="below">24.4 &#177; 2.85 (+3.60)</small>' in table.html()


def test_published_values_are_only_missed_where_they_were_asked_for():
    table = make(study(**PSNR))
    assert not any("Published" in note for note in table.footnotes)
    assert "published" not in table.markdown().split("\n\n")[1]


def test_best_and_second_are_ranked_among_the_methods_shown():
    def ranks(table):
        rows = table.frame.query("scale == 2 and metric == 'psnr'")
        return {row.method: row.rank for row in rows.itertuples() if row.rank}

    assert ranks(make(study())) == {"srcnn3d": "best", "arssr_rdn": "second"}
    some = study(methods=["cubic", "arssr_rdn", "nearest"])
    assert ranks(make(some)) == {"arssr_rdn": "best", "cubic": "second"}
    marked = make(study(), notes={("srcnn3d", 2): "undertrained; restarted once"})
    assert ranks(marked) == {"srcnn3d": "best", "arssr_rdn": "second"}  # all the same
    assert [row[1] for row in printed(marked)[0]][2] == "SRCNN3D†"
    (note,) = (note for note in marked.footnotes if note.startswith("† undertrained"))
    assert note.endswith("says little about the method: SRCNN3D at 2×.")
    assert "Training restarted once after it had collapsed: SRCNN3D at 2×." in marked.footnotes


def test_skipped_missing_and_unmeasured_stay_visible():
    note = "skipped: scale 3 not supported; ask"
    its = study(metrics=["psnr", "lpips", "ssim"])
    table = make(
        its,
        notes={("srcnn3d", 3): note},
        lacking=[("cubic", 2), ("srcnn3d", 3), ("arssr_rdn", 2, "ssim")],
    )
    spec = summary.paper_tables(its)["paper"]
    frame = complete(spec, {("srcnn3d", 3): note}, [("cubic", 2), ("arssr_rdn", 2, "ssim")])
    frame.loc[(frame["method"] == "srcnn3d") & (frame["scale"] == 3), ["n", "mean"]] = (0, np.nan)
    cells = [{**cell.params, "model": None} for cell in summary.paper_cells(its, spec)]
    table = paper_table(spec, frame, cells)
    rows, block = printed(table)
    assert block.header == ["Method", "PSNR ↑ (dB)", "SSIM ↑"]
    by_name = {(row[0], row[1]): row[2:] for row in rows}
    assert by_name["2×", "Cubic"] == ["missing", "missing"]
    assert by_name["2×", "ArSSR (RDN)"] == ["30.00 ± 0.50", "missing"]
    assert by_name["3×", "SRCNN3D"] == ["n/a", "n/a"]
    for note in (
        "missing: not measured yet: Cubic at 2×.",
        "missing: SSIM not measured yet: ArSSR (RDN) at 2×.",
        "n/a: SRCNN3D at 3×: scale 3 not supported; ask.",
        "Not measured in this study: LPIPS.",
    ):
        assert note in table.footnotes


def test_footnotes_say_what_stands_for_what_and_how_it_was_made():
    its = study(stands_for="HCP-1200", **PSNR)
    found = make(its).footnotes
    assert found[0] == (
        "Demo cohort (simulated) stands in for HCP-1200: other scans, other subjects."
    )
    assert "over the test subjects (n = 4); best bold" in found[1]
    topics = {note.partition(":")[0] for note in found}
    assert {"Degradation", "Ground truth", "Data range", "Mask", "Seed"} <= topics
    assert any(note.endswith("no scans; values say nothing about real brains.") for note in found)


class Cells(html.parser.HTMLParser):
    """Collects the attributes of rows and data cells."""

    def __init__(self):
        super().__init__()
        self.sections, self.rows, self.cells = [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "section":
            self.sections.append(found)
        elif tag == "tr" and found:
            self.rows.append(found)
        elif tag == "td" and "data-metric" in found:
            self.cells.append(found)


def test_html_can_be_sorted_filtered_and_set_in_another_page(tmp_path):
    table = make(study(methods=["cubic", "srcnn3d"], metrics=["psnr"]), published=PUBLISHED)
    table.write(tmp_path / "paper")
    page = (tmp_path / "paper.html").read_text(encoding="ascii")
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    inner = table_html.section(page)
    assert inner.startswith('<section class="mrisr-table"') and inner.endswith("</section>\n")
    found = Cells()
    found.feed(inner)
    assert found.sections == [{"class": "mrisr-table", "data-table": "paper"}]
    assert found.rows[0].items() >= {
        ("data-dataset", "demo"), ("data-scale", "2"), ("data-method", "cubic")
    }  # fmt: skip
    values = [float(cell["data-value"]) for cell in found.cells]
    assert values == [28, 31, 27, 30] and {c["data-metric"] for c in found.cells} == {"psnr"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"dataset": "dem"}, r"paper\.dataset: 'dem' .* did you mean 'demo'\?"),
        ({"methods": ["cubick"]}, r"paper\.methods: 'cubick' .* did you mean 'cubic'\?"),
        ({"metrics": ["psnt"]}, r"paper\.metrics: 'psnt' .* did you mean 'psnr'\?"),
        ({"metrics": ["lpips"]}, r"paper\.metrics: none of them is measured"),
        ({"metrics": ["psi"], "region": "mask"}, r"psi cannot be taken in the region mask"),
        ({"scales": [4]}, r"paper\.scales: '4' is not measured on demo"),
        ({"layout": {"rows": "method", "columns": "metric"}}, r"2 values of scale have no place"),
        (
            {"layout": {"groups": "scale", "rows": "scale", "columns": "method"}},
            r"layout: scale stands twice",
        ),
        (
            {"layout": {"groups": "group", "rows": "scale", "columns": "method"}},
            r"groups: group .* rows must be method",
        ),
        ({"mean": True}, r"mean: .* layout.rows must be scale"),
        (
            {"methods": {"cubic": {"columns": {"λ": 1}}, "nearest": None}},
            r"every method must have the same columns",
        ),
        ({"published": [{"file": "none.csv", "source": ""}]}, r"none\.csv: no such file"),
        (
            {"published": [{"file": "arssr_table4.csv", "source": ""}]},
            r"arssr_table4\.csv: lacks the columns std; add them",
        ),
        ({"kind": "overlap", "metrics": ["psnr"]}, r"paper\.metrics: none of them is measured"),
    ],
)
def test_what_a_table_asks_for_in_vain_is_refused(table, message):
    problems = list(tables_key.problems(study(**table)))
    assert all(problem.startswith("tables.paper") for problem in problems)
    assert any(re.search(message, problem) for problem in problems)


def test_metrics_that_explain_can_be_shown_and_are_not_ranked():
    its = study(metrics=["psnr", "gain"])
    assert not list(tables_key.problems(its))
    frame = make(its).frame
    assert set(frame.loc[frame["metric"] == "gain", "rank"]) == {""}


def test_names_of_the_complete_tables_are_taken():
    with pytest.raises(ConfigError, match=r"tables\.quality: .* choose another"):
        checked({**CONFIG, "tables": {"quality": {"dataset": "demo"}}})


def test_overlap_is_left_out_with_the_segmentation_and_tables_can_be_left_out():
    tables = {"paper": {"dataset": "demo", "kind": "overlap"}}
    assert summary.paper_tables(checked({**CONFIG, "segmentation": False, "tables": tables})) == {}
    assert summary.paper_tables(checked({**CONFIG, "tables": None})) == {}


def test_published_values_of_tables_stand_in_the_complete_tables_too():
    entry = {"file": "arssr_table1.csv", "source": "Table 1"}
    its = study(published=[entry])
    assert [(e["dataset"], e["source"]) for e in summary.published(its)] == [("demo", "Table 1")]
    again = study(published=[entry])
    again.config["published"] = [{**entry, "dataset": "demo", "source": "mine"}]
    assert [e["source"] for e in summary.published(again)] == ["mine"]
    assert summary.published_overlap(its) == []


def test_a_table_from_files_keeps_the_digits_of_the_paper(tmp_path):
    file = tmp_path / "paper.csv"
    file.write_text("scale,method,metric,region,mean,std\n2,cubic,psnr,volume,24.10,2.80\n")
    its = study(published=[{"file": str(file), "source": "Mine."}], **PSNR)
    spec = summary.paper_tables(its)["paper"]
    complete(spec).to_csv(tmp_path / "quality.csv", index=False)
    table = from_files.paper(
        spec,
        [cell.params for cell in summary.paper_cells(its, spec)],
        summary.paper_notes(its, spec),
        complete=tmp_path / "quality.csv",
        scores=None,
        fetched=[],
        baseline="Cubic",
        margins={},
        empty_slices="exclude",
    )
    assert table.blocks[0].groups[0][1][0][1].below == "24.10 ± 2.80 (+3.90)"
    assert re.search(r"unknown number of steps \(no model\.json\): SRCNN3D", table.markdown())


def test_a_mark_says_in_which_region_the_baseline_was_compared():
    notes = {("srcnn3d", 2): "not above the baseline"}
    table = make(study(), notes=notes)
    (said,) = (note for note in table.footnotes if note.startswith("¶"))
    assert "not above Cubic, in PSNR inside the mask a one-sided" in said  # the table has volumes
