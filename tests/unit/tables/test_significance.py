import math
import warnings

import numpy as np
import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.common.statistics import holm, mean_interval, wilcoxon
from mrisr.tables.contrasts import COLUMNS
from mrisr.tables.significance import significance_table

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
    return significance_table(cells, seed=1, baseline="cubic", **arguments)


def contrast(table, method, reference="cubic", metric="psnr", scale=2):
    frame = table.frame
    (found,) = frame[
        (frame["metric"] == metric) & (frame["scale"] == scale) & (frame["method"] == method)
        & (frame["reference"] == reference)
    ].to_dict("records")  # fmt: skip
    return found


def block(table, title):
    (found,) = (block for block in table.blocks if block.title.startswith(title))
    return {line[0].text: [e.text for e in line[1:]] for line in found.groups[0][1]}


def test_every_pair_is_tested_subject_by_subject(cells):
    table = make(cells)
    assert table.frame.columns.tolist() == COLUMNS
    pairs = table.frame.query("metric == 'psnr'")[["reference", "method"]].values.tolist()
    # The control takes no part; cubic is the reference of its pairs.
    assert pairs == [["cubic", "near"], ["cubic", "best"], ["near", "best"]]
    for reference, method in pairs:
        its, differences = contrast(table, method, reference), PSNR[method] - PSNR[reference]
        assert its["n"] == N and its["difference"] == pytest.approx(differences.mean())
        assert (its["ci_low"], its["ci_high"]) == pytest.approx(mean_interval(differences))
        assert its["p"] == pytest.approx(wilcoxon(differences))
        assert its["effect_size"] == pytest.approx(differences.mean() / differences.std(ddof=1))
        assert its["superiority"] == pytest.approx((differences > 0).mean())
    assert contrast(table, "best")["p"] == 2 / 2**N
    assert contrast(table, "best")["conclusion"] == "better"


def test_holm_is_taken_over_the_study_by_family(cells):
    other = [{**its, "dataset": "b", "dataset_label": "B"} for its in cells]
    table = make([*cells, *({**its, "scale": 3} for its in cells), *other])
    frame = table.frame
    primary = frame["family"] == "primary"
    assert (
        frame[primary]["reference"].eq("cubic").all() and frame[primary]["metric"].eq("psnr").all()
    )
    assert primary.sum() == 2 * 3 and len(frame) == 3 * 2 * 3
    for family in (primary, ~primary):
        np.testing.assert_allclose(frame[family]["p_holm"], holm(frame[family]["p"]))
    assert any(
        "Primary tests (6): contrasts with the baseline in PSNR" in note for note in table.footnotes
    )
    vif = make(cells, primary="ssim").frame
    assert set(vif[vif["family"] == "primary"]["metric"]) == {"ssim"}
    # Without a baseline all pairs of the primary metric are primary.
    alone = significance_table(cells, seed=1).frame
    assert (alone["family"] == "primary").sum() == 3


def test_equivalence_can_be_concluded_and_is_not_the_lack_of_a_difference(cells, tmp_path):
    assert contrast(make(cells), "best", "near")["margin"] == 0.1  # the metric's own
    table = make(cells, margins={"psnr": 0.3})
    near = contrast(table, "best", "near")  # apart by 0.01 with a deviation of 0.1
    assert near["margin"] == 0.3 and near["conclusion"] == "equivalent"
    assert near["p_holm"] > 0.05 > near["p_equivalence"]
    assert "≈" in block(table, "Demo: all pairs")["Best"][1]
    narrow = contrast(make(cells, margins={"psnr": 0.001}), "best", "near")
    assert narrow["conclusion"] == "not decided"
    # Different beyond doubt, and by less than what matters.
    write(tmp_path / "near.csv", PSNR["best"] + 0.01 + 0.001 * RANDOM.standard_normal(N))
    assert contrast(make(cells), "best", "near")["conclusion"] == "worse, equivalent"


