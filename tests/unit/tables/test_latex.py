"""Text and tables for LaTeX: escaping, and that pdflatex takes them, where it is installed."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrisr.tables.block import Block, Entry
from mrisr.tables.latex import TEX_LINES, latex
from mrisr.tables.latex_text import escape
from mrisr.tables.table import Table

HOSTILE = "a_b & 50 % #1 $x$ {y} \\z ~^ <b>|\"' ± × ≥ λ Ω é Å ñ ł ß ı̈ Φ Dvořák 患者-7 🧠 ∞ ✓ –"
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
\input{table}
\end{document}
"""


def test_special_characters_become_commands():
    assert escape("50 % of a_b & #1") == r"50 \% of a\_b \& \#1"
    assert escape("1 ± 2, 3×, ≥ 4") == r"1 $\pm$ 2, 3$\times$, $\geq$ 4"
    assert escape("λ Σ μ Λ") == r"$\lambda$ $\Sigma$ $\mu$ $\Lambda$"
    assert escape("Dvořák, ï, ç") == r"Dvo\v{r}\'{a}k, \"{\i}, \c{c}"
    assert escape("a\n  b") == "a b"
    assert escape("患") == "U+60A3"


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_text_is_ascii_and_balanced(text):
    found = escape(text)
    assert found.isascii() and found.isprintable()
    bare = re.sub(r"\\[^a-zA-Z]", "", found)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not re.search(r"[%#&]", bare)


def pair(text):
    """A row of two cells: joined ones, and one with a published value below."""
    joined = (Entry("0.91", "best"), Entry("0.83", "second"))
    return [Entry(text), Entry("", joined=joined), Entry("3 ± 1", below="2 ± 1 (+1)")]


def block(groups, **changes):
    """A block of groups with so many rows each, all of them with a second line."""
    named = [(f"{i}×", [pair(HOSTILE)] * rows) for i, rows in enumerate(groups)]
    about = {"closing": 0, "spans": ((HOSTILE, 2),), "below": "published (Δ)"}
    return Block(HOSTILE, ["Method", "A", "B"], named, HOSTILE, **{**about, **changes})


def test_notes_are_paragraphs_below_the_table_or_apart_where_they_do_not_fit():
    short = latex([block([2])], ["One.", "Two"])
    assert "One.\\par\nTwo.\\par" in short and short.count(r"\begin{table}") == 1
    long = latex([block([20])], ["word " * 400] * 6)
    last = long.split(r"\end{tabular}")[1]
    assert "word" not in last.split(r"\end{table}")[0]
    floats = last.split(r"\end{table}")[1:-1]
    assert len(floats) == 3 and long.count("word word") == 6 * 200
    assert max(len(text) for text in floats) < 95 * (TEX_LINES + 2)


def test_second_lines_stand_below_and_groups_are_ruled_off():
    found = latex([block([2, 1])], [])
    assert r"\multicolumn{2}{c}" in found and r"\cmidrule(lr){3-4}" in found
    assert r"\textbf{0.91}/\underline{0.83} & 3 $\pm$ 1 \\" in found
    assert r" & {\tiny published ($\Delta$)} &  & {\tiny 2 $\pm$ 1 (+1)} \\" in found
    assert found.count(r"\midrule") == 2 and found.count(r"\addlinespace") == 1


def test_decimal_points_line_up_whatever_follows_them():
    texts = [("9.85 ± 12.80†", "best"), ("31.20 ± 0.80", "second"), ("−0.30 (0.2)≈", "")]
    rows = [[Entry("Net"), Entry(text, style)] for text, style in texts]
    rows += [[Entry("Net"), Entry("n/a", "absent", below="9.1, 8.2")]]
    rows[1][1] = Entry(*texts[1], below="30.1 (+1.1)")
    found = latex([Block("T", ["Method", "A"], [("2×", rows)], "T", closing=0)], [])
    cells = re.findall(r"\\atpoint\{.*", found)
    widest = r"\underline{\smash{31}}", r"\textbf{.85 $\pm$ 12.80$\dagger$}"
    inner = [
        (r"\textbf{9}", widest[1]),
        (widest[0], r"\underline{\smash{.20 $\pm$ 0.80}}"),
        (r"{\tiny 30}", r"{\tiny .1 (+1.1)}"),
        ("$-$0", r".30 (0.2)$\approx$"),
    ]
    # Every cell of the column takes the same space at both sides of its point.
    assert cells == [
        rf"\atpoint{{{widest[0]}}}{{{left}}}{{{right}}}{{{widest[1]}}} \\" for left, right in inner
    ]
    assert r"\emph{n/a} \\" in found and r"{\tiny 9.1, 8.2}" in found


def test_tall_tables_are_split_between_groups():
    rows = TEX_LINES // 6
    found = latex([block([rows] * 5)], ["A note"])
    counts = [part.count("{\\tiny 2 ") for part in found.split(r"\end{table}")[:-1]]
    assert sum(counts) == 5 * rows and counts == [3 * rows, 2 * rows]
    assert "(part 2 of 2)" in found and found.count("A note.") == 1
    # A group that no page holds stays whole.
    assert latex([block([TEX_LINES])], []).count(r"\begin{table}") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_takes_every_kind_of_table(tmp_path):
    frame = pd.DataFrame({"scale": [2.0]})
    wide = [f"{HOSTILE} {i}" for i in range(9)]
    row = [Entry(text, style) for text in wide for style in ("second",)]
    blocks = [
        block([12, 12, 12]),
        block([2], corner=None, labels=1),
        block([1], spans=()),
        Block(HOSTILE, wide, [("2×", [row])], HOSTILE),
    ]
    (tmp_path / "table.tex").write_text(Table(frame, blocks, [HOSTILE] * 3).tex())
    (tmp_path / "document.tex").write_text(DOCUMENT)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout and "Float too large" not in done.stdout
    assert (tmp_path / "document.pdf").stat().st_size > 10_000
