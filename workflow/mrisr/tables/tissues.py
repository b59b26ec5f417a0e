"""The table of tissues: errors in each region, gain of SNR and of contrast.

ArSSR (4.2.3) and IREM (3.3) claim higher SNR, and more contrast of gray and white matter.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr.common import seals
from mrisr.common.errors import InputError
from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST, mean_interval
from mrisr.evaluate.measured import MARKS
from mrisr.evaluate.read_table import read_table
from mrisr.segment.tissues import CONTRAST_GAIN, MEASURED, RMSE, SNR_GAIN
from mrisr.tables import footnotes
from mrisr.tables.numbers import INTERVAL, interval, number
from mrisr.tables.overlap import marks_of
from mrisr.tables.ranking import ranks
from mrisr.tables.table import Block, Entry, Table
from mrisr.volumes.regions import TITLES

COLUMNS = [
    *("dataset", "scale", "method", "region", "metric", "n", "mean", "std"),
    *("ci_low", "ci_high", "note"),
]
HEADINGS = {SNR_GAIN: "SNR gain (dB)", CONTRAST_GAIN: "Contrast gain"}
DIGITS = {RMSE: 2, SNR_GAIN: 2, CONTRAST_GAIN: 3}
MISSING, UNMEASURED = "missing", "unmeasured"

Column = tuple[str, str]  # region, metric


def tissue_table(
    cells: Sequence[Mapping], notes: Mapping[str, str], quality: pd.DataFrame
) -> Table:
    """Make the table of tissues of a study.

    Args:
        cells: From `mrisr.plan.cells.tissue_cells`, in the order to print.
        notes: Footnotes of the caller by topic, as in the table of overlap.
        quality: The study's table of image quality, whose marks are copied.

    Returns:
        The table; its frame has the columns `COLUMNS`. For each dataset it prints a group a scale
        and a row a method.

    Raises:
        InputError: A CSV is damaged or incomplete.
    """
    marks = marks_of(quality)
    rows = []
    for cell in cells:
        key = (cell["dataset"], float(cell["scale"]), cell["method"])
        measured = _read(cell)
        for column in MEASURED:
            remarks = list(marks.get(key, []))
            scores = measured.get(column, np.empty(0))
            if cell["skipped"]:
                remarks = [f"skipped: {cell['skipped']}"]
            elif not len(scores):
                remarks.append(MISSING)
            elif np.isnan(scores).any():
                remarks.append(UNMEASURED)
                scores = np.empty(0)
            rows.append(
                (
                    *(key[0], cell["scale"], key[2], *column, len(scores)),
                    float(scores.mean()) if len(scores) else math.nan,
                    float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
                    *mean_interval(scores),
                    "; ".join(remarks),
                )
            )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame = frame.astype(dict.fromkeys(("mean", "std", "ci_low", "ci_high"), float))
    return Table(frame, _blocks(cells, frame), _footnotes(cells, frame, notes))


def _read(cell: Mapping) -> dict[Column, np.ndarray]:
    """Return a cell's values by region and metric; empty if it is skipped or missing."""
    path = cell["path"]
    if path is None or not Path(path).exists():
        return {}
    seals.check(path)
    try:
        table = read_table(path).astype({"value": float})
        found = {key: group for key, group in table.groupby(["region", "metric"], sort=False)}
        subjects = {tuple(group["subject"]) for group in found.values()}
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a table of subject, region, metric, value ({error}); delete it and run"
            " again"
        ) from None
    if set(found) != set(MEASURED) or len(subjects) != 1:
        raise InputError(
            f"{path}: values are missing, or subjects differ between regions; delete it and run"
            " again"
        )
    return {key: group["value"].to_numpy() for key, group in found.items()}


def _heading(column: Column) -> str:
    region, metric = column
    return f"RMSE, {TITLES[region]} ↓ (%)" if metric == RMSE else HEADINGS[metric]


