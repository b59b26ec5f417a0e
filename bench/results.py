"""Write docs/results.md: what shipped weights gain on whole heads, and what studies found.

    python bench/results.py --run RUN --quality heads.csv
    python bench/results.py --search search.csv search_start.csv
    python bench/results.py --study CONFIG --figures training_time --command "snakemake ..."

`RUN` is the folder of `bench/recipe.py long`, `heads.csv` what `bench/heads.py` measured, CONFIG a
study that has run in this folder. All that is given is kept in docs/results, small. The page and
the table of README.md are written from what lies there: each part can be made again alone.
"""

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import heads
import search_results
import study_results
from mrisr.common.files import sha256, write_json, write_text
from mrisr.common.paths import ROOT
from mrisr.common.statistics import FEWEST, holm, mean_interval, wilcoxon
from recipe import chain, lineage, read_log, variant_of

NAMES = {"psnr": "PSNR", "ssim": "SSIM", "vif": "VIF"}
DIGITS = {"psnr": 2, "ssim": 4, "vif": 3}
HEADS = "heads.json"
#: The rows of README.md: cohort, metric, and what they are.
FIRST_SCREEN = (
    ("ds002748", "psnr", "PSNR (dB): T1w of ds002748, from the scanner of the training"),
    ("ds002748", "ssim", "SSIM: the same heads"),
    ("ds002748", "vif", "VIF: the same heads"),
    ("ds000011", "psnr", "PSNR (dB): T1w of ds000011, with skull, another scanner"),
    ("openms_T1", "psnr", "PSNR (dB): T1w of Open MS, patients, another scanner"),
    ("openms_FLAIR", "psnr", "PSNR (dB): FLAIR of Open MS, a contrast that it never saw"),
)
README_TABLE = re.compile(r"(?<=<!-- gains -->\n\n).*?(?=\n<!-- end of gains -->)", re.DOTALL)
Gains = Mapping[tuple[str, float], Mapping[str, Sequence[float]]]


def adjusted(gains: Gains) -> dict[tuple[str, float], float]:
    """Return p of gains in PSNR, by Holm's method over all rows with enough heads."""
    tested = [place for place, each in gains.items() if len(each) >= FEWEST]
    p = [wilcoxon([row[1] for row in gains[place].values()]) for place in tested]
    return dict(zip(tested, holm(p) if p else [], strict=True))


