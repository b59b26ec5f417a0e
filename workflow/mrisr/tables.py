"""The quality table: what was measured, with everything needed to read it right.

`quality_table` gathers the metrics of a study's cells, marks rows that support no conclusion and
ranks the others; a `Table` renders itself as tidy CSV, Markdown, LaTeX and HTML.
"""

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mrisr import metrics as metric_modules
from mrisr.errors import InputError
from mrisr.files import write_text
from mrisr.layout import scale_name

COLUMNS = [
    *("dataset", "scale", "method", "metric", "region", "n", "mean", "std"),
    *("published_mean", "published_std", "note"),
]
UNDERTRAINED, COLLAPSED, UNCHECKED = "undertrained", "collapsed", "not held against the baseline"
MARKS = {UNDERTRAINED: "†", COLLAPSED: "‡", UNCHECKED: "§"}

Column = tuple[str, str]  # metric, region


@dataclass(frozen=True)
class Entry:
    """One printed cell; `style` is `best`, `second`, `absent`, `published` or empty."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Block:
    """The printed table of one dataset: for each scale, its rows of method and entries."""

    title: str
    header: list[str]
    groups: list[tuple[str, list[list[Entry]]]]


@dataclass(frozen=True)
class Table:
    """A table in all its forms; the same content gives the same bytes.

    Attributes:
        frame: Tidy, in full precision; columns `COLUMNS`, a row a dataset, scale, method, metric
            and region, also for what is skipped or missing (n = 0).
        blocks: The printed form, one a dataset.
        footnotes: Sentences without which the numbers must not be read.
        caption: What the table is about, to be followed by "on" and a block's title.
    """

    frame: pd.DataFrame
    blocks: list[Block]
    footnotes: list[str]
    caption: str = "Image quality"

    def csv(self) -> str:
        """Return the tidy frame as CSV: floats in full precision, unknown values empty."""
        frame = self.frame.assign(scale=self.frame["scale"].map(scale_name))
        return frame.to_csv(index=False, lineterminator="\n")

    def markdown(self) -> str:
        """Return the printed form as Markdown, best bold and second best in `<u>`."""
        style = {"best": "**{}**", "second": "<u>{}</u>", "absent": "*{}*"}
        lines = []
        for block in self.blocks:
            lines += [f"### {_markdown(block.title)}", ""]
            header = ["Scale", *map(_markdown, block.header)]
            lines += [_piped(header), _piped(["---", "---", *["---:"] * (len(header) - 2)])]
            for scale, rows in block.groups:
                lines += [_piped([scale, *_styled(row, style, _markdown)]) for row in rows]
            lines.append("")
        lines += [f"- {_markdown(note)}" for note in self.footnotes]
        return "\n".join(lines) + "\n"

    def tex(self) -> str:
        r"""Return LaTeX that needs only booktabs: a `table` a dataset, notes under the last."""
        style = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "absent": r"\emph{{{}}}"}
        lines = [r"% Needs \usepackage{booktabs}."]
        for number, block in enumerate(self.blocks, start=1):
            header = ["Scale", *map(_tex, block.header)]
            lines += [
                *(r"\begin{table}[htbp]", r"\centering", r"\scriptsize"),
                r"\setlength{\tabcolsep}{3pt}",
                rf"\caption{{{_tex(self.caption)} on {_tex(block.title)}.}}",
                rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
                *(r"\toprule", " & ".join(header) + r" \\"),
            ]
            for scale, rows in block.groups:
                lines.append(r"\midrule")
                for index, row in enumerate(rows):
                    first = _tex(scale) if index == 0 else ""
                    lines.append(" & ".join([first, *_styled(row, style, _tex)]) + r" \\")
            lines += [r"\bottomrule", r"\end{tabular}"]
            if number == len(self.blocks):
                lines += ["", r"\medskip", r"\begin{minipage}{\linewidth}", r"\raggedright"]
                lines += [rf"{_tex(note)}\par" for note in self.footnotes]
                lines.append(r"\end{minipage}")
            lines.append(r"\end{table}")
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return a fragment to be set in a page; pure ASCII, so that it reads alone too."""
        style = {
            "best": "<b>{}</b>",
            "second": "<u>{}</u>",
            "absent": '<i class="absent">{}</i>',
            "published": '<span class="published">{}</span>',
        }
        lines = []
        for block in self.blocks:
            head = "".join(f'<th scope="col">{_html(t)}</th>' for t in ["Scale", *block.header])
            lines += [
                *(f"<h3>{_html(block.title)}</h3>", '<div class="scroll">', "<table>"),
                f"<thead><tr>{head}</tr></thead>",
            ]
            for scale, rows in block.groups:
                lines.append("<tbody>")
                first = f'<th scope="rowgroup" rowspan="{len(rows)}">{_html(scale)}</th>'
                for row in rows:
                    method, *values = _styled(row, style, _html)
                    cells = "".join(f"<td>{value}</td>" for value in values)
                    lines.append(f'<tr>{first}<th scope="row">{method}</th>{cells}</tr>')
                    first = ""
                lines.append("</tbody>")
            lines += ["</table>", "</div>"]
        lines += ['<ul class="notes">', *(f"<li>{_html(t)}</li>" for t in self.footnotes), "</ul>"]
        return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode() + "\n"

    def write(self, stem: str | Path) -> None:
        """Write `<stem>.csv`, `.md`, `.tex` and `.html`."""
        for suffix, text in (
            ("csv", self.csv()),
            ("md", self.markdown()),
            ("tex", self.tex()),
            ("html", self.html()),
        ):
            write_text(f"{stem}.{suffix}", text)


