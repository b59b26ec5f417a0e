"""What a study cost: time and memory of its jobs, in short and by stage."""

from collections.abc import Mapping, Sequence

from mrisr.common.layout import FOLDERS
from mrisr.common.text import duration, listed
from mrisr.methods.model_files import known

#: Stages of the manifest's durations, see `mrisr.report.manifest.durations`; others follow.
FOLDER_ORDER = (*FOLDERS, "report")


def by_stage(stages: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Return one row for each stage and their sum, as text.

    Args:
        stages: See `mrisr.report.manifest.durations`.
    """
    if not stages:
        return []
    return [
        {
            "stage": stage,
            "jobs": f"{stage_cost['jobs']:,}",
            "seconds": duration(stage_cost["seconds"]),
            "cpu": duration(stage_cost["cpu_seconds"]),
            "memory": f"{stage_cost['peak_megabytes']:,.0f} MB",
        }
        for stage, stage_cost in [*sorted(stages.items(), key=_place), ("all", _total(stages))]
    ]


def in_short(manifest: Mapping, models: Sequence[Mapping]) -> list[tuple[str, str]]:
    """Return what a study cost in a few lines, each a name and a text.

    Args:
        manifest: See `mrisr.report.manifest.manifest`.
        models: See `mrisr.plan.cells.models`.
    """
    found = []
    if stages := manifest["durations"]:
        total = _total(stages)
        longest = max(stages, key=lambda stage: stages[stage]["seconds"])
        found += [
            ("Jobs", f"{total['jobs']:,.0f}"),
            ("Time", f"{duration(total['seconds'])}, summed over jobs"),
            ("CPU time", duration(total["cpu_seconds"])),
            ("Longest stage", f"{longest}, {duration(stages[longest]['seconds'])}"),
            ("Largest job", f"{total['peak_megabytes']:,.0f} MB"),
        ]
    trained = [
        about
        for model in models
        if (about := known(model["folder"])) and about.get("seconds") and not about.get("imported")
    ]
    if trained:
        devices = listed(list(dict.fromkeys(str(m["device"]) for m in trained if m.get("device"))))
        spent = duration(sum(about["seconds"] for about in trained))
        said = f"{spent} for {len(trained)} model{'s' * (len(trained) != 1)}"
        found.append(("Training", said + (f", on {devices}" if devices else "")))
    return found


def _total(stages: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    total = {
        key: sum(stage_cost[key] for stage_cost in stages.values())
        for key in ("jobs", "seconds", "cpu_seconds")
    }
    return total | {"peak_megabytes": max(cost["peak_megabytes"] for cost in stages.values())}


def _place(item: tuple[str, Mapping]) -> tuple[int, str]:
    return (FOLDER_ORDER.index(item[0]) if item[0] in FOLDER_ORDER else len(FOLDER_ORDER)), item[0]