def _blocks(cells: Sequence[Mapping], frame: pd.DataFrame) -> list[Block]:
    place = {
        (r.dataset, r.scale, r.method, r.region, r.metric): r for r in frame.itertuples(index=False)
    }
    blocks = []
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [cell for cell in cells if cell["dataset"] == dataset]
        groups = []
        for scale in dict.fromkeys(cell["scale"] for cell in inside):
            members = [cell for cell in inside if cell["scale"] == scale]
            styles = {}
            for column in MEASURED:
                means = {
                    c["method"]: place[dataset, scale, c["method"], *column].mean
                    for c in members
                    if not c["control"]
                }
                better = "lower" if column[1] == RMSE else ""
                styles[column] = ranks(means, better)
            lines = []
            for cell in members:
                records = [place[dataset, scale, cell["method"], *c] for c in MEASURED]
                name = cell["method_label"] + (" (control)" if cell["control"] else "")
                present = records[0].note.split("; ")
                name += "".join(mark for remark, mark in MARKS.items() if remark in present)
                about = {"dataset": dataset, "scale": scale_name(scale), "method": cell["method"]}
                n = max(record.n for record in records)
                below = INTERVAL if n >= FEWEST else ""
                lines.append(
                    [
                        Entry(name, data=about, below=below),
                        *(
                            _entry(record, styles[column].get(cell["method"], ""))
                            for column, record in zip(MEASURED, records, strict=True)
                        ),
                        Entry(str(n), value=n),
                    ]
                )
            groups.append((f"{scale_name(scale)}×", lines))
        label = inside[0]["dataset_label"]
        header = ["Method", *map(_heading, MEASURED), "n"]
        blocks.append(
            Block(
                label,
                header,
                groups,
                f"Errors by tissue, gain of SNR and of contrast on {label}",
                below=INTERVAL if any(r[0].below for _, rows in groups for r in rows) else "",
            )
        )
    return blocks


def _entry(record: tuple, style: str) -> Entry:
    remarks = record.note.split("; ")
    if any(remark.startswith("skipped: ") for remark in remarks):
        return Entry("n/a", "absent")
    if not record.n:
        return Entry(UNMEASURED if UNMEASURED in remarks else MISSING, "absent")
    digits = DIGITS[record.metric]
    ends = record.ci_low, record.ci_high
    below = "" if math.isnan(ends[0]) else interval(*ends, digits)
    about = {"metric": record.metric, "region": record.region}
    text = number(record.mean, record.std, digits)
    return Entry(text, style, below=below, value=record.mean, data=about)


def _footnotes(
    cells: Sequence[Mapping], frame: pd.DataFrame, notes: Mapping[str, str]
) -> list[str]:
    found = [
        "Mean ± sample standard deviation over n test subjects, in the tissues of the ground"
        " truth's segmentation, never the reconstruction's own. RMSE: root mean square error in"
        " percent of the data range; mean: over the regions of a subject. The least error is bold,"
        " the second least underlined; controls are not ranked.",
        "SNR: mean over standard deviation of the white matter that touches no other tissue; the"
        " gain is that over the ground truth's. Contrast: (white − gray) / (white + gray) of the"
        " mean intensities, in parts of the ground truth's. Both are 0 dB and 1 where nothing"
        " changed. Neither is ranked: blur lifts SNR as well as averaging does, and sharpening"
        " lifts contrast; read them beside the errors.",
        *footnotes.topics(notes),
    ]
    found[1:1] = footnotes.intervals(frame)
    found += footnotes.of_image_quality(frame, cells)
    remarks = frame["note"].str.split("; ")
    if remarks.map(lambda present: UNMEASURED in present).any():
        found.append(
            "unmeasured: in some subject a tissue is missing from the segmentation, or its voxels"
            " are all alike."
        )
    if remarks.map(lambda present: MISSING in present).any():
        found.append("missing: not measured yet.")
    return found + footnotes.simulated(cells)
