import math
import warnings

import numpy as np
import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.common.statistics import holm, mean_interval, wilcoxon
from mrisr.tables.significance import COLUMNS, significance_table

N = 12
RANDOM = np.random.default_rng(4)
BASE = RANDOM.normal(30, 3, N)  # subjects differ far more than methods
PSNR = {
    "nearest": BASE - 9,
    "cubic": BASE + 0.02 * RANDOM.standard_normal(N),
    "near": BASE + 2 + RANDOM.normal(-0.01, 0.1, N),
    "best": BASE + 2,
    "net": BASE - 1,
}


def write(path, psnr, ssim=None, subjects=None):
    subjects = subjects or [f"sub-{i:02d}" for i in range(len(psnr))]
    ssim = psnr / 100 if ssim is None else ssim
    lines = ["subject,metric,region,value"]
    for metric, values in (("psnr", psnr), ("ssim", ssim)):
        lines += [
            f"{s},{metric},volume,{v!r}" for s, v in zip(subjects, values.tolist(), strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def cell(method, path, **changes):
    return {
        **{"dataset": "demo", "dataset_label": "Demo", "scale": 2, "method": method},
        **{"method_label": method.title(), "control": method == "nearest"},
        **{"learned": method == "net", "path": path, "skipped": None, "model": None},
        **{"published_steps": None},
        **changes,
    }


@pytest.fixture
def cells(tmp_path):
    paths = {name: write(tmp_path / f"{name}.csv", PSNR[name]) for name in PSNR}
    return [cell(name, path) for name, path in paths.items() if name != "net"]


def make(cells, **arguments):
    return significance_table(cells, baseline="cubic", **arguments)


def rows(table, metric="psnr", scale=2):
    frame = table.frame
    return frame[(frame["metric"] == metric) & (frame["scale"] == scale)].set_index("method")


def printed(table):
    return {line[0].text: [e.text for e in line[1:]] for line in table.blocks[0].groups[0][1]}


def test_every_ranked_method_is_held_against_the_best(cells):
    table = make(cells)
    assert table.frame.columns.tolist() == COLUMNS
    found = rows(table)
    # The control takes no part.
    assert set(found["best"]) == {"best"} and list(found.index) == ["cubic", "near"]
    for name in found.index:
        differences = PSNR[name] - PSNR["best"]
        assert found.loc[name, "n"] == N
        assert found.loc[name, "difference"] == pytest.approx(differences.mean())
        wanted = mean_interval(differences)
        assert tuple(found.loc[name, ["ci_low", "ci_high"]]) == pytest.approx(wanted)
        assert found.loc[name, "p"] == pytest.approx(wilcoxon(differences))
    np.testing.assert_allclose(found["p_holm"], holm(found["p"]))
    assert found.loc["cubic", "p"] == 2 / 2**N and found.loc["cubic", "p_holm"] == 4 / 2**N
    assert found["significant"].tolist() == [True, False]
    assert printed(table)["Best"] == ["best", "best", "12"]
    assert printed(table)["Cubic"][0].startswith("−2.0") and printed(table)["Cubic"][0][-1] == "*"
    assert printed(table)["Near"][0].endswith(f"({found.loc['near', 'p_holm']:.3f})")


def test_families_are_of_one_metric_and_scale(cells, tmp_path):
    table = make([*cells, *({**its, "scale": 3} for its in cells)])
    for metric in ("psnr", "ssim"):
        for scale in (2, 3):
            its = rows(table, metric, scale)
            np.testing.assert_allclose(its["p_holm"], holm(its["p"]))
    assert len(table.frame) == 8 and len(table.blocks[0].groups) == 2
    other = make([*cells, *({**its, "dataset": "b", "dataset_label": "B"} for its in cells)])
    assert [block.title for block in other.blocks] == ["Demo", "B"] and len(other.frame) == 8


def test_subjects_are_paired_by_name_whatever_their_order(cells, tmp_path):
    before = make(cells).frame
    names = [f"sub-{i:02d}" for i in range(N)]
    order = RANDOM.permutation(N)
    write(tmp_path / "cubic.csv", PSNR["cubic"][order], subjects=[names[i] for i in order])
    after = make(cells).frame
    pd.testing.assert_series_equal(before["p"], after["p"])
    np.testing.assert_allclose(before["difference"], after["difference"])


def test_other_subjects_are_an_error_that_names_both_files(cells, tmp_path):
    write(tmp_path / "near.csv", PSNR["near"][1:])
    with pytest.raises(InputError, match=r"cubic\.csv: other .*near\.csv \(sub-11\); delete"):
        make(cells)


def test_lower_is_better_where_the_metric_says_so(cells, monkeypatch):
    from dataclasses import replace

    from mrisr import metrics

    about = replace(metrics.metadata("psnr"), better="lower")
    monkeypatch.setattr(metrics, "metadata", lambda name: about)
    table = significance_table(cells, metrics=["psnr"])  # no baseline: all are ranked
    assert set(table.frame["best"]) == {"cubic"} and (table.frame["difference"] > 0).all()


def test_what_explains_is_not_tested(cells):
    for its in cells:
        text = its["path"].read_text()
        more = text.partition("\n")[2].replace("psnr", "gain").replace("ssim", "offset")
        its["path"].write_text(text + more)
    assert set(make(cells).frame["metric"]) == {"psnr", "ssim"}
    assert len(make(cells).blocks[0].header) == 4


@pytest.mark.parametrize(("n", "few"), [(2, True), (5, True), (6, True), (7, False)])
def test_too_few_subjects_for_any_p_below_5_percent_are_named(cells, tmp_path, n, few):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name][:n])
    write(tmp_path / "near.csv", PSNR["best"][:n] - 0.1)
    table = make(cells)  # two comparisons: 2 * 2 / 2^6 is above 0.05
    assert table.frame["note"].ne("").all() == few
    assert table.frame["significant"].all() == (not few)
    assert any(note.startswith(f"Too few subjects (n = {n})") for note in table.footnotes) == few


