"""The section of the results' page on the search for the recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import study_results
from recipe import BASE, LONG, VARIANTS, Recipe

#: What the page says of kept searches, by file name, and what their variants are held against.
SEARCHES: dict[str, tuple[str, Recipe]] = {
    "search": ("From random weights; the first minutes say little about the last.", BASE),
    "search_start": (
        "From weights that were trained before (`--start`), at a rate that falls to 0: all begin"
        " as one network, so that\nsmaller differences count. Settings: what differs from `long`.",
        LONG,
    ),
}
SCALES = ("2", "3", "4")
KINDS = ("plain", "contrast", "noisy")
#: Of fields that say little as they are.
WORDS = {
    "gate": "no gate: the decoder does not know where between voxels it is",
    "gain": "loss of plain intensities",
    "foreground": "patches anywhere",
}


def section(beside: Path) -> list[str]:
    """Return the section of the recipe's search, Markdown; nothing if none is kept.

    Args:
        beside: Folder of kept results, with CSV files of `bench/recipe.py search`, and of what they
            tell, `search-notes.md`, written by hand.
    """
    files = {name: study_results.rows(beside / f"{name}.csv") for name in SEARCHES}
    found = {name: rows for name, rows in files.items() if rows}
    if not found:
        return []
    lines = [
        "## The search for the recipe",
        "",
        "Variants of `bench/recipe.py`, each trained for as many minutes of one core as stated:",
        "PSNR over cubic (dB) in crops of the two validation subjects, as they are, with a changed",
        "contrast, and with noise added. One run of each. All settings: `VARIANTS` in",
        "[bench/recipe.py](../bench/recipe.py).",
        "",
    ]
    for name, rows in found.items():
        text, base = SEARCHES[name]
        lines += [text, ""]
        for told, each in groups(rows):
            lines += [told, *seeds(each), "", *table(each, base), ""]
        notes = beside / f"{name}-notes.md"
        if notes.is_file():
            lines += [notes.read_text(encoding="utf-8").strip(), ""]
    links = " and ".join(f"[results/{name}.csv](results/{name}.csv)" for name in found)
    return [*lines, f"Each measurement: {links}.", ""]


def groups(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, list[Mapping[str, str]]]]:
    """Return the rows that may be compared, and what they have in common.

    These are of trainings that began after as many steps, or of as many minutes from random
    weights.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        begun = int(row["start"])
        what = f"Begun after {begun:,} steps." if begun else f"{float(row['minutes']):g} minutes."
        found.setdefault(what, []).append(row)
    return list(found.items())


def mean(row: Mapping[str, str]) -> float:
    """Return the mean gain in the plain crops."""
    return sum(float(row[f"plain {scale}"]) for scale in SCALES) / len(SCALES)


def seeds(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return how much the seed alone changes, if other seeds were tried."""
    same = [row for row in rows if row["variant"] == "base" or row["variant"].startswith("seed_")]
    if len(same) < 2:
        return []
    means = [mean(row) for row in same]
    return [
        f"`base` with {len(same)} seeds: means of the plain crops from {min(means):+.2f} to"
        f" {max(means):+.2f} dB. A smaller\ndifference than"
        f" {max(means) - min(means):.2f} dB means nothing."
    ]


def settings(variant: str, base: Recipe) -> str:
    """Return what a variant changes, in words."""
    if variant not in VARIANTS:
        return "-"
    default, own = asdict(base), asdict(VARIANTS[variant])
    different = {key: value for key, value in own.items() if value != default[key]}
    model = {k: v for k, v in different.pop("model", {}).items() if v != base.model.get(k)}
    said = [f"{key} {value:g}" for key, value in model.items()]
    for key, value in different.items():
        if value in (False, 0) and key in WORDS:
            said.append(WORDS[key])
        elif isinstance(value, bool):
            said.append(key if value else f"no {key}")
        else:
            said.append(f"{key} {value:g}" if isinstance(value, int | float) else f"{key} {value}")
    return ", ".join(said) or "-"


def table(rows: Sequence[Mapping[str, str]], base: Recipe) -> list[str]:
    """Return a table of variants, the best in the plain crops first."""
    columns = [f"{kind} {scale}" for kind in KINDS for scale in SCALES]
    return [
        f"| variant | settings | steps | {' | '.join(f'{name}×' for name in columns)} |",
        f"|---|---|---:|{len(columns) * '---:|'}",
        *(
            f"| `{row['variant']}` | {settings(row['variant'], base)} |"
            f" {int(row['steps']):,} in {float(row['minutes']):g} min |"
            f" {' | '.join(f'{float(row[name]):+.3f}' for name in columns)} |"
            for row in sorted(rows, key=mean, reverse=True)
        ),
    ]
