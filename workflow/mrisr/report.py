"""The page to read, `report.html`, and the record of how a study was made, `manifest.json`."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mrisr import __version__, table_html
from mrisr.errors import InputError
from mrisr.figure_files import read_record
from mrisr.files import sha256, write_text
from mrisr.layout import scale_name
from mrisr.provenance import commit, versions

TEMPLATES = Path(__file__).parent.parent / "report"
UNKNOWN = "–"


def summarise(
    datasets: Mapping[str, int],
    methods: Sequence[str],
    scales: Sequence[float],
    degradation: str,
    real: Mapping[str, int] | None = None,
) -> str:
    """Return in two sentences what a study did, in one more what with real LR scans.

    Args:
        datasets: Number of test subjects by label of the dataset, where there is a ground truth.
        methods: Labels without controls, in the config's order.
        scales: Up-sampling scales k.
        degradation: How LR is made, to follow "made from the ground truth by", e.g.
            `cubic B-spline down-sampling`.
        real: Number of test subjects by label of the dataset, for real LR scans.
    """
    names, factors = _listed(list(methods)), _listed([f"{scale_name(k)}×" for k in scales])
    said = []
    if datasets:
        said.append(
            f"Low-resolution input of {_cohorts(datasets)} was made from the ground truth by"
            f" {degradation} at {factors}. {names} reconstructed it on the grid of the ground"
            " truth, against which every volume was measured."
        )
    if real:
        how = "likewise" if datasets else f"by {names} at {factors}"
        said.append(
            f"Real low-resolution scans of {_cohorts(real)} were reconstructed {how}; they have no"
            " ground truth, so only metrics without reference are given."
        )
    return " ".join(said)


def _cohorts(datasets: Mapping[str, int]) -> str:
    return _listed(
        [f"{n} test subject{'s' * (n != 1)} of {label}" for label, n in datasets.items()]
    )


def manifest(
    config: Mapping[str, Any],
    seed: int,
    *,
    tables: Sequence[str | Path] = (),
    figures: Sequence[str | Path] = (),
    models: Sequence[str | Path] = (),
    sources: Sequence[str | Path] = (),
    time: datetime | None = None,
) -> dict:
    """Return the content of `manifest.json`.

    Args:
        config: The study's config, complete.
        seed: The study's seed.
        tables: Files of tables.
        figures: Files of figures.
        models: Files of weights.
        sources: TSV lists of the raw scans, which hold each scan's own checksum.
        time: When it was made, default now.

    Returns:
        study, time (UTC), mrisr, commit, versions, host (of this job; the device that a model
        was trained on is in its model.json), seed, config, and sha256 by kind and path.

    Raises:
        InputError: A file to be recorded is not there.
    """
    kinds = {"tables": tables, "figures": figures, "models": models, "sources": sources}
    return {
        "study": config.get("study", ""),
        "time": (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        "mrisr": __version__,
        "commit": commit(),
        "versions": versions(),
        "host": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "gpu": _gpu(),
        },
        "seed": seed,
        "config": dict(config),
        "sha256": {
            kind: {str(path): _digest(path) for path in paths} for kind, paths in kinds.items()
        },
    }


def report(
    output: str | Path,
    *,
    title: str,
    summary: str,
    tables: Sequence[str | Path],
    figures: Sequence[str | Path],
    models: Sequence[Mapping[str, Any]],
    datasets: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    warnings: Sequence[str] = (),
    overlap: Sequence[str | Path] = (),
    folded: Sequence[tuple[str, str | Path]] = (),
) -> None:
    """Write one self-contained HTML page: nothing is loaded from elsewhere.

    Args:
        output: `report.html`.
        title: Title of the study.
        summary: What was done, see `summarise`.
        tables: HTML fragments, as `mrisr.tables.Table` writes them.
        figures: Records of figures (see `mrisr.figure_files`), each beside its PNG.
        models: What each `model.json` says (steps, published_steps, parameters, seconds,
            val_loss, best_epoch, restarts, collapsed, preset, device, imported, file; absent ones
            show as unknown), with `label` of the method and `trained`, the folder's name.
        datasets: What each dataset's YAML says (label, description, licence, citation, doi, url,
            simulated), and `subjects`, numbers by split.
        manifest: See `manifest`.
        warnings: Set off at the top of the page; that datasets are simulated is added.
        overlap: HTML fragments of the section about segmentation; without any it is left out.
        folded: Further tables, shown under the others when their heading is clicked: heading and
            HTML fragment.

    Raises:
        InputError: A table or figure is not there.
    """
    made_up = [str(d["label"]) for d in datasets if d.get("simulated")]
    if made_up:
        warnings = [
            *warnings,
            f"{_listed(made_up)}: simulated scans. They show that the workflow runs; values"
            " measured on them say nothing about real brains.",
        ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        summary=summary,
        warnings=list(warnings),
        tables=[_table(path) for path in tables],
        overlap=[_table(path) for path in overlap],
        folded=[(heading, _table(path)) for heading, path in folded],
        figures=[_figure(Path(record)) for record in figures],
        models=[_model(model) for model in models],
        datasets=[_dataset(dataset) for dataset in datasets],
        facts=_facts(manifest),
    )
    write_text(output, page)


def _table(path: str | Path) -> Markup:
    """Return what of a table's page is set in this one."""
    return Markup(table_html.section(_read(path).decode("utf-8")))