def test_six_subjects_are_enough_for_one_comparison(cells, tmp_path):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name][:6])
    found = make([its for its in cells if its["method"] != "near"]).frame
    assert found["note"].eq("").all() and found["significant"].all()
    assert found["p"].tolist() == [2 / 64] * 2


def test_one_subject_has_a_difference_and_no_interval(cells, tmp_path):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name][:1])
    found = rows(make(cells))
    assert found["ci_low"].isna().all() and found["p"].eq(1).all() and found["n"].eq(1).all()
    assert "interval*" not in make(cells).markdown()


def test_equal_methods_do_not_differ(cells, tmp_path):
    write(tmp_path / "near.csv", PSNR["best"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rows(make(cells)).loc[lambda frame: frame["difference"] == 0]
    assert len(found) == 1 and found["p"].tolist() == found["p_holm"].tolist() == [1]


def test_infinite_values_are_neither_best_nor_tested(cells, tmp_path):
    near = PSNR["near"].copy()
    near[0] = math.inf
    write(tmp_path / "near.csv", near, PSNR["near"])
    found = rows(make(cells))
    assert set(found["best"]) == {"best"}
    assert found.loc["near", "note"] == "infinite values, not tested"
    assert math.isnan(found.loc["near", "p"]) and found.loc["near", "significant"] is pd.NA
    assert found.loc["cubic", "p_holm"] == found.loc["cubic", "p"]  # alone in its family
    assert printed(make(cells))["Near"][0] == "∞"


def test_a_metric_that_a_method_lacks_compares_the_others(cells, tmp_path):
    lines = (tmp_path / "near.csv").read_text().splitlines()
    (tmp_path / "near.csv").write_text("\n".join(x for x in lines if "ssim" not in x) + "\n")
    table = make(cells)
    assert list(rows(table, "ssim").index) == ["cubic"] and printed(table)["Near"][1] == "–"


@pytest.mark.parametrize("kept", [["cubic"], ["nearest", "cubic"], ["nearest"]])
def test_nothing_to_compare_makes_a_valid_table_that_says_so(cells, kept, tmp_path):
    table = make([its for its in cells if its["method"] in kept])
    table.write(tmp_path / "significance")
    assert (tmp_path / "significance.csv").read_text() == ",".join(COLUMNS) + "\n"
    for suffix in ("md", "tex", "html"):
        text = (tmp_path / f"significance.{suffix}").read_text()
        assert "fewer than two ranked methods" in text and "Demo" in text


def test_skipped_and_missing_cells_take_no_part(cells):
    cells[1] |= {"skipped": "not for this scale", "path": None}
    cells[2] |= {"path": None}
    table = significance_table(cells)
    assert table.frame.empty


def test_all_forms_carry_the_same_and_the_same_bytes(cells, tmp_path):
    for name in ("a", "b"):
        make(cells).write(tmp_path / name / "table")
    for suffix in ("csv", "md", "tex", "html"):
        assert (tmp_path / f"a/table.{suffix}").read_bytes() == (
            tmp_path / f"b/table.{suffix}"
        ).read_bytes()
    csv = pd.read_csv(tmp_path / "a/table.csv")
    assert csv["significant"].tolist() == [True, False] * 2 and csv["scale"].tolist() == [2] * 4
    tex = (tmp_path / "a/table.tex").read_text()
    assert tex.isascii() and "Difference from the best on Demo" in tex and "$-$2.0" in tex
    page = (tmp_path / "a/table.html").read_text()
    assert '<small class="below">[&#8722;2.0' in page and "<b>best</b>" in page
    assert r"\*" in (tmp_path / "a/table.md").read_text()
