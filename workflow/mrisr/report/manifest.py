"""The record of how a study was made, `manifest.json`."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mrisr import __version__
from mrisr.common.errors import InputError
from mrisr.common.files import sha256
from mrisr.common.provenance import commit, versions
from mrisr.evaluate.read_table import read_table
from mrisr.figures.net_seconds import RAN
from mrisr.methods.model_files import known


def manifest(
    config: Mapping[str, Any],
    seed: int,
    *,
    tables: Sequence[str | Path] = (),
    figures: Sequence[str | Path] = (),
    models: Sequence[str | Path] = (),
    sources: Sequence[str | Path] = (),
    benchmarks: str | Path | None = None,
    logs: str | Path | None = None,
    time: datetime | None = None,
) -> dict:
    """Return the content of `manifest.json`.

    Args:
        config: The study's config, complete.
        seed: The study's seed.
        tables: Files of tables.
        figures: Files of figures.
        models: Files of weights.
        sources: TSV lists of the raw scans, with the checksum of each scan.
        benchmarks: The study's folder of benchmarks, see `durations`.
        logs: The study's folder of logs, see `threads`.
        time: Time of the manifest, default now.

    Returns:
        study, time (UTC), mrisr, commit, versions, host (of this job; model.json has the device
        that a model was trained on), seed, config, durations, threads, and sha256 by kind and path.

    Raises:
        InputError: A file to be recorded is missing.
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
        "durations": durations(benchmarks) if benchmarks else {},
        "threads": threads(models, logs),
        "sha256": {
            kind: {str(path): _digest(path) for path in paths} for kind, paths in kinds.items()
        },
    }


def durations(folder: str | Path) -> dict[str, dict[str, float]]:
    """Sum up Snakemake's benchmarks by stage, the last run of each job.

    Args:
        folder: `results/<study>/benchmarks`, which mirrors the paths of the results.

    Returns:
        By stage (the first folder of the path): jobs, seconds (wall time, summed over jobs),
        cpu_seconds, and peak_megabytes of the largest job. Jobs too short to measure
        count with the values that they have.
    """
    folder = Path(folder)
    stages: dict[str, dict[str, float]] = {}
    for file in sorted(folder.rglob("*.tsv")):
        path = file.relative_to(folder)
        stage = path.parts[0] if len(path.parts) > 1 else "report"
        row = read_table(file, separator="\t", missing=("-", "NA")).iloc[-1]
        totals = stages.setdefault(
            stage, {"jobs": 0, "seconds": 0.0, "cpu_seconds": 0.0, "peak_megabytes": 0.0}
        )
        known = row[["s", "cpu_time", "max_rss"]].dropna().astype(float)
        totals["jobs"] += 1
        totals["seconds"] = round(totals["seconds"] + known.get("s", 0), 2)
        totals["cpu_seconds"] = round(totals["cpu_seconds"] + known.get("cpu_time", 0), 2)
        totals["peak_megabytes"] = max(totals["peak_megabytes"], known.get("max_rss", 0))
    return stages


def threads(
    models: Sequence[str | Path], logs: str | Path | None = None
) -> dict[str, dict[str, int]]:
    """Return the number of threads of trainings and reconstructions, which affects last digits.

    Args:
        models: Files of weights; for trained ones `model.json` beside them has the number.
        logs: `results/<study>/logs`; the logs in `sr/` have the number for reconstructions.

    Returns:
        By stage (train, reconstruct) and path, which is that of the model or below `logs/sr`.
    """
    trained = {str(path): (known(str(Path(path).parent)) or {}).get("threads") for path in models}
    made = {}
    for log in sorted(Path(logs, "sr").rglob("*.log")) if logs else []:
        with suppress(PermissionError):  # the log of another user
            if said := RAN.search(log.read_text(encoding="utf-8", errors="replace")):
                made[str(log.relative_to(Path(logs, "sr")).with_suffix(""))] = int(said["threads"])
    return {
        "train": {path: count for path, count in trained.items() if count is not None},
        "reconstruct": made,
    }


def _gpu() -> str | None:
    """Return the name of the first GPU, or None."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _digest(path: str | Path) -> str:
    try:
        return sha256(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it before the manifest") from None