def table(gains: Gains) -> list[str]:
    """Return the table of gains with their intervals, or each gain where heads are few."""
    lines = [
        "| heads | n | scale | PSNR of cubic (dB) | PSNR gained (dB) | SSIM gained | VIF gained"
        " | p |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    p = adjusted(gains)
    for place, each in gains.items():
        cohort, scale = place
        cubic, *gained = np.array(list(each.values())).T
        cells = [
            _gain(values, DIGITS[metric])
            for metric, values in zip(heads.METRICS, gained, strict=True)
        ]
        end = f"{p[place]:.3f}" if place in p else "-"
        lines.append(
            f"| {heads.COHORTS[cohort]} | {len(each)} | {scale:g}× | {cubic.mean():.2f} |"
            f" {' | '.join(cells)} | {end} |"
        )
    return lines


def _gain(values: np.ndarray, digits: int) -> str:
    low, high = mean_interval(values)
    mean = f"{values.mean():+.{digits}f}"
    if np.isfinite(low):
        return f"{mean} [{low:+.{digits}f}, {high:+.{digits}f}]"
    if len(values) == 1:
        return mean
    return f"{mean} ({', '.join(f'{value:+.{digits}f}' for value in sorted(values))})"


def first_screen(gains: Gains) -> str:
    """Return the six rows of README.md, Markdown: means, and intervals where heads are enough."""
    scales = sorted({scale for _, scale in gains})
    lines = [
        f"| gained over cubic interpolation | heads | {' | '.join(f'{s:g}×' for s in scales)} |",
        f"| --- |{' ---: |' * (1 + len(scales))}",
    ]
    for cohort, metric, label in FIRST_SCREEN:
        number = 1 + heads.METRICS.index(metric)
        cells = []
        for scale in scales:
            values = np.array([row[number] for row in gains[cohort, scale].values()])
            shown = _gain(values, DIGITS[metric])
            cells.append(shown.partition(" (")[0])
        counts = {str(len(gains[cohort, scale])) for scale in scales}
        lines.append(f"| {label} | {'/'.join(sorted(counts))} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def rewrite_readme(gains: Gains, readme: Path) -> None:
    """Put the rows of the first screen in their place."""
    text = readme.read_text(encoding="utf-8")
    text, found = README_TABLE.subn(lambda _: first_screen(gains), text)
    if found != 1:
        raise SystemExit(f"{readme}: no place for the table: <!-- gains -->")
    write_text(readme, text)


def reading(gains: Gains) -> list[str]:
    """Return in words what the table allows to say."""
    lines = []
    for number, metric in enumerate(heads.METRICS, 1):
        every = [row[number] for each in gains.values() for row in each.values()]
        above, digits = sum(gain > 0 for gain in every), DIGITS[metric]
        lines.append(
            f"- {NAMES[metric]} is above cubic in {above} of {len(every)} reconstructions; the"
            f" gains are from {min(every):+.{digits}f} to {max(every):+.{digits}f}"
            f"{' dB' * (metric == 'psnr')}."
        )
    few = dict.fromkeys(cohort for (cohort, _), each in gains.items() if len(each) < FEWEST)
    counts = {len(each) for each in gains.values()}
    least = sorted(n for n in counts if n >= FEWEST and 2 * 0.5**n > 0.05)
    if least:
        lines.append(
            f"- With {', '.join(map(str, least))} heads the signed-rank test cannot reach 0.05,"
            " however large the gains are: look at the intervals."
        )
    if few:
        named = "; ".join(heads.COHORTS[cohort] for cohort in few)
        lines.append(
            f"- Fewer than {FEWEST} heads, so that each gain is shown, without an interval or a"
            f" test: {named}. They say what was gained on these heads, not on others."
        )
    return lines


def curve(log: Sequence[Mapping[str, str]], file: Path) -> None:
    """Draw PSNR over cubic of the validation subjects against the minutes of one core."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for scale, color in zip(search_results.SCALES, ("#0072b2", "#d55e00", "#009e73"), strict=True):
        for number, rows in enumerate(lineage(log)):
            minutes = [float(row["core_seconds"]) / 60 for row in rows]
            gains = [float(row[f"plain {scale}"]) for row in rows]
            style = "--" if rows[0]["part"].endswith("decay") else "-"
            label = f"{scale}×" if number == 0 else None
            alone = "." if len(rows) == 1 else None  # a line has two ends
            axes.plot(minutes, gains, style, color=color, label=label, marker=alone)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xlabel("minutes of one core")
    axes.set_ylabel("PSNR over cubic (dB)")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)


def kept_heads(beside: Path) -> tuple[dict, Gains]:
    """Return what is kept about the weights, and what they gained on whole heads."""
    about = json.loads((beside / HEADS).read_text(encoding="utf-8"))
    return about, heads.gains(beside / "heads.csv", about["weights"])


def studies(beside: Path) -> list[Path]:
    """Return the folders of kept studies."""
    return sorted(file.parent for file in beside.glob(f"*/{study_results.ABOUT}"))


def page(beside: Path) -> str:
    """Return the page, Markdown.

    Args:
        beside: Folder of kept results.
    """
    about, gains = kept_heads(beside)
    not_logged = [f"The log of the first {about['without_log']:.0f} minutes was not kept."] * bool(
        about["without_log"]
    )
    said = f"{about['steps']:,} steps, {about['minutes']:.0f} minutes of one core"
    lines = [
        "# Results",
        "",
        "## Whole heads, with the weights that come with mrisr",
        "",
        "Heads that no training and no choice saw, at full resolution, reconstructed by",
        f"`{heads.METHOD}` ({said}) and by cubic B-spline interpolation. LR volumes",
        "were made from ground truths as a study makes them (`kernel: spline`,",
        "`grid: corners`). Means over n heads, of the whole volume; what is gained is over",
        "cubic. In brackets 95 % intervals of the mean (Student's t, of",
        f"{FEWEST} heads and more), in parentheses each head's gain. p: Wilcoxon's signed-rank",
        "test of PSNR against cubic, adjusted by Holm's method over the rows that have one.",
        "",
        *table(gains),
        "",
        "Each measurement: [results/heads.csv](results/heads.csv). What was trained on whom,",
        f"and the limits: [the card](../workflow/weights/{heads.METHOD}/README.md).",
        "",
        "### What this says",
        "",
        *reading(gains),
        "",
        "### What it does not say",
        "",
        "- LR volumes were made from HR volumes by a known operator. Scans are blurred and",
        "  noisy in other ways: nothing here says how much they gain.",
        "- One training with one seed: how much another would differ is not known.",
        "- Higher PSNR, SSIM and VIF are no better diagnosis. No lesion was looked for, and no",
        "  reader compared the volumes.",
        "- No other network was trained for as long: nothing in this table ranks networks. With",
        "  equal time for each, see below, what is ranked is how fast they learn.",
        "",
        "### How it learned",
        "",
        "![PSNR over cubic against minutes of training, by scale](results/curve.png)",
        "",
        "Crops of the two validation subjects. Solid: at a constant learning rate, weights",
        "averaged; dashed: the rate falls, each time from the highest one. Variants, one after the",
        f"other: {', '.join(f'`{name}`' for name in about['variants'])}; see the search.",
        *not_logged,
        "",
    ]
    for folder in studies(beside):
        lines += study_results.section(folder)
    lines += [
        *search_results.section(beside),
        "## Made again",
        "",
        "```text",
        "python bench/heads.py WEIGHTS HEADS --scales 2 3 4 --out heads.csv",
        "python bench/results.py --run RUN --quality heads.csv",
        "python bench/recipe.py search HEADS --minutes 2.5 --out search.csv",
        "python bench/recipe.py search HEADS --start RUN/decay-STEP.pt --out search_start.csv",
        "python bench/results.py --search search.csv search_start.csv",
        "python bench/results.py --study CONFIG --figures FIGURE ... --command 'snakemake ...'",
        "```",
        "",
    ]
    return "\n".join(lines)


def keep_heads(run: Path, part: str, quality: Path, beside: Path) -> None:
    """Keep the measurements of a long training's weights, and draw its curve."""
    log = read_log(run / "log.csv")
    settings = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    last = [row for row in log if row["part"] == part][-1]
    if quality.resolve() != (beside / "heads.csv").resolve():
        shutil.copyfile(quality, beside / "heads.csv")
    curve(log, beside / "curve.png")
    begins = 0.0 if log[0].get("train_loss", "-") else float(log[0]["core_seconds"]) / 60
    about = {
        "weights": sha256(run / f"{part}.safetensors")[:12],
        "steps": int(last["step"]),
        "minutes": float(last["core_seconds"]) / 60,
        "without_log": begins,
        "variants": [variant_of(each) for each in chain(settings)],
    }
    write_json(beside / HEADS, about)


def main() -> None:
    """Keep what is given, and write the page from all that is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="folder of bench/recipe.py long")
    parser.add_argument("--part", choices=("stable", "decay"), default="decay")
    parser.add_argument("--quality", type=Path, help="with --run: CSV of bench/heads.py")
    parser.add_argument(
        "--search",
        type=Path,
        nargs="+",
        default=[],
        help=f"CSV files of bench/recipe.py search: {' or '.join(search_results.SEARCHES)}.csv",
    )
    parser.add_argument("--study", type=Path, help="config of a study that has run here")
    parser.add_argument("--figures", nargs="*", default=[], help="with --study: its figures")
    parser.add_argument("--name", help="with --study: its name in docs/results; default its own")
    parser.add_argument("--command", default="", help="with --study: how it was run")
    parser.add_argument("--rates", type=Path, help="with --study: config of its rates' search")
    parser.add_argument("--notes", type=Path, help="with --study: Markdown, what it tells")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    if (arguments.run is None) != (arguments.quality is None):
        parser.error("--run and --quality go together")
    beside = arguments.out / "results"
    beside.mkdir(parents=True, exist_ok=True)
    if arguments.run is not None:
        keep_heads(arguments.run, arguments.part, arguments.quality, beside)
    for file in arguments.search:
        if file.stem not in search_results.SEARCHES:
            parser.error(f"--search {file}: name it {' or '.join(search_results.SEARCHES)}.csv")
        if file.resolve() != (beside / file.name).resolve():
            shutil.copyfile(file, beside / file.name)
    if arguments.study is not None:
        command = arguments.command or f"snakemake --configfile {arguments.study}"
        how = (arguments.study, arguments.figures, command, beside, arguments.name)
        study_results.keep(*how, arguments.rates, arguments.notes)
    write_text(arguments.out / "results.md", page(beside))
    if arguments.out == ROOT / "docs":
        rewrite_readme(kept_heads(beside)[1], ROOT / "README.md")


if __name__ == "__main__":
    main()
