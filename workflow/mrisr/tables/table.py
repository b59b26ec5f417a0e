"""Tables in all forms: tidy CSV, and printed as Markdown, LaTeX and HTML."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mrisr.common.files import write_text
from mrisr.common.layout import TABLE_SUFFIXES, scale_name
from mrisr.tables import html as table_html
from mrisr.tables import latex
from mrisr.tables import markdown as table_markdown
from mrisr.tables.block import Block, Entry

__all__ = ["Block", "Entry", "Table"]


@dataclass(frozen=True)
class Table:
    """A table in all forms; the same content gives the same bytes.

    Attributes:
        frame: Tidy, in full precision, with a column `scale`.
        blocks: The printed form.
        footnotes: Sentences that the reader of the numbers needs.
    """

    frame: pd.DataFrame
    blocks: list[Block]
    footnotes: list[str]

    def csv(self) -> str:
        """Return the tidy frame as CSV: floats in full precision, unknown values empty."""
        scales = [s if isinstance(s, str) else scale_name(s) for s in self.frame["scale"]]
        return self.frame.assign(scale=scales).to_csv(index=False, lineterminator="\n")

    def markdown(self) -> str:
        """Return the printed form as Markdown, see `mrisr.tables.markdown`."""
        return table_markdown.markdown(self.blocks, self.footnotes)

    def tex(self) -> str:
        """Return the printed form as LaTeX, see `mrisr.tables.latex`."""
        return latex.latex(self.blocks, self.footnotes)

    def html(self, name: str = "table") -> str:
        """Return the printed form as a page with one section, see `mrisr.tables.html`."""
        return table_html.page(self.blocks, self.footnotes, name)

    def write(self, stem: str | Path) -> None:
        """Write `<stem>.csv`, `.md`, `.tex` and `.html`; the HTML takes the stem's name."""
        forms = self.csv(), self.markdown(), self.tex(), self.html(Path(stem).name)
        for suffix, text in zip(TABLE_SUFFIXES, forms, strict=True):
            write_text(f"{stem}.{suffix}", text)
