import re
from dataclasses import replace

import pandas as pd
import pytest

from mrisr.tables.latex import TEX_COLUMNS
from mrisr.tables.table import Block, Entry, Table

FRAME = pd.DataFrame({"scale": [2.0, 2.5], "value": [1 / 3, float("nan")]})


def block(columns, starts=()):
    header = ["Method", *(f"c{i}" for i in range(columns)), "n"]
    row = [Entry("Net"), *(Entry(f"v{i}") for i in range(columns)), Entry("7")]
    return Block("Title", header, [("2×", [row, row])], "Caption", starts)


def tabulars(table):
    """Return the rows of each LaTeX tabular as lists of cells, and check that they are whole."""
    found = []
    for columns, body in re.findall(
        r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", table.tex(), flags=re.DOTALL
    ):
        body = re.sub(r"\\multicolumn\{1\}\{c\}\{(.*?)\}", r"\1", body)
        rows = [line[:-3].split(" & ") for line in body.splitlines() if line.endswith(r"\\")]
        assert rows and {len(row) for row in rows} == {len(columns)}
        found.append(rows)
    return found


@pytest.mark.parametrize("columns", [0, 1, TEX_COLUMNS, TEX_COLUMNS + 1, 4 * TEX_COLUMNS])
def test_wide_tables_are_split_in_latex_and_lose_no_column(columns):
    table = Table(FRAME, [block(columns)], ["A note."])
    parts = tabulars(table)
    assert len(parts) == max(1, -(-columns // TEX_COLUMNS))
    assert [text for rows in parts for text in rows[0][2:-1]] == [f"c{i}" for i in range(columns)]
    assert [text for rows in parts for text in rows[1][2:-1]] == [f"v{i}" for i in range(columns)]
    widths = {len(rows[0]) for rows in parts}
    assert max(widths) <= TEX_COLUMNS + 3 and max(widths) - min(widths) <= 1
    for rows in parts:
        assert rows[0][:2] == ["Scale", "Method"] and rows[0][-1] == "n" and rows[1][-1] == "7"
    assert ("(part 1 of " in table.tex()) == (len(parts) > 1)
    # The notes stand once, in the last table.
    assert table.tex().count("A note.") == 1
    assert table.tex().rindex("A note.") > table.tex().rindex(r"\end{tabular}")


def test_columns_that_belong_together_stay_together():
    parts = tabulars(Table(FRAME, [block(9, starts=(1, 3, 5, 8, 9))], []))
    assert [rows[0][2:-1] for rows in parts] == [
        ["c0", "c1", "c2", "c3"],
        ["c4", "c5", "c6", "c7", "c8"],
    ]


def test_hints_are_titles_in_html_and_nothing_elsewhere():
    whole = block(1)
    row = [Entry("Net"), Entry("3", "best", 'from "1" to 5 <'), Entry("7")]
    table = Table(FRAME, [replace(whole, groups=[("2×", [row])])], [])
    assert "<caption>Caption.</caption>" in table.html()
    assert '<td title="from &quot;1&quot; to 5 &lt;"><b>3</b></td><td>7</td>' in table.html()
    assert "from" not in table.markdown() + table.tex() + table.csv()


def test_a_table_without_blocks_still_says_why():
    table = Table(FRAME.iloc[:0], [], ["Nothing to compare."])
    for text in (table.markdown(), table.tex(), table.html()):
        assert "Nothing to compare." in text
    assert table.csv() == "scale,value\n"
    assert table.tex().count(r"\begin{") == table.tex().count(r"\end{")


def test_csv_has_scales_as_in_paths_and_full_precision():
    assert Table(FRAME, [], []).csv() == "scale,value\n2,0.3333333333333333\n2.5,\n"