def quality_table(
    cells: Sequence[Mapping],
    published: pd.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
) -> Table:
    """Make the quality table of a study.

    Args:
        cells: One a dataset, scale and method, in the order to print. Keys: dataset,
            dataset_label, scale, method, method_label, control, learned, path (of the metrics
            CSV), skipped (a reason or None), model (content of `model.json` or None),
            published_steps (or None), and optionally simulated (the dataset is no scan).
        published: Published values, columns dataset, scale, method, metric, region, mean, std and
            optionally source (a footnote); dataset as the study names it.
        notes: Footnotes of the caller by topic: degradation, crop, mask, data range, seed, preset.
        baseline: Name of the method that learned ones are held against, None for no check. A
            learned method whose mean PSNR over the volume is not above it is undertrained.
        metrics: Names in printed order; default those found in the CSVs.
        regions: Default those found in the CSVs.

    Returns:
        The table. A row whose CSV is not there says `missing`, a skipped one `n/a`.

    Raises:
        InputError: A metrics CSV is damaged, incomplete or holds NaN.
    """
    values = [_read(cell) for cell in cells]
    columns = _columns(values, metrics, regions)
    reference = {
        (cell["dataset"], cell["scale"]): _psnr(measured)
        for cell, measured in zip(cells, values, strict=True)
        if cell["method"] == baseline
    }
    remarks = [
        _remarks(cell, measured, reference, baseline)
        for cell, measured in zip(cells, values, strict=True)
    ]
    known = {} if published is None else _published(published)
    rows = []
    for cell, measured, remark in zip(cells, values, remarks, strict=True):
        for column in columns:
            n, mean, std = _statistics(measured.get(column))
            key = (cell["dataset"], float(cell["scale"]), cell["method"])
            if not n and not cell["skipped"] and "missing" not in remark:
                remark = [*remark, "missing"]
            paper = known.get((*key, *column), (math.nan, math.nan))
            rows.append(
                (key[0], cell["scale"], key[2], *column, n, mean, std, *paper, "; ".join(remark))
            )
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(
        {name: float for name in ("mean", "std", "published_mean", "published_std")}
    )
    blocks = _blocks(cells, remarks, columns, frame)
    footnotes = _footnotes(cells, remarks, frame, notes or {}, published, baseline)
    return Table(frame, blocks, footnotes)


