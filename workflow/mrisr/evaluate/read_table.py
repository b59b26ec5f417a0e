"""CSV of results, read by one rule: who is named NA is somebody, an empty cell is nothing."""

from pathlib import Path

import pandas as pd

from mrisr.common.errors import InputError

#: Columns that name somebody or something; their cells are text, whatever they look like.
IDENTIFIERS = (
    *("subject", "reader", "case", "repeat_of", "dataset", "method", "metric", "region"),
    *("question", "label", "source"),
)


def read_table(
    path: str | Path,
    text: tuple[str, ...] = (),
    separator: str = ",",
    missing: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a table of results.

    Args:
        path: A CSV with a line of column names.
        text: Further columns whose cells stay text.
        separator: Of columns: Snakemake's benchmarks have tabs.
        missing: Further words that stand for nothing in columns that do not name anybody.

    Returns:
        Its rows. Of columns that hold text only empty cells are missing; in others `nan`, as
        numbers are written, is too.

    Raises:
        InputError: Semicolons separate the columns.
    """
    names = pd.read_csv(path, nrows=0, sep=separator).columns
    if separator == "," and len(names) == 1 and ";" in names[0]:
        raise InputError(
            f"{path}: semicolons separate its columns, as some spreadsheets save them; save it with"
            " commas, or export it again"
        )
    columns = dict.fromkeys((*IDENTIFIERS, *text), str)
    nothing = ["", "nan", "NaN", *missing]
    return pd.read_csv(
        path,
        sep=separator,
        dtype=columns,
        keep_default_na=False,
        # Every digit: means at the edge of a margin rank everywhere as in the complete table.
        float_precision="round_trip",
        na_values={name: [""] if name in columns else nothing for name in names},
    )
