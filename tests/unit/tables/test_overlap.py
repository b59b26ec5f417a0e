import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.common.statistics import mean_interval
from mrisr.tables.overlap import COLUMNS, overlap_table
from mrisr.volumes.regions import REGIONS

PUBLISHED = Path(__file__).parents[3] / "config" / "published" / "arssr_table4.csv"
LABELS = {"nearest": "Nearest", "cubic": "Cubic", "net": "Net_1", "other": "Other"}


def write(folder, method, values, scale=2):
    """Write the overlap of two subjects whose Dice are `values` in every region."""
    lines = ["subject,region,metric,value"]
    for i, value in enumerate(values):
        for region in [*REGIONS, "mean"]:
            lines.append(f"sub-{i},{region},dice,{value}")
            lines.append(f"sub-{i},{region},iou,{value / (2 - value)}")
            lines.append(f"sub-{i},{region},volume,{100 * (1 - value)}")
            lines.append(f"sub-{i},{region},surface,{10 * (1 - value)}")
    path = folder / f"{method}{scale}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def cell(folder, method, values, scale=2, **changes):
    return {
        **{"dataset": "demo", "dataset_label": "Demo", "scale": scale, "method": method},
        **{"method_label": LABELS[method], "control": method == "nearest", "skipped": None},
        "path": write(folder, method, values, scale) if values is not None else folder / "none.csv",
        **changes,
    }


@pytest.fixture
def cells(tmp_path):
    return [
        cell(tmp_path, "nearest", (0.99, 0.99)),
        cell(tmp_path, "cubic", (0.90, 0.92)),
        cell(tmp_path, "net", (0.94, 0.95)),
        cell(tmp_path, "other", (0.80, 0.81)),
    ]


def styles(table, block=0, region=0):
    header, row = table.blocks[block].header, table.blocks[block].groups[0][1][region]
    return {h: e.style for h, e in zip(header, row, strict=True) if e.style}


def test_values_and_order(cells):
    table = overlap_table(cells)
    assert table.frame.columns.tolist() == COLUMNS
    assert len(table.frame) == 4 * 7 * 4
    rows = table.frame.set_index(["method", "region", "metric"])
    row = rows.loc[("cubic", "brain_stem", "dice")]
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.91))
    assert row["std"] == pytest.approx(np.std([0.90, 0.92], ddof=1))
    assert math.isnan(row["published"]) and row["note"] == ""
    titles = ["Dice", "IoU", "Volume difference (%)", "Surface distance, 95 % (mm)"]
    assert [block.title for block in table.blocks] == [f"Demo: {title}" for title in titles]
    assert table.blocks[0].header == [
        "Region",
        "Nearest (control)",
        *list(LABELS.values())[1:],
        "noise floor",
        "n",
    ]
    assert [row[0].text for row in table.blocks[0].groups[0][1]][-2:] == ["Cerebellum", "Mean"]
    assert "demo,2,cubic,csf,dice,2,0.91" in table.csv()
    assert "| 2× | CSF | 0.9900 ± 0.0000 | <u>0.9100 ± 0.0141</u> |" in table.markdown()
    assert r"\caption{Dice against the segmentation of the ground truth, Demo.}" in table.tex()


def test_intervals_stand_below_the_means_from_five_subjects_on(tmp_path):
    dice = (0.90, 0.91, 0.92, 0.93, 0.94)
    table = overlap_table([cell(tmp_path, "cubic", dice), cell(tmp_path, "net", dice)])
    row = table.frame.iloc[0]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(mean_interval(dice))
    assert "*\\[0.9004, 0.9396\\]*" in table.markdown() and "[0.9004, 0.9396]" in table.tex()
    few = overlap_table([cell(tmp_path, "cubic", dice[:4]), cell(tmp_path, "net", dice[:4])])
    assert few.frame["ci_low"].isna().all() and "[0" not in few.tex()
    assert "Fewer than 5 subjects have no interval." in few.footnotes


