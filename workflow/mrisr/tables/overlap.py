"""The table of overlap: Dice and IoU of each region, as in Table 4 of the ArSSR paper (v1)."""

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
from mrisr.segment.overlap import METRICS
from mrisr.tables import footnotes
from mrisr.tables.numbers import INTERVAL, interval, known, number
from mrisr.tables.ranking import ranks
from mrisr.tables.table import Block, Entry, Table
from mrisr.volumes.regions import MEAN, REGIONS, TITLES

COLUMNS = [
    *("dataset", "scale", "method", "region", "metric", "n", "mean", "std"),
    *("ci_low", "ci_high", "published", "note"),
]
NAMES = {"dice": "Dice", "iou": "IoU"}
ROWS = [*REGIONS, MEAN]

#: Least difference of two methods that counts. The ground truth scores 0.995 to 1 against itself
#: when only the start of Atropos or of the registration differs. An IoU changes at most twice as
#: much as its Dice: d IoU / d Dice = 2 / (2 - Dice)^2.
NOISE_FLOOR = {"dice": 0.005, "iou": 0.01}

WITHOUT = "without labels: "  # begins the note on reconstructions that could not be segmented

Row = tuple[str, str]  # region, metric


def overlap_table(
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    quality: pd.DataFrame | None = None,
) -> Table:
    """Make the table of overlap of a study.

    Args:
        cells: From `mrisr.plan.cells.segmented_cells`, in the order to print.
        published: Published values, columns dataset, scale, method, region, metric, mean and
            optionally source (a footnote); dataset as the study names it.
        notes: Footnotes of the caller by topic: segmentation, priors, registration, voxels, seed.
        quality: The study's table of image quality, whose marks are copied (columns dataset, scale,
            method, note).

    Returns:
        The table; its frame has the columns `COLUMNS`. For each dataset and metric it prints the
        regions as rows and the methods as columns.

    Raises:
        InputError: An overlap CSV is damaged, incomplete or holds NaN.
    """
    known = {} if published is None else _published(published)
    marks = {} if quality is None else marks_of(quality)
    rows = []
    for cell in cells:
        key = (cell["dataset"], float(cell["scale"]), cell["method"])
        by_region, remarks = _read(cell), list(marks.get(key, []))
        if cell["skipped"]:
            remarks = [f"skipped: {cell['skipped']}"]
        elif not by_region:
            remarks.append("missing")
        elif unlabelled := int((by_region[MEAN, "dice"] == 0).sum()):
            remarks.append(f"{WITHOUT}{unlabelled} of {len(by_region[MEAN, 'dice'])}")
        for region in ROWS:
            for metric in METRICS:
                scores = by_region.get((region, metric), np.empty(0))
                rows.append(
                    (
                        *(key[0], cell["scale"], key[2], region, metric, len(scores)),
                        float(scores.mean()) if len(scores) else math.nan,
                        float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
                        *mean_interval(scores),
                        known.get((*key, region, metric), math.nan),
                        "; ".join(remarks),
                    )
                )
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(
        {name: float for name in ("mean", "std", "ci_low", "ci_high", "published")}
    )
    blocks = _blocks(cells, frame)
    ranked = any(block.ranked for block in blocks)
    return Table(frame, blocks, _footnotes(cells, frame, published, notes or {}, ranked))


def _read(cell: Mapping) -> dict[Row, np.ndarray]:
    """Return a cell's values by region and metric; empty if it is skipped or missing."""
    path = cell["path"]
    if path is None or not Path(path).exists():
        return {}
    seals.check(path)
    try:
        table = read_table(path).astype({"value": float})
        found = {key: group for key, group in table.groupby(["region", "metric"], sort=False)}
        complete = {tuple(group["subject"]) for group in found.values()}
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a table of subject, region, metric, value ({error}); delete it and run"
            " again"
        ) from None
    wanted = {(region, metric) for region in ROWS for metric in METRICS}
    if set(found) != wanted or len(complete) != 1 or table.isna().any().any():
        raise InputError(
            f"{path}: values are missing, or subjects differ between regions; delete it and run"
            " again"
        )
    return {key: group["value"].to_numpy() for key, group in found.items()}


def _published(frame: pd.DataFrame) -> dict[tuple, float]:
    names = ["dataset", "scale", "method", "region", "metric", "mean"]
    return {
        (dataset, float(scale), *key): mean
        for dataset, scale, *key, mean in frame[names].itertuples(index=False)
    }


def marks_of(quality: pd.DataFrame) -> dict[tuple, list[str]]:
    """Return the marked remarks of the table of image quality on each cell."""
    found: dict[tuple, list[str]] = {}
    columns = quality[["dataset", "scale", "method", "note"]].dropna().drop_duplicates()
    for dataset, scale, method, note in columns.itertuples(index=False):
        remarks = [remark for remark in str(note).split("; ") if remark in MARKS]
        already = found.setdefault((dataset, float(scale), method), [])
        already += [remark for remark in remarks if remark not in already]
    return found