def test_what_is_printed(cells):
    table = make(cells)
    titles = [block.title for block in table.blocks]
    assert titles == [
        "Demo: against Cubic",
        "Demo: all pairs, PSNR ↑ (dB)",
        "Demo: ranks",
        "Demo: agreement of metrics",
    ]
    first = block(table, "Demo: against")
    assert set(first) == {"Near", "Best"}
    assert first["Best"][0].startswith("+2.0") and first["Best"][0][-1] == "*"
    second_line = table.blocks[0].groups[0][1][1][1].below
    assert second_line.startswith("[+1.9") and second_line.endswith("; 1.00")
    pairs = block(table, "Demo: all pairs")
    assert pairs["Cubic"][0] == "" and pairs["Cubic"][2].startswith("−2.0")
    assert pairs["Best"][0].startswith("+2.0")
    (_, lines), *_ = table.blocks[1].groups
    assert lines[0][3].hint.endswith("; worse") and lines[2][1].hint.endswith("; better")
    ranks = block(table, "Demo: ranks")
    assert ranks["Cubic"][0] == "3.0" and float(ranks["Near"][0]) + float(ranks["Best"][0]) == 3
    assert table.blocks[2].groups[0][1][0][1].below == "[3, 3]"
    assert block(table, "Demo: agreement")["PSNR ↑ (dB)"] == ["1.00", "1.00"]
    (note,) = (note for note in table.footnotes if "Friedman" in note)
    assert "all 3 methods" in note and "less than 0.96 (Nemenyi" in note


def test_metrics_that_disagree_have_a_true_minus(cells, tmp_path):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name], -PSNR[name])
    write(tmp_path / "nearest.csv", PSNR["nearest"], -BASE - 30)
    assert block(make(cells), "Demo: agreement")["PSNR ↑ (dB)"] == ["1.00", "−1.00"]


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
    with pytest.raises(InputError, match=r"near\.csv: other .*nearest\.csv \(sub-11\); delete"):
        make(cells)


def test_lower_is_better_where_the_metric_says_so(cells, monkeypatch):
    from dataclasses import replace

    from mrisr import metrics

    about = replace(metrics.metadata("psnr"), better="lower")
    monkeypatch.setattr(metrics, "metadata", lambda name: about)
    table = significance_table(cells[1:], seed=1, baseline="cubic", metrics=["psnr"])
    best = contrast(table, "best")
    assert best["difference"] > 0 and best["conclusion"] == "worse" and best["superiority"] == 0
    assert block(table, "Demo: ranks")["Cubic"][0] == "1.0"


def test_what_explains_or_has_controls_out_of_order_is_not_tested(cells, tmp_path):
    for its in cells:
        text = its["path"].read_text()
        more = text.partition("\n")[2].replace("psnr", "gain").replace("ssim", "offset")
        its["path"].write_text(text + more)
    assert set(make(cells).frame["metric"]) == {"psnr", "ssim"}
    write(tmp_path / "nearest.csv", PSNR["nearest"], PSNR["best"] / 10)
    table = make(cells)
    assert set(table.frame["metric"]) == {"psnr"}
    assert any("SSIM ↑: not tested on Demo" in note for note in table.footnotes)
    # Without tests of the primary metric there are no pairs of it to print.
    assert not any("all pairs" in block.title for block in make(cells, primary="ssim").blocks)


@pytest.mark.parametrize(("n", "few"), [(2, True), (5, True), (7, False)])
def test_too_few_subjects_for_any_p_below_5_percent_are_named(cells, tmp_path, n, few):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name][:n])
    write(tmp_path / "near.csv", PSNR["best"][:n] - 0.1)
    table = make(cells)  # two primary tests: 2 * 2 / 2^7 is below 0.05
    primary = table.frame[table.frame["family"] == "primary"]
    assert primary["note"].ne("").all() == few
    assert primary["conclusion"].eq("better").all() == (not few)
    assert any(note.startswith(f"Too few subjects (n = {n})") for note in table.footnotes)
    # Notes are about what is printed.
    for start in ("Second lines", "Ranks"):
        assert any(note.startswith(start) for note in table.footnotes) == (n >= 5)
    assert sum(note.startswith("Agreement") for note in table.footnotes) == 1
    assert any(note.startswith("Fewer than 5 subjects") for note in table.footnotes) == (n < 5)
    assert bool(table.blocks[0].below) == (n >= 5)


