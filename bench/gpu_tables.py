"""The Markdown of bench/gpu.py, and its place in docs/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path

import gpu_run
from mrisr.common.files import write_text

BEGIN, END = "<!-- bench/gpu.py: begin -->", "<!-- bench/gpu.py: end -->"
SHOWN = 5  # cases without a measurement that are named
HIDDEN = {"case", "took", "ok", "note", "error", "lacks"}


def markdown(found: dict, level: int = 1) -> str:
    """Return all sections as tables.

    Args:
        found: What was measured, see `bench/gpu.py`.
        level: Of the heading.
    """
    machine = found["machine"]
    lines = [
        f"{'#' * level} {machine['device']}",
        "",
        f"PyTorch {machine['torch']}, Python {machine['python']}, size {found['size']};"
        f" {found['took']:.0f} of {found['seconds']:g} s.",
        "",
    ]
    failed = gpu_run.failures(found)
    lines += [f"**{len(failed)} failed:**", "", *(f"- {each}" for each in failed), ""][
        : None if failed else 0
    ]
    for section in found["sections"].values():
        lines += [f"{'#' * (level + 1)} {section['title']}", ""]
        lines += table(section["rows"])
        said = f"{section['seconds']:.1f} s, {section['state']}"
        if section.get("left"):
            shown, more = section["left"][:SHOWN], len(section["left"]) - SHOWN
            said += f"; not measured: {', '.join(shown)}"
            said += f" and {more} more" if more > 0 else ""
        lines += ["", f"{said}.", ""]
    return "\n".join(lines)


def table(rows: Sequence[dict]) -> list[str]:
    """Return rows as a table; columns are the names of what they hold, in their first order."""
    if not rows:
        return ["Nothing was measured."]
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in HIDDEN))
    remarks = any(remark(row) for row in rows)
    heads = ["what", *(column.replace("_", " ") for column in columns), *["remark"] * remarks]
    rule = ["---", *["---:"] * len(columns), *["---"] * remarks]
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(rule) + "|"]
    for row in rows:
        cells = [" ".join(map(str, row["case"])), *(number(row.get(key)) for key in columns)]
        cells += [remark(row)] * remarks
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def remark(row: dict) -> str:
    """Return what there is to say of a row."""
    parts = ["**failed**"] if row.get("ok") is False or "error" in row else []
    parts += [f"lacks: {row['lacks']}"] if "lacks" in row else []
    parts += [str(row[key]) for key in ("error", "note") if row.get(key)]
    return ": ".join(parts).replace("|", "/")


def number(found: object) -> str:
    """Return a cell: four digits that count."""
    if found is None:
        return "–"
    if isinstance(found, float):
        return f"{found:,.4g}" if abs(found) < 1e4 else f"{found:,.0f}"
    return f"{found:,}" if isinstance(found, int) and not isinstance(found, bool) else str(found)


def fill(page: Path, found: dict) -> None:
    """Replace what docs/benchmarks.md says of the GPU.

    Raises:
        SystemExit: What was measured is no GPU, or the page has no place for it.
    """
    if found["device"] != "cuda":
        raise SystemExit(f"{page}: holds measurements of a GPU; this was a CPU")
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page}: has no place for a GPU, from {BEGIN} to {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_text(page, f"{before}{BEGIN}\n{markdown(found, 3)}\n{END}{after}")