def _blocks(cells: Sequence[Mapping], frame: pd.DataFrame) -> list[Block]:
    """Return a block for each dataset and metric, with a group a scale and a row a region."""
    place = {
        (row.dataset, row.scale, row.method, row.region, row.metric): row
        for row in frame.itertuples(index=False)
    }
    blocks = []
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [cell for cell in cells if cell["dataset"] == dataset]
        methods = {cell["method"]: cell for cell in inside}
        by_method = frame[frame["dataset"] == dataset].groupby("method")["published"]
        beside = {method for method, published in by_method if published.notna().any()}
        header = ["Region"]
        for method, cell in methods.items():
            header.append(cell["method_label"] + (" (control)" if cell["control"] else ""))
            header += ["published"] if method in beside else []
        # A published column stays beside our column.
        starts = tuple(i for i, text in enumerate(header) if i and text != "published")
        for metric in METRICS:
            groups = []
            for scale in dict.fromkeys(cell["scale"] for cell in inside):
                members = [cell for cell in inside if cell["scale"] == scale]
                rows = []
                for region in ROWS:
                    records = {
                        c["method"]: place[dataset, scale, c["method"], region, metric]
                        for c in members
                    }
                    styles = _ranks(members, records, metric)
                    about = {"dataset": dataset, "scale": scale_name(scale), "region": region}
                    fewest = min((r.n for r in records.values() if r.n), default=0)
                    below = INTERVAL if fewest >= FEWEST else ""
                    row = [Entry(TITLES[region], data=about, below=below)]
                    for method, cell in methods.items():
                        row.append(_entry(cell, records[method], styles.get(method, "")))
                        if method in beside:
                            value = records[method].published
                            about = {"method": method, "metric": metric}
                            row.append(
                                Entry(number(value), "published", value=known(value), data=about)
                            )
                    n = max(record.n for record in records.values())
                    row.append(Entry(str(n), value=n))
                    rows.append(row)
                groups.append((f"{scale_name(scale)}×", rows))
            label = inside[0]["dataset_label"]
            caption = f"{NAMES[metric]} with the segmentation of the ground truth, {label}"
            title = f"{label}: {NAMES[metric]}"
            below = INTERVAL if any(row[0].below for _, rows in groups for row in rows) else ""
            blocks.append(Block(title, [*header, "n"], groups, caption, starts, below=below))
    return blocks


def _ranks(members: Sequence[Mapping], records: Mapping, metric: str) -> dict[str, str]:
    """Return the best and second method; all within the noise floor of the best are best."""
    means = {c["method"]: records[c["method"]].mean for c in members if not c["control"]}
    return ranks(means, "higher", NOISE_FLOOR[metric])


def _entry(cell: Mapping, record: tuple, style: str) -> Entry:
    remarks = record.note.split("; ")
    if any(remark.startswith("skipped: ") for remark in remarks):
        return Entry("n/a", "absent")
    if not record.n:
        return Entry("missing", "absent")
    marks = "".join(mark for remark, mark in MARKS.items() if remark in remarks)
    about = {"method": cell["method"], "metric": record.metric}
    ends = record.ci_low, record.ci_high
    below = "" if math.isnan(ends[0]) else interval(*ends)
    text = f"{number(record.mean, record.std)}{marks}"
    return Entry(text, style, below=below, value=record.mean, data=about)


def _footnotes(
    cells: Sequence[Mapping],
    frame: pd.DataFrame,
    published: pd.DataFrame | None,
    notes: Mapping[str, str],
    ranked: bool,
) -> list[str]:
    best = (
        " For each scale and region all methods that close to the best are bold; the second best,"
        " if there is one, is underlined."
        if ranked
        else ""
    )
    found = [
        "Overlap of the automatic segmentation of a reconstruction with the same segmentation of"
        " its ground truth: mean ± sample standard deviation over n test subjects. Mean: over the"
        " six regions of a subject. A region that both segmentations lack counts as 1, one that"
        " only one of them has as 0.",
        f"Noise floor: differences below {NOISE_FLOOR['dice']} in Dice ({NOISE_FLOOR['iou']} in"
        f" IoU) mean nothing.{best} Controls are not ranked.",
        *footnotes.topics(notes),
    ]
    if frame["ci_low"].notna().any():
        found.insert(1, "In brackets: Student's t interval of the mean over subjects (95 %).")
    elif len(frame):
        found.insert(1, f"Fewer than {FEWEST} subjects have no interval.")
    remarks = frame["note"].str.split("; ")
    for remark, mark in MARKS.items():
        if remarks.map(lambda present, remark=remark: remark in present).any():
            found.append(f"{mark} {remark}, see the table of image quality.")
    labels = {cell["method"]: cell["method_label"] for cell in cells}
    for note, rows in frame[frame["note"].str.startswith("skipped: ")].groupby("note", sort=False):
        places = [
            f"{labels[method]} at {scale_name(scale)}×"
            for method, scale in rows[["method", "scale"]].drop_duplicates().itertuples(index=False)
        ]
        reason = note.removeprefix("skipped: ").rstrip(".")
        found.append(f"n/a: {', '.join(places)}: {reason}.")
    without = remarks.map(lambda present: any(remark.startswith(WITHOUT) for remark in present))
    unlabelled = frame[without]
    for dataset, scale, method, note in (
        unlabelled[["dataset", "scale", "method", "note"]].drop_duplicates().itertuples(index=False)
    ):
        count = note.partition(WITHOUT)[2].partition(";")[0]
        found.append(
            f"No overlap, counted as 0: {labels[method]} at {scale_name(scale)}× on {dataset},"
            f" {count} reconstructions; ANTs could not segment them."
        )
    if remarks.map(lambda present: "missing" in present).any():
        found.append("missing: not measured yet.")
    if frame["published"].notna().any():
        sources = published["source"].dropna().unique() if "source" in published else []
        found += [str(source) for source in sources] or ["published: as the paper printed it."]
    return found + footnotes.simulated(cells)
