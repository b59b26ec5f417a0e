"""Comparison of segmentations with those of the baseline, subject by subject."""

from collections.abc import Iterable, Mapping, Sequence

from mrisr.common.layout import scale_name
from mrisr.common.statistics import FEWEST
from mrisr.evaluate.measured import Row
from mrisr.segment.overlap import BETTER
from mrisr.tables.contrast_entry import contrast_entry
from mrisr.tables.contrasts import FEW, PRIMARY, adjust, contrasts
from mrisr.tables.numbers import INTERVAL
from mrisr.tables.table import Block, Entry
from mrisr.volumes.regions import MEAN, REGIONS, TITLES

#: An IoU follows from its Dice, and is not tested beside it.
TESTED = ("dice", "volume", "surface")
#: The contrasts in it are the primary tests of the segmentation.
FIRST = ("dice", MEAN)

Place = tuple[str, float, str, str, str]  # dataset, scale, method, region, metric
Floors = Mapping[tuple[str, str, str], float]  # by dataset, region, metric


def against_baseline(
    rows: Iterable[Row], baseline: str | None, floors: Floors
) -> dict[Place, Mapping]:
    """Return the comparison of every method with the baseline, adjusted over the study.

    Args:
        rows: Values of each cell by metric and region; controls take no part.
        baseline: Name of the baseline, or None.
        floors: Measured noise floors: differences within them do not matter.

    Returns:
        Records of `mrisr.tables.contrasts`. Contrasts in the mean Dice are the primary family, all
        others a second one.

    Raises:
        InputError: Two methods hold different subjects.
    """
    found: list[dict] = []
    ranked = [row for row in rows if row.ranked and row.values]
    for dataset, scale in dict.fromkeys((r.cell["dataset"], r.cell["scale"]) for r in ranked):
        here = [r for r in ranked if (r.cell["dataset"], r.cell["scale"]) == (dataset, scale)]
        for metric in TESTED:
            for region in (*REGIONS, MEAN):
                width = floors.get((dataset, region, metric), 0.0)
                made = contrasts(here, (metric, region), baseline, FIRST, width, BETTER[metric])
                found += [record for record in made if record["reference"] == baseline]
    adjust(found)
    return {
        (r["dataset"], float(r["scale"]), r["method"], r["region"], r["metric"]): r for r in found
    }


def contrast_block(
    cells: Sequence[Mapping], records: Mapping[Place, Mapping], baseline: str | None, metric: str
) -> Block | None:
    """Return a block of a dataset: difference from the baseline by region and method.

    Args:
        cells: The dataset's cells.
        records: From `against_baseline`.
        baseline: Name of the baseline.
        metric: Name of the metric.
    """
    dataset, label = cells[0]["dataset"], cells[0]["dataset_label"]
    tested = {(scale, method) for where, scale, method, _, _ in records if where == dataset}
    methods = {c["method"]: c for c in cells if (float(c["scale"]), c["method"]) in tested}
    base = next((c["method_label"] for c in cells if c["method"] == baseline), baseline)
    groups = []
    for scale in dict.fromkeys(cell["scale"] for cell in cells):
        if not any(number == float(scale) for number, _ in tested):
            continue
        lines = []
        for region in (*REGIONS, MEAN):
            about = {"dataset": dataset, "scale": scale_name(scale), "region": region}
            line = [Entry(TITLES[region], data=about)]
            for method in methods:
                record = records.get((dataset, float(scale), method, region, metric))
                line.append(contrast_entry(record, 4))
            lines.append(line)
        groups.append((f"{scale_name(scale)}×", lines))
    if not groups:
        return None
    below = any(entry.below for _, lines in groups for line in lines for entry in line)
    return Block(
        f"{label}: Dice against {base}",
        ["Region", *(str(cell["method_label"]) for cell in methods.values())],
        groups,
        f"Difference of Dice from {base} on {label}",
        closing=0,
        below=f"{INTERVAL}; d; P" if below else "",
    )


def contrast_notes(records: Mapping[Place, Mapping]) -> list[str]:
    """Return the sentences that a reader of the comparisons needs; none without comparisons."""
    if not records:
        return []
    first = sum(record["family"] == PRIMARY for record in records.values())
    counts = sorted({record["n"] for record in records.values()})
    found = [
        "Against the baseline: mean over the subjects of a method's value minus the baseline's; in"
        " parentheses p of a two-sided Wilcoxon signed-rank test, adjusted by Holm's method; *"
        " below 0.05; ≈ equivalent, two one-sided t tests find the mean difference within the"
        " noise floor. Neither: not decided. Second lines: Student's t interval (95 %), d_z, share"
        f" of subjects in which the method is better. The {first} contrasts in the mean Dice are"
        f" one family, all {len(records) - first} others (regions, volume, surface; in the CSV) a"
        " second one.",
    ]
    if counts[0] < FEWEST:
        found.append(f"Fewer than {FEWEST} subjects have no interval of the difference.")
    if any(record["note"] == FEW for record in records.values()):
        found.append(
            f"Too few subjects (n = {', '.join(map(str, counts))}) for the number of tests: in some"
            " family nothing can be significant, even if all of them agree."
        )
    return found