def _read(cell: Mapping) -> dict[Column, np.ndarray]:
    """Return a cell's values by metric and region; empty if it is skipped or not measured yet."""
    path = cell["path"]
    if cell["skipped"] or path is None or not Path(path).exists():
        return {}
    try:
        table = pd.read_csv(path, dtype={"subject": str}).astype({"value": float})
        found = {key: group for key, group in table.groupby(["metric", "region"], sort=False)}
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a table of subject, metric, region, value ({error}); delete it and run"
            " again"
        ) from None
    subjects = {tuple(group["subject"]) for group in found.values()}
    if table["value"].isna().any() or len(subjects) != 1 or table["subject"].isna().any():
        raise InputError(
            f"{path}: values are missing, or subjects differ between metrics; delete it and run"
            " again"
        )
    return {key: group["value"].to_numpy() for key, group in found.items()}


def _columns(
    values: Sequence[dict], metrics: Sequence[str] | None, regions: Sequence[str] | None
) -> list[Column]:
    """Return what the table shows: all metrics over the volume, then inside the mask."""
    found = [column for measured in values for column in measured]
    if metrics is None:
        present = {metric for metric, _ in found}
        metrics = [name for name in metric_modules.names() if name in present or not found]
    if regions is None:
        present = {region for _, region in found}
        regions = [name for name in metric_modules.REGIONS if name in present or not found]
    return [
        (metric, region)
        for region in regions
        for metric in metrics
        if region in metric_modules.metadata(metric).regions
    ]


def _statistics(values: np.ndarray | None) -> tuple[int, float, float]:
    """Return n, mean and sample standard deviation; NaN where they do not exist."""
    if values is None:
        return 0, math.nan, math.nan
    known = len(values) > 1 and bool(np.isfinite(values).all())
    return len(values), float(np.mean(values)), float(np.std(values, ddof=1)) if known else math.nan


def _psnr(measured: dict[Column, np.ndarray]) -> float:
    return _statistics(measured.get(("psnr", "volume")))[1]


def _remarks(cell: Mapping, measured: dict, reference: dict, baseline: str | None) -> list[str]:
    """Return the notes of a cell, as they stand in the CSV."""
    if cell["skipped"]:
        return [f"skipped: {cell['skipped']}"]
    found = [] if measured else ["missing"]
    model = cell["model"] or {}
    if model.get("collapsed"):
        found.append(COLLAPSED)
    if measured and cell["learned"] and baseline is not None and cell["method"] != baseline:
        own, base = _psnr(measured), reference.get((cell["dataset"], cell["scale"]), math.nan)
        if math.isnan(own) or math.isnan(base):
            found.append(UNCHECKED)
        elif own <= base:
            found.append(UNDERTRAINED)
    if restarts := model.get("restarts"):
        found.append(f"restarted {_times(restarts)}")
    return found


def _published(frame: pd.DataFrame) -> dict[tuple, tuple[float, float]]:
    names = ["dataset", "scale", "method", "metric", "region", "mean", "std"]
    return {
        (dataset, float(scale), *key): (mean, std)
        for dataset, scale, *key, mean, std in frame[names].itertuples(index=False)
    }