def test_zeros_make_no_p_smaller(cells, tmp_path):
    """Six of twelve subjects alike: Wilcoxon's test sees six, and two tests cannot be below 5 %."""
    for name in ("near", "best"):
        write(tmp_path / f"{name}.csv", PSNR["cubic"] + np.where(np.arange(N) < 6, 0, 1.0))
    found = contrast(make(cells), "best")
    assert found["n"] == N and found["p"] == 2 / 2**6
    assert found["note"] == "too few subjects to be significant"
    assert found["superiority"] == 0.75


def test_one_subject_has_a_difference_and_no_interval(cells, tmp_path):
    for name in PSNR:
        write(tmp_path / f"{name}.csv", PSNR[name][:1])
    found = make(cells).frame
    assert found["ci_low"].isna().all() and found["p"].eq(1).all() and found["n"].eq(1).all()
    assert not any("ranks" in block.title for block in make(cells).blocks)


def test_equal_methods_do_not_differ(cells, tmp_path):
    write(tmp_path / "near.csv", PSNR["best"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = contrast(make(cells), "best", "near")
    assert found["difference"] == 0 and found["p"] == found["p_holm"] == 1
    assert found["conclusion"] == "equivalent" and found["superiority"] == 0.5


def test_infinite_values_are_not_tested(cells, tmp_path):
    near = PSNR["near"].copy()
    near[0] = math.inf
    write(tmp_path / "near.csv", near, PSNR["near"])
    table = make(cells)
    found = contrast(table, "near")
    assert found["note"] == "infinite values, not tested" and math.isnan(found["p"])
    best = contrast(table, "best")
    assert best["p_holm"] == best["p"]  # alone in its family
    assert any("Primary tests (1): contrasts with" in note for note in table.footnotes)
    assert block(table, "Demo: against")["Near"][0] == "∞"
    # Two methods with means are too few to have an order.
    assert not any("agreement" in block.title for block in table.blocks)
    assert not any(note.startswith("Agreement") for note in table.footnotes)


def test_a_metric_that_a_method_lacks_compares_the_others(cells, tmp_path):
    lines = (tmp_path / "near.csv").read_text().splitlines()
    (tmp_path / "near.csv").write_text("\n".join(x for x in lines if "ssim" not in x) + "\n")
    table = make(cells)
    assert set(table.frame.query("metric == 'ssim'")["method"]) == {"best"}
    assert block(table, "Demo: against")["Near"][1] == "–"


@pytest.mark.parametrize("kept", [["cubic"], ["nearest", "cubic"], ["nearest"]])
def test_nothing_to_compare_makes_a_valid_table_that_says_so(cells, kept, tmp_path):
    table = make([its for its in cells if its["method"] in kept])
    table.write(tmp_path / "significance")
    assert (tmp_path / "significance.csv").read_text() == ",".join(COLUMNS) + "\n"
    for suffix in ("md", "tex", "html"):
        text = (tmp_path / f"significance.{suffix}").read_text()
        assert "fewer than two ranked methods" in text and "Demo" in text


def test_all_forms_carry_the_same_and_the_same_bytes(cells, tmp_path):
    for name in ("a", "b"):
        make(cells).write(tmp_path / name / "table")
    for suffix in ("csv", "md", "tex", "html"):
        assert (tmp_path / f"a/table.{suffix}").read_bytes() == (
            tmp_path / f"b/table.{suffix}"
        ).read_bytes()
    tex = (tmp_path / "a/table.tex").read_text()
    assert tex.isascii() and "Difference from Cubic on Demo" in tex and "+2.0" in tex
    page = (tmp_path / "a/table.html").read_text()
    assert (
        '<small class="below">[+1.9' in page
        and "conclusion" in (tmp_path / "a/table.csv").read_text()
    )
    assert r"\*" in (tmp_path / "a/table.md").read_text()
