import math

import pandas as pd
import pytest

from mrisr.common.errors import InputError
from mrisr.segment.tissues import MEASURED
from mrisr.tables.tissues import COLUMNS, tissue_table

QUALITY = pd.DataFrame(
    {"dataset": ["demo"], "scale": [2.0], "method": ["net"], "note": ["undertrained"]}
)


def cell(folder, method, values, **changes):
    """A cell whose values in subject i are `values[i]` everywhere; None stands for no value."""
    path = folder / f"{method}.csv"
    if values:
        rows = [
            f"sub-{i},{region},{metric},{'' if value is None else value}"
            for i, value in enumerate(values)
            for region, metric in MEASURED
        ]
        path.write_text("\n".join(["subject,region,metric,value", *rows]) + "\n")
    return {
        **{"dataset": "demo", "dataset_label": "Demo", "scale": 2, "method": method},
        **{"method_label": method.title(), "control": method == "nearest", "skipped": None},
        **{"path": str(path), **changes},
    }


def row(table, method, block=0):
    lines = table.blocks[block].groups[0][1]
    return next(line for line in lines if line[0].data["method"] == method)


def test_the_least_error_is_best_and_gains_are_not_ranked(tmp_path):
    cells = [
        cell(tmp_path, "nearest", (0.5, 0.6)),
        cell(tmp_path, "cubic", (3, 4)),
        cell(tmp_path, "net", (2, 3)),
    ]
    table = tissue_table(cells, {"Priors": "mine."}, QUALITY)
    assert table.frame.columns.tolist() == COLUMNS and len(table.frame) == 3 * len(MEASURED)
    mine = table.frame.query("method == 'net' and metric == 'rmse'").iloc[0]
    assert (mine["n"], mine["mean"], mine["note"]) == (2, 2.5, "undertrained")
    assert [entry.style for entry in row(table, "net")] == ["", *7 * ["best"], "", "", ""]
    assert row(table, "cubic")[1].style == "second" and row(table, "nearest")[1].style == ""
    assert row(table, "net")[0].text == "Net†" and row(table, "nearest")[0].text.endswith(
        "control)"
    )
    assert table.blocks[0].header[1] == "RMSE, CSF ↓ (%)"
    assert table.blocks[0].header[-3:] == ["SNR gain (dB)", "Contrast gain", "n"]
    assert "Priors: mine." in table.footnotes
    assert "| 2× | Net† | **2.50 ± 0.71** |" in table.markdown()


def test_what_has_no_value_says_why(tmp_path):
    cells = [
        cell(tmp_path, "cubic", (3, None)),
        cell(tmp_path, "net", ()),
        cell(tmp_path, "other", (), skipped="not at 2", path=None),
    ]
    table = tissue_table(cells, {}, QUALITY)
    texts = [row(table, name)[1].text for name in ("cubic", "net", "other")]
    assert texts == ["unmeasured", "missing", "n/a"]
    assert math.isnan(table.frame["mean"].max())
    notes = "\n".join(table.footnotes)
    assert (
        "unmeasured: " in notes and "missing: " in notes and "n/a: Other at 2×: not at 2." in notes
    )


def test_intervals_from_five_subjects_on(tmp_path):
    table = tissue_table([cell(tmp_path, "cubic", (1, 2, 3, 4, 5))], {}, QUALITY)
    assert row(table, "cubic")[1].below == "[1.04, 4.96]"


def test_damaged_files_are_refused(tmp_path):
    bad = cell(tmp_path, "cubic", (1, 2))
    path = tmp_path / "cubic.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match=r"cubic\.csv: values are missing"):
        tissue_table([bad], {}, QUALITY)