def test_the_best_are_all_within_the_noise_floor(cells, tmp_path):
    floors = {"demo": write(tmp_path, "floor", (0.996, 0.994))}  # on average 0.005 of Dice

    def made(number=4):
        return overlap_table(cells[:number], floors=floors)

    assert styles(made()) == {"Net_1": "best", "Cubic": "second"}
    cells[1] = cell(tmp_path, "cubic", (0.941, 0.942))
    table = made()
    assert [styles(table, block) for block in range(4)] == 4 * [{"Net_1": "best", "Cubic": "best"}]
    csf = table.frame.query("method == 'net' and region == 'csf'").set_index("metric")
    assert csf.loc["dice", "noise_floor"] == pytest.approx(0.005)
    assert csf.loc["volume", "noise_floor"] == pytest.approx(0.5)
    assert table.blocks[0].groups[0][1][0][-2].text == "0.0050"
    assert any("mean over the first test subjects (n = 2)." in note for note in table.footnotes)
    assert styles(overlap_table(cells)) == {"Net_1": "best", "Cubic": "second"}  # none measured
    cells[1] = cell(tmp_path, "cubic", (0.940001, 0.9401))
    cells[3] = cell(tmp_path, "other", (0.9401, 0.9399))
    assert styles(made(3)) == {"Net_1": "best", "Cubic": "best"}
    cells[2] = cell(tmp_path, "net", (0.96, 0.96))
    assert styles(made()) == {"Net_1": "best", "Cubic": "second", "Other": "second"}
    assert styles(made(2)) == {}


def test_each_method_is_tested_against_the_baseline(tmp_path):
    base = np.linspace(0.85, 0.9, 12)
    noise = np.random.default_rng(0).normal(0, 0.0002, 12)
    cells = [
        cell(tmp_path, "nearest", base - 0.1),
        cell(tmp_path, "cubic", base),
        cell(tmp_path, "net", base + 0.02 + noise),
        cell(tmp_path, "other", base + noise),
    ]
    floors = {"demo": write(tmp_path, "floor", (0.995, 0.995))}
    table = overlap_table(cells, floors=floors, baseline="cubic")
    rows = table.frame.set_index(["method", "region", "metric"])
    net, other = (rows.loc[(name, "mean", "dice")] for name in ("net", "other"))
    assert net["difference"] == pytest.approx(0.02 + noise.mean())
    assert net["difference_low"] < 0.02 < net["difference_high"]
    assert (net["conclusion"], other["conclusion"]) == ("better", "equivalent")
    # The two contrasts in the mean Dice are a family of their own.
    assert net["p_holm"] == pytest.approx(2 * net["p"]) == pytest.approx(2 * 2 / 2**12)
    assert rows.loc[("net", "csf", "dice")]["p_holm"] > net["p_holm"]
    assert rows.loc[("net", "csf", "surface")]["conclusion"] == "better"  # less is better
    assert rows.loc[("net", "csf", "iou")]["conclusion"] == ""
    assert rows.loc["nearest"]["p"].isna().all() and rows.loc["cubic"]["p"].isna().all()
    block = table.blocks[-1]
    assert block.title == "Demo: Dice against Cubic" and block.header == [
        "Region",
        "Net_1",
        "Other",
    ]
    assert [entry.text for entry in block.groups[0][1][-1]] == [
        "Mean",
        "+0.0200 (<0.001)*",
        f"0.0000 ({other['p_holm']:.3f})≈",
    ]
    assert any(note.startswith("Against the baseline: ") for note in table.footnotes)


def test_different_subjects_are_not_compared(cells):
    path = cells[2]["path"]
    path.write_text(path.read_text().replace("sub-1", "sub-9"))
    with pytest.raises(InputError, match=r"net2\.csv: other subjects than in .*cubic2\.csv"):
        overlap_table(cells, baseline="cubic")