def _blocks(
    cells: Sequence[Mapping], remarks: list[list[str]], columns: list[Column], frame: pd.DataFrame
) -> list[Block]:
    """Lay the rows out as printed: a block a dataset, a group a scale, as in ArSSR, Table 1."""
    width = len(columns)
    by_cell = [frame.iloc[i * width : (i + 1) * width] for i in range(len(cells))]
    blocks = []
    for dataset in dict.fromkeys(cell["dataset"] for cell in cells):
        inside = [i for i, cell in enumerate(cells) if cell["dataset"] == dataset]
        beside = [
            any(pd.notna(by_cell[i]["published_mean"].iloc[c]) for i in inside)
            for c in range(width)
        ]
        header = ["Method"]
        for (metric, region), shown in zip(columns, beside, strict=True):
            header += [_heading(metric, region), *(["published"] if shown else [])]
        groups = []
        for scale in dict.fromkeys(cells[i]["scale"] for i in inside):
            members = [i for i in inside if cells[i]["scale"] == scale]
            ranked = [i for i in members if _is_ranked(cells[i], remarks[i])]
            styles = [
                _ranks({i: by_cell[i]["mean"].iloc[c] for i in ranked}, metric)
                for c, (metric, _) in enumerate(columns)
            ]
            rows = []
            for i in members:
                marks = "".join(mark for note, mark in MARKS.items() if note in remarks[i])
                control = " (control)" if cells[i]["control"] else ""
                row = [Entry(f"{cells[i]['method_label']}{control}{marks}")]
                for c, record in enumerate(by_cell[i].itertuples(index=False)):
                    row.append(_entry(record, cells[i]["skipped"], styles[c].get(i, "")))
                    if beside[c]:
                        text = _number(record.published_mean, record.published_std, record.metric)
                        row.append(Entry(text, "published"))
                row.append(Entry(str(by_cell[i]["n"].max()) if width else ""))
                rows.append(row)
            groups.append((f"{scale_name(scale)}×", rows))
        blocks.append(Block(str(cells[inside[0]]["dataset_label"]), [*header, "n"], groups))
    return blocks


def _is_ranked(cell: Mapping, remarks: list[str]) -> bool:
    return not cell["control"] and not cell["skipped"] and not set(MARKS) & set(remarks)


def _ranks(means: dict[int, float], metric: str) -> dict[int, str]:
    """Return who is best and second; nobody if there are not two to compare. Ties share."""
    means = {i: mean for i, mean in means.items() if not math.isnan(mean)}
    order = sorted(set(means.values()), reverse=metric_modules.metadata(metric).better == "higher")
    if len(means) < 2:
        return {}
    names = {order[0]: "best"}
    if list(means.values()).count(order[0]) == 1:
        names[order[1]] = "second"
    return {i: names[mean] for i, mean in means.items() if mean in names}


def _entry(record: tuple, skipped: str | None, style: str) -> Entry:
    if skipped:
        return Entry("n/a", "absent")
    if not record.n:
        return Entry("missing", "absent")
    return Entry(_number(record.mean, record.std, record.metric), style)


def _number(mean: float, std: float, metric: str) -> str:
    """Return mean ± std with the metric's decimals; empty if unknown."""
    if math.isnan(mean):
        return ""
    digits = metric_modules.metadata(metric).digits
    parts = [mean] if math.isnan(std) else [mean, std]
    return " ± ".join(f"{x:.{digits}f}" if math.isfinite(x) else f"{x}" for x in parts).replace(
        "inf", "∞"
    )


def _heading(metric: str, region: str) -> str:
    about = metric_modules.metadata(metric)
    arrow = "↑" if about.better == "higher" else "↓"
    where = "" if region == "volume" else f" in {region}"
    return f"{about.label}{where} {arrow}" + (f" ({about.unit})" if about.unit else "")