def _figure(record: Path) -> dict[str, Any]:
    image = _read(record.with_suffix(".png"))
    return {**read_record(record), "data": base64.b64encode(image).decode("ascii")}


def _model(model: Mapping[str, Any]) -> dict[str, str]:
    """Return a model's row of the page as text."""

    def shown(key: str, pattern: str = "{}") -> str:
        value = model.get(key)
        return UNKNOWN if value is None else pattern.format(value)

    imported = Path(model["file"]).name if model.get("imported") else None
    remarks = [
        *([f"weights imported from {imported}"] if imported else []),
        *(["collapsed: supports no conclusion"] if model.get("collapsed") else []),
        *(["demo preset"] if model.get("preset") == "demo" else []),
    ]
    return {
        "label": str(model["label"]),
        "trained": str(model["trained"]),
        "parameters": shown("parameters", "{:,}"),
        "steps": shown("steps", "{:,}"),
        "published_steps": shown("published_steps", "{:,}"),
        "val_loss": shown("val_loss", "{:.4g}"),
        "best_epoch": shown("best_epoch"),
        "seconds": UNKNOWN if model.get("seconds") is None else _duration(model["seconds"]),
        "restarts": shown("restarts"),
        "device": shown("device"),
        "remark": "; ".join(remarks),
    }


def _dataset(dataset: Mapping[str, Any]) -> dict[str, Any]:
    subjects = dataset.get("subjects") or {}
    # Only web addresses become links: a dataset's YAML may come from anybody.
    url = str(dataset.get("url") or "")
    return {
        **{key: dataset.get(key) or "" for key in ("description", "licence", "citation", "doi")},
        "label": dataset["label"],
        "simulated": bool(dataset.get("simulated")),
        "subjects": ", ".join(f"{count} {split}" for split, count in subjects.items()),
        "link": url if url.startswith(("https://", "http://")) else "",
    }


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the manifest in short, a line a fact."""
    host = manifest["host"]
    counts = [f"{kind}: {len(files)}" for kind, files in manifest["sha256"].items() if files]
    return [
        ("Study", manifest["study"]),
        ("Made", manifest["time"]),
        ("mrisr", f"{manifest['mrisr']}, commit {manifest['commit']}"),
        ("Seed", str(manifest["seed"])),
        ("Page made on", f"{host['platform']}, {host['cpus']} CPUs, GPU: {host['gpu'] or 'none'}"),
        ("Versions", ", ".join(f"{name} {v}" for name, v in manifest["versions"].items())),
        ("Files recorded", ", ".join(counts) or "nothing yet"),
    ]


def _gpu() -> str | None:
    """Return the name of the first GPU, or None."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it, or leave it out of the report") from None


def _digest(path: str | Path) -> str:
    try:
        return sha256(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it before the manifest") from None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _listed(items: Sequence[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
