"""CSV of results, all read alike: the name NA is a name, an empty cell is missing."""

from pathlib import Path

import pandas as pd

from mrisr.common.errors import InputError

#: Columns of names; their cells are text, whatever they look like.
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
        separator: Separator of columns; Snakemake's benchmarks have tabs.
        missing: Further words for missing values in columns without names.

    Returns:
        The rows. In columns of text only empty cells are missing. In others `nan`, as numbers are
        written, is missing too.

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
        na_values={name: [""] if name in columns else nothing for name in names},
    )