def _footnotes(
    cells: Sequence[Mapping],
    remarks: list[list[str]],
    frame: pd.DataFrame,
    notes: Mapping[str, str],
    published: pd.DataFrame | None,
    baseline: str | None,
) -> list[str]:
    found = [
        "Mean ± sample standard deviation over n test subjects. For each scale and column the best"
        " is bold and the second best underlined. Controls bound the table from below and above;"
        " they and marked rows are not ranked."
    ]
    if np.isinf(frame["mean"]).any():
        found.append("∞: equal to the ground truth.")
    for topic, text in notes.items():
        if text:
            topic = topic.replace("_", " ").capitalize()
            said = str(text).casefold().startswith(topic.casefold())
            found.append(str(text) if said else f"{topic}: {text}")

    def places(remark: str) -> str:
        chosen = [c for c, its in zip(cells, remarks, strict=True) if remark in its]
        return _places(chosen, cells)

    base = next((c["method_label"] for c in cells if c["method"] == baseline), baseline)
    meaning = {
        UNDERTRAINED: f"undertrained, the mean PSNR over the volume is not above {base}; supports"
        " no conclusion",
        COLLAPSED: "collapsed, training ended in a constant output; supports no conclusion",
        UNCHECKED: f"not held against {base}, whose PSNR over the volume (or its own) is missing",
    }
    for remark, text in meaning.items():
        if where := places(remark):
            found.append(f"{MARKS[remark]} {text}: {where}.")
    found += _training(cells)
    for remark in dict.fromkeys(r for its in remarks for r in its):
        if remark.startswith("skipped: "):
            reason = remark.removeprefix("skipped: ").rstrip(".")
            found.append(f"n/a: {places(remark)}: {reason}.")
        elif remark.startswith("restarted "):
            found.append(f"Training {remark} after it had collapsed: {places(remark)}.")
        elif remark == "missing":
            found.append(f"missing: not measured yet: {places(remark)}.")
    if frame["published_mean"].notna().any():
        sources = published["source"].dropna().unique() if "source" in published else []
        found += [str(source) for source in sources] or [
            "published: as the paper printed it, over the volume."
        ]
    simulated = dict.fromkeys(c["dataset_label"] for c in cells if c.get("simulated"))
    found += [f"{name}: no scans; values say nothing about real brains." for name in simulated]
    return found


def _training(cells: Sequence[Mapping]) -> list[str]:
    """Return how far each learned method was trained, against what was published."""
    groups: dict[tuple, list[Mapping]] = {}
    for cell in cells:
        if not cell["learned"] or cell["skipped"]:
            continue
        model = cell["model"] or {}
        goal = cell["published_steps"] or model.get("published_steps")
        steps, preset = model.get("steps"), model.get("preset")
        groups.setdefault((steps, goal, preset), []).append(cell)
    lines = []
    for (steps, goal, preset), its in groups.items():
        done = "an unknown number of steps (no model.json)" if steps is None else f"{steps:,} steps"
        if steps is not None and goal:
            done = f"{steps:,} of the {goal:,} published steps ({_percent(steps / goal)})"
        demo = "; demo preset, a shrunk network and schedule" if preset == "demo" else ""
        lines.append(f"Trained for {done}{demo}: {_places(its, cells)}.")
    return lines


def _places(chosen: Sequence[Mapping], cells: Sequence[Mapping]) -> str:
    """Return methods with their scales, and their datasets if the table has several."""
    several = len({cell["dataset"] for cell in cells}) > 1
    scales: dict[tuple[str, str], list[str]] = {}
    for cell in chosen:
        where = f" on {cell['dataset_label']}" if several else ""
        scales.setdefault((cell["method_label"], where), []).append(scale_name(cell["scale"]))
    return "; ".join(
        f"{method}{where} at {', '.join(f'{scale}×' for scale in its)}"
        for (method, where), its in scales.items()
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %" if ratio >= 0.01 else f"{100 * ratio:.2g} %"


def _styled(
    row: Sequence[Entry], style: Mapping[str, str], escape: Callable[[str], str]
) -> list[str]:
    return [style.get(e.style, "{}").format(escape(e.text)) if e.text else "" for e in row]


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _html(text: str) -> str:
    return html.escape(text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(text.split()))


_TEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "↑": r"$\uparrow$"},
    **{"↓": r"$\downarrow$", "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "≤": r"$\leq$"},
    **{"≥": r"$\geq$", "µ": r"$\mu$", "μ": r"$\mu$", "λ": r"$\lambda$", "σ": r"$\sigma$"},
    **{"°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "–": "--", "—": "---", "→": r"$\to$"},
}


def _tex(text: str) -> str:
    return " ".join(text.split()).translate(str.maketrans(_TEX))
