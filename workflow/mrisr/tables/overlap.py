"""The table of overlap: Dice and IoU by region, as in Table 4 of the ArSSR paper (v1), and more.

Beside the overlap stand the difference of volumes and the distance of surfaces, the noise floor of
each as this study measured it, and the comparison with the baseline.
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
from mrisr.evaluate.measured import MARKS, Row
from mrisr.evaluate.read_table import read_table
from mrisr.segment.noise_floor import NOISE
from mrisr.segment.overlap import BETTER, METRICS
from mrisr.tables import footnotes
from mrisr.tables.numbers import INTERVAL, interval, known, number
from mrisr.tables.overlap_contrasts import (
    Floors,
    against_baseline,
    contrast_block,
    contrast_notes,
)
from mrisr.tables.ranking import ranks
from mrisr.tables.table import Block, Entry, Table
from mrisr.volumes.regions import MEAN, REGIONS, TITLES

COLUMNS = [
    *("dataset", "scale", "method", "region", "metric", "n", "mean", "std"),
    *("ci_low", "ci_high", "noise_floor", "difference", "difference_low", "difference_high"),
    *("p", "p_holm", "p_equivalence", "conclusion", "published", "note"),
]
TEXT = ("dataset", "scale", "method", "region", "metric", "n", "conclusion", "note")
NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "volume": "Volume difference (%)",
    "surface": "Surface distance, 95 % (mm)",
}
DIGITS = {"dice": 4, "iou": 4, "volume": 2, "surface": 2}
ROWS = [*REGIONS, MEAN]

WITHOUT = "without labels: "  # begins the note on reconstructions that could not be segmented


def overlap_table(
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    quality: pd.DataFrame | None = None,
    *,
    floors: Mapping[str, str | Path] | None = None,
    baseline: str | None = None,
) -> Table:
    """Make the table of overlap of a study.

    Args:
        cells: From `mrisr.plan.cells.segmented_cells`, in the order to print.
        published: Published values, columns dataset, scale, method, region, metric, mean and
            optionally source (a footnote); dataset as the study names it.
        notes: Footnotes of the caller by topic: segmentation, priors, registration, voxels, seed.
        quality: The study's table of image quality, whose marks are copied (columns dataset, scale,
            method, note).
        floors: By dataset, the CSV of ground truths that were segmented once more with noise.
        baseline: Name of the method that the others are compared with.

    Returns:
        The table; its frame has the columns `COLUMNS`. For each dataset and metric it prints the
        regions as rows and the methods as columns.

    Raises:
        InputError: An overlap CSV is damaged, incomplete or holds NaN, or two of a dataset hold
            different subjects.
    """
    printed = {} if published is None else _published(published)
    marks = {} if quality is None else marks_of(quality)
    measured = _floors(floors or {})
    by_cell = [_read(cell["path"]) for cell in cells]
    contrasts = against_baseline(
        [Row(cell, values, []) for cell, values in zip(cells, by_cell, strict=True)],
        baseline,
        measured,
    )
    rows = []
    for cell, values in zip(cells, by_cell, strict=True):
        key = (cell["dataset"], float(cell["scale"]), cell["method"])
        remarks = list(marks.get(key, []))
        if cell["skipped"]:
            remarks = [f"skipped: {cell['skipped']}"]
        elif not values:
            remarks.append("missing")
        elif unlabelled := int((values["dice", MEAN] == 0).sum()):
            remarks.append(f"{WITHOUT}{unlabelled} of {len(values['dice', MEAN])}")
        for region in ROWS:
            for metric in METRICS:
                scores = values[metric, region].to_numpy() if values else np.empty(0)
                record = contrasts.get((*key, region, metric), {})
                rows.append(
                    (
                        *(key[0], cell["scale"], key[2], region, metric, len(scores)),
                        float(scores.mean()) if len(scores) else math.nan,
                        float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
                        *mean_interval(scores),
                        measured.get((key[0], region, metric), math.nan),
                        *(
                            record.get(name, math.nan)
                            for name in ("difference", "ci_low", "ci_high")
                        ),
                        *(record.get(name, math.nan) for name in ("p", "p_holm", "p_equivalence")),
                        record.get("conclusion", ""),
                        printed.get((*key, region, metric), math.nan),
                        "; ".join(remarks),
                    )
                )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame = frame.astype({name: float for name in COLUMNS if name not in TEXT})
    blocks = _blocks(cells, frame)
    ranked = any(block.ranked for block in blocks)
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [cell for cell in cells if cell["dataset"] == dataset]
        compared = contrast_block(inside, contrasts, baseline, "dice")
        blocks += [] if compared is None else [compared]
    said = _footnotes(cells, frame, published, notes or {}, ranked, floors or {})
    return Table(frame, blocks, [*said, *contrast_notes(contrasts)])


def _read(path: str | Path | None) -> dict[tuple[str, str], pd.Series]:
    """Return values by metric and region, each by subject; empty if the CSV is missing."""
    if path is None or not Path(path).exists():
        return {}
    seals.check(path)
    try:
        table = read_table(path).astype({"value": float})
        found = {key: group for key, group in table.groupby(["metric", "region"], sort=False)}
        complete = {tuple(group["subject"]) for group in found.values()}
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a table of subject, region, metric, value ({error}); delete it and run"
            " again"
        ) from None
    wanted = {(metric, region) for region in ROWS for metric in METRICS}
    if set(found) != wanted or len(complete) != 1 or table.isna().any().any():
        raise InputError(
            f"{path}: values are missing, or subjects differ between regions; delete it and run"
            " again"
        )
    return {key: group.set_index("subject")["value"] for key, group in found.items()}


def _floors(paths: Mapping[str, str | Path]) -> Floors:
    """Return how far the noise moved each value from that of equal segmentations, on average."""
    found = {}
    for dataset, path in paths.items():
        for (metric, region), scores in _read(path).items():
            equal = 1 if BETTER[metric] == "higher" else 0
            found[dataset, region, metric] = float((scores - equal).abs().mean())
    return found


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
        for metric in METRICS:
            chosen = frame[(frame["dataset"] == dataset) & (frame["metric"] == metric)]
            by_method = chosen.groupby("method")["published"]
            beside = {method for method, published in by_method if published.notna().any()}
            header = ["Region"]
            for method, cell in methods.items():
                header.append(cell["method_label"] + (" (control)" if cell["control"] else ""))
                header += ["published"] if method in beside else []
            # A published column stays beside our column.
            starts = tuple(i for i, text in enumerate(header) if i and text != "published")
            header += ["noise floor", "n"]
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
                            text = number(value, digits=DIGITS[metric])
                            row.append(Entry(text, "published", value=known(value), data=about))
                    n = max(record.n for record in records.values())
                    floor = next(iter(records.values())).noise_floor
                    text = number(floor, digits=DIGITS[metric]) or "–"
                    row += [Entry(text, value=known(floor)), Entry(str(n), value=n)]
                    rows.append(row)
                groups.append((f"{scale_name(scale)}×", rows))
            label = inside[0]["dataset_label"]
            caption = f"{NAMES[metric]} against the segmentation of the ground truth, {label}"
            title = f"{label}: {NAMES[metric]}"
            below = INTERVAL if any(row[0].below for _, rows in groups for row in rows) else ""
            blocks.append(Block(title, header, groups, caption, starts, closing=2, below=below))
    return blocks


def _ranks(members: Sequence[Mapping], records: Mapping, metric: str) -> dict[str, str]:
    """Return the best and second method; all within the noise floor of the best are best."""
    means = {c["method"]: records[c["method"]].mean for c in members if not c["control"]}
    floor = next(iter(records.values())).noise_floor
    return ranks(means, BETTER[metric], 0.0 if math.isnan(floor) else floor)


def _entry(cell: Mapping, record: tuple, style: str) -> Entry:
    remarks = record.note.split("; ")
    if any(remark.startswith("skipped: ") for remark in remarks):
        return Entry("n/a", "absent")
    if not record.n:
        return Entry("missing", "absent")
    marks = "".join(mark for remark, mark in MARKS.items() if remark in remarks)
    about = {"method": cell["method"], "metric": record.metric}
    ends = record.ci_low, record.ci_high
    digits = DIGITS[record.metric]
    below = "" if math.isnan(ends[0]) else interval(*ends, digits)
    text = f"{number(record.mean, record.std, digits)}{marks}"
    return Entry(text, style, below=below, value=record.mean, data=about)


def _footnotes(
    cells: Sequence[Mapping],
    frame: pd.DataFrame,
    published: pd.DataFrame | None,
    notes: Mapping[str, str],
    ranked: bool,
    floors: Mapping[str, str | Path],
) -> list[str]:
    counts = sorted({len(scores) for path in floors.values() for scores in _read(path).values()})
    counted = f" (n = {' or '.join(map(str, counts))})" if counts else ""
    datasets = {cell["dataset"]: cell["dataset_label"] for cell in cells}
    best = (
        " For each scale and region all methods within the noise floor of the best are bold; the"
        " second best, if there is one, is underlined."
        if ranked
        else ""
    )
    unknown = [
        label
        for label, rows in frame.groupby(frame["dataset"].map(datasets), sort=False)
        if rows["noise_floor"].isna().any()
    ]
    found = [
        "Overlap of the automatic segmentation of a reconstruction with the same segmentation of"
        " its ground truth: mean ± sample standard deviation over n test subjects. Mean: over the"
        " six regions of a subject. A region that both segmentations lack counts as 1, one that"
        " only one of them has as 0.",
        "Volume difference: in percent of the mean of both volumes. Surface distance: 95 % of each"
        " surface lies within it of the other one. A region that only one of them has counts as"
        " 200 %, and as the diagonal of the volume.",
        f"Noise floor: how far the values of the ground truth move when noise of {100 * NOISE:g} %"
        " of its maximum is added and it is segmented again, measured in this study: mean over the"
        f" first test subjects{counted}. Smaller differences mean nothing.{best} Controls are not"
        " ranked.",
        *([f"Noise floor not measured yet: {', '.join(unknown)}."] if unknown else []),
        *footnotes.topics(notes),
    ]
    found[1:1] = footnotes.intervals(frame)
    found += footnotes.of_image_quality(frame, cells)
    remarks = frame["note"].str.split("; ")
    labels = {cell["method"]: cell["method_label"] for cell in cells}
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
