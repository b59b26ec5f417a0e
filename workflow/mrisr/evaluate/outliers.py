"""The measured values of every subject, and the outliers among them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr.common import seals
from mrisr.evaluate.read_table import read_table

KEYS = ["dataset", "scale", "method", "metric", "region"]
#: A cell with fewer subjects has no outliers: its median absolute deviation says nothing.
FEWEST = 5
#: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
LIMIT = 3.5


def subject_values(cells: Sequence[Mapping]) -> pd.DataFrame:
    """Read the values of every subject that have been measured so far, means over trainings.

    Args:
        cells: See `mrisr.plan.cells.cells`.

    Returns:
        Columns dataset, scale, method, subject, metric, region, value, median (over the subjects
        of the cell), and z: the modified z-score of Iglewicz and Hoaglin,
        0.6745 (value - median) / MAD; NaN where there are too few subjects, or MAD is 0.
    """
    read = [
        _averaged(there).assign(
            dataset=cell["dataset"], scale=float(cell["scale"]), method=cell["method"]
        )
        for cell in cells
        if not cell["skipped"] and (there := _there(cell))
    ]
    columns = [*KEYS[:3], "subject", *KEYS[3:], "value"]
    frame = pd.concat(read) if read else pd.DataFrame(columns=columns)
    frame = frame[columns].reset_index(drop=True)
    finite = frame["value"].where(np.isfinite(frame["value"].astype(float)))
    by_cell = [frame[key] for key in KEYS]
    median = finite.groupby(by_cell).transform("median")
    distance = (finite - median).abs()
    spread = distance.groupby(by_cell).transform("median")
    count = finite.groupby(by_cell).transform("count")
    known = (count >= FEWEST) & (spread > 0)
    z = (0.6745 * (finite - median) / spread.where(known)).astype(float)
    return frame.assign(median=median, z=z)


def outliers(scored: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `subject_values` that stand out, the most striking first."""
    found = scored[scored["z"].abs() > LIMIT]
    return found.sort_values("z", key=lambda z: -z.abs(), kind="stable")


def _there(cell: Mapping) -> list[str]:
    """Return the metrics that exist of each training of a cell's method."""
    paths = [cell["path"], *(repeat["path"] for repeat in cell.get("repeats", ()))]
    return [path for path in paths if path and Path(path).exists()]


def _averaged(paths: Sequence[str | Path]) -> pd.DataFrame:
    for path in paths:
        seals.check(path)
    if len(paths) == 1:
        return read_table(paths[0])
    every = pd.concat([read_table(path) for path in paths])
    means = every.groupby(["subject", "metric", "region"], sort=False)["value"]
    # Not measured in one training is not measured.
    return means.agg(lambda scores: scores.mean(skipna=False)).reset_index()