def test_marks_of_the_quality_table_are_taken_over(cells):
    quality = pd.DataFrame(
        {
            "dataset": "demo",
            "scale": [2.0, 2, 3],
            "method": ["net", "cubic", "other"],
            "note": ["undertrained; restarted once", None, "collapsed"],
        }
    )
    table = overlap_table(cells, quality=quality)
    assert styles(table) == {"Net_1": "best", "Cubic": "second"}  # ranked all the same
    assert set(table.frame.query("method == 'net'")["note"]) == {"undertrained"}
    assert table.blocks[0].groups[0][1][0][3].text == "0.9450 ± 0.0071†"
    assert any(note.startswith("† undertrained") for note in table.footnotes)
    assert not any("collapsed" in note for note in table.footnotes)


def test_skipped_and_missing_stay_visible(cells, tmp_path):
    cells[1] = cell(tmp_path, "cubic", None)
    cells[3] = cell(tmp_path, "other", None, skipped="scale 2 not supported; ask", path=None)
    table = overlap_table(cells)
    row = table.blocks[0].groups[0][1][0]
    assert [entry.text for entry in row[2:]] == ["missing", "0.9450 ± 0.0071", "n/a", "–", "2"]
    assert set(table.frame.query("method == 'cubic'")["n"]) == {0}
    assert "n/a: Other at 2×: scale 2 not supported; ask." in table.footnotes
    assert "missing: not measured yet." in table.footnotes


def test_a_reason_that_holds_the_word_missing_is_no_missing_cell(cells, tmp_path):
    cells[3] = cell(tmp_path, "other", None, skipped="its weights are missing", path=None)
    assert "missing: not measured yet." not in overlap_table(cells).footnotes


def test_reconstructions_without_labels_are_counted(cells, tmp_path):
    cells[2] = cell(tmp_path, "net", (0.94, 0.0))
    table = overlap_table(cells)
    notes = table.frame.set_index("method")["note"]
    assert set(notes["net"]) == {"without labels: 1 of 2"} and set(notes["cubic"]) == {""}
    assert any("counted as 0: Net_1 at 2× on demo, 1 of 2" in note for note in table.footnotes)


def test_published_values_stand_beside_ours(cells):
    published = pd.read_csv(PUBLISHED).assign(dataset="demo", source="Printed in Table 4")
    table = overlap_table(cells, published)
    row = table.frame.set_index(["method", "region", "metric"]).loc[("cubic", "mean", "iou")]
    assert row["published"] == 0.7116
    header, row = table.blocks[0].header, table.blocks[0].groups[0][1][0]
    assert header.count("published") == 1
    assert row[header.index("Cubic") + 1].text == "0.6857"
    assert "Printed in Table 4" in table.footnotes
    other = overlap_table(cells, published.assign(dataset="another"))
    assert "published" not in table.blocks[2].header  # no paper prints volumes
    assert "published" not in other.blocks[0].header and "Printed in Table 4" not in other.footnotes


def test_footnotes_say_how_to_read_it(cells):
    cells[0]["simulated"] = True
    notes = "\n".join(overlap_table(cells, notes={"Priors": "mine.", "Voxels": ""}).footnotes)
    assert "noise of 0.1 % of its maximum" in notes and "floor not measured yet: Demo." in notes
    assert "Priors: mine." in notes and "Voxels" not in notes
    assert "Demo: no scans" in notes


def test_same_content_same_bytes(cells, tmp_path):
    for name in ("a", "b"):
        overlap_table(cells).write(tmp_path / name / "table")
    for suffix in ("csv", "md", "tex", "html"):
        a, b = (tmp_path / f"{name}/table.{suffix}" for name in ("a", "b"))
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("sub-1,mean,iou", "sub-2,mean,iou"),
        lambda text: text.replace("brain_stem", "brainstem"),
        lambda text: text.replace("region", "part"),
        lambda text: text.replace("0.9,", ",").replace(",0.9\n", ",\n"),
        lambda text: "",
    ],
)
def test_damaged_csv_is_named(cells, spoil):
    path = cells[1]["path"]
    assert spoil(path.read_text()) != path.read_text()
    path.write_text(spoil(path.read_text()))
    with pytest.raises(InputError, match=r"cubic2\.csv: .*run again"):
        overlap_table(cells)
