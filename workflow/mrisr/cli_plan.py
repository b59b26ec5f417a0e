"""The command `mrisr plan`: the bill of a study before it runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mrisr.errors import ConfigError
from mrisr.progress import job


def plan(
    configfile: Annotated[
        Path, typer.Option(help="The study's config.", exists=True, dir_okay=False)
    ] = Path("config/demo.yaml"),
    config: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE as for Snakemake, e.g. 'scales=[2, 4]'; may be repeated."),
    ] = None,
    parallel: Annotated[
        list[int] | None, typer.Option(min=1, help="Jobs at a time; may be repeated.")
    ] = None,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="Only what has not been made yet.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Write to this folder what the study's jobs cost, from its benchmarks, in place"
            " of a plan. The study must have run here, with this config."
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="With --record: the GPU that jobs which ask for one had.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="Folder of recorded costs.", exists=True, file_okay=False)
    ] = None,
) -> None:
    """Tell what a study takes before it runs: jobs, hours, memory and disk by stage."""
    with job(None):
        from mrisr import costs as recorded
        from mrisr import plan as plans
        from mrisr.jobs import StudyJobs
        from mrisr.methods import merge
        from mrisr.schema import read_yaml
        from mrisr.study import Study

        content = merge(read_yaml(configfile), _changes(config or []))
        study_jobs = StudyJobs(Study(content, str(configfile)))
        known = recorded.Costs.load(costs or recorded.FOLDER)
        if record is None:
            found = plans.plan(study_jobs, known, parallel or [1], remaining)
            typer.echo(plans.described(found, study_jobs))
            return
        before = recorded.Costs.load(record)
        before.updated(recorded.record(study_jobs, gpu)).save(record)
        typer.echo(f"{record}: {len(recorded.Costs.load(record).costs)} costs")


def _changes(pairs: list[str]) -> dict:
    """Return what `KEY=VALUE` pairs say, values read as YAML as Snakemake reads them."""
    import yaml

    changes = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigError(f"--config {json.dumps(pair)}: give KEY=VALUE, e.g. 'scales=[2, 4]'")
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--config {json.dumps(pair)}: not YAML ({error})") from None
    return changes
