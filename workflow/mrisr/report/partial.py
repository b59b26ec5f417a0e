"""Tables, figures and report from the results so far, while the workflow still runs.

The study is not changed: results are only read, and the output has its own folder. Results appear
under their final names whole, so every existing file can be read.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mrisr.common.errors import ConfigError, MrisrError
from mrisr.common.files import digest, write_json, write_text
from mrisr.common.layout import FIGURE_SUFFIXES, TABLE_SUFFIXES
from mrisr.common.progress import progress
from mrisr.common.provenance import code_digest
from mrisr.figures import files as figure_files
from mrisr.plan import figures as figure_plan
from mrisr.plan import tables as table_plan
from mrisr.plan.report import source_lists, study_facts, viewer_settings
from mrisr.plan.state import DONE, FAILED, RUNNING, SKIPPED, STOPPED, WAITING, State, state
from mrisr.report.content import report
from mrisr.report.manifest import manifest
from mrisr.report.viewer import gallery
from mrisr.study.study import Study
from mrisr.tables import from_files

#: Number of failed jobs that are listed in full.
LISTED = 20


def partial(study: Study, folder: str | Path, say: Callable[[str], None]) -> Path:
    """Make tables, figures and report of a study from the results so far.

    Args:
        study: The study; its results are below the working directory.
        folder: Folder for `tables/`, `figures/`, `report.html` and `manifest.json`.
        say: Called with lines for the user.

    Returns:
        The report.

    Raises:
        ConfigError: The workflow writes to this folder.
    """
    folder = Path(folder)
    if folder.resolve().is_relative_to(Path(study.layout.root).parent.resolve()):
        raise ConfigError(
            f"{folder}: is inside {Path(study.layout.root).parent}/, which the workflow owns;"
            " choose another folder (-o)"
        )
    found = state(study)
    say(described(study.name, found))
    names = _tables(study, folder, say)
    drawn = _figures(study, folder, say)
    about = study_facts(study)
    settings = viewer_settings(study.config)
    layout = study.layout
    record = manifest(
        study.config,
        study.seed,
        tables=[_table(folder, name, form) for name in names for form in TABLE_SUFFIXES],
        figures=[str(path) for json in drawn for path in (json, json.with_suffix(".png"))],
        models=_there(
            [
                f"{folder}/model.safetensors"
                for model in about["models"]
                for folder in (model["folder"], *model["repeats"])
            ]
        ),
        sources=_there(source_lists(study)),
        benchmarks=f"{layout.root}/benchmarks",
        logs=f"{layout.root}/logs",
    )
    report(
        folder / "report.html",
        study_facts=about,
        tables={name: (title, _table(folder, name, "html")) for name, title in names.items()},
        figures=drawn,
        manifest=record,
        viewer=gallery(about["viewer"], settings["megabytes"]) if settings else None,
        quality=_table(folder, "quality", "csv"),
        significance=_table(folder, "significance", "csv"),
        state=for_page(found),
    )
    write_json(folder / "manifest.json", record)
    return folder / "report.html"


def described(name: str, found: State) -> str:
    """Return the state of a study as lines for a terminal: by method and scale, then failures."""
    scales, rows = found.table()
    done, total = found.count(DONE), found.wanted
    share = f"{100 * done / total:.0f} %" if total else "nothing to do"
    lines = [f"{name}: {done} of {total} cells measured ({share}); {_counts(found)}."]
    if found.overlaps[1]:
        lines.append(f"Overlaps of segmentations: {found.overlaps[0]} of {found.overlaps[1]}.")
    header = ["", *(f"{scale}×" for scale in scales)]
    body = [[label, *(text for text, _ in line)] for _, label, line in rows]
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines += [
        "",
        *(
            "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip()
            for line in [header, *body]
        ),
    ]
    if found.failures:
        lines += ["", f"Failed: {len(found.failures)} job(s). Logs:"]
        lines += [f"  {failure.log}\n    {failure.reason}" for failure in found.failures[:LISTED]]
        if len(found.failures) > LISTED:
            lines.append(f"  and {len(found.failures) - LISTED} more")
    return "\n".join(lines) + "\n"


def for_page(found: State) -> dict:
    """Return the state of a study for the report's template."""
    scales, rows = found.table()
    return {
        "done": found.count(DONE),
        "of": found.wanted,
        "counts": _counts(found),
        "overlaps": found.overlaps,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "scales": scales,
        "rows": [
            {
                "method": name,
                "label": label,
                "cells": [
                    {"scale": scale, "text": text, "state": state.replace("/", "")}
                    for scale, (text, state) in zip(scales, line, strict=True)
                ],
            }
            for name, label, line in rows
        ],
        "failures": [{"log": failure.log, "reason": failure.reason} for failure in found.failures],
    }


def _counts(found: State) -> str:
    what = {
        FAILED: "failed",
        RUNNING: "at work",
        STOPPED: "begun, but nothing runs",
        WAITING: "waiting",
        SKIPPED: "not applicable",
    }
    said = [f"{found.count(key)} {text}" for key, text in what.items() if found.count(key)]
    return ", ".join(said) or "nothing is missing"


def _table(folder: Path, name: str, suffix: str) -> str:
    return str(folder / "tables" / f"{name}.{suffix}")


def _there(files: list[str]) -> list[str]:
    return [file for file in files if Path(file).exists()]


def _tables(study: Study, folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Write the tables; return the titles of those that could be made, in the report's order."""
    planned = table_plan.tables(study, lambda name, suffix: _table(folder, name, suffix))
    made = set()
    for table in progress(table_plan.in_making_order(planned), "tables"):
        if _tried(
            lambda to_make=table: from_files.make(to_make.maker, to_make.arguments).write(
                folder / "tables" / to_make.name
            ),
            f"table {table.name}",
            say,
        ):
            made.add(table.name)
    return {table.name: table.title for table in planned if table.name in made}


def _figures(study: Study, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Draw the figures; return the records of those that could be drawn.

    A figure is drawn again only if its inputs, or the code that draws it, have changed.
    """
    made = []
    for figure in progress(figure_plan.figures(study), "figures"):
        stem = folder / "figures" / figure.name
        outputs = [stem.with_name(f"{figure.name}.{suffix}") for suffix in FIGURE_SUFFIXES]
        mark, basis = folder / "figures" / ".drawn" / figure.name, _basis(figure)
        drawn = mark.exists() and mark.read_text() == basis and all(map(Path.exists, outputs))
        if drawn or _tried(
            lambda planned=figure, files=outputs: figure_files.draw(
                planned.kind, planned.params, files
            ),
            f"figure {figure.name}",
            say,
        ):
            write_text(mark, basis)
            made.append(stem.with_name(f"{figure.name}.json"))
    return made


def _basis(figure: figure_plan.Planned) -> str:
    """Return a digest of a figure's present inputs, and of the code that draws it."""
    times = [Path(file).stat().st_mtime_ns for file in _there(figure.inputs)]
    return digest([figure.params, _there(figure.inputs), times, code_digest(figure.module)])


def _tried(make: Callable[[], object], what: str, say: Callable[[str], None]) -> bool:
    """Make something, or say why it cannot be made yet: Snakemake may remove a file meanwhile."""
    for last in (False, True):
        try:
            make()
        except FileNotFoundError as error:
            if last:
                say(f"not yet: {what}: {error.filename} is not there")
        except MrisrError as error:
            say(f"not yet: {what}: {error}")
            break
        else:
            return True
    return False
