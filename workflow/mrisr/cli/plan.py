"""The command `mrisr plan`: the bill of a study before it runs."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.run import DEMO, find_config
from mrisr.common.progress import job


def plan(
    context: typer.Context,
    configfile: Annotated[
        Path | None,
        typer.Option(
            help="The study's config; a file or a name after the command means the same.",
            exists=True,
            dir_okay=False,
            show_default="config/demo.yaml",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY=VALUE ... as for Snakemake, e.g. 'scales=[2, 4]' seed=2; repeatable."
        ),
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
    words, named = list(context.args), None
    if configfile is None and words and "=" not in words[0] and not words[0].startswith("-"):
        named = words.pop(0)
    pairs = _pairs(config or [], words)
    with job(None):
        file = find_config(named) if named is not None else configfile or DEMO
        from mrisr.plan import bill as plans
        from mrisr.plan import costs as recorded
        from mrisr.plan.jobs import StudyJobs
        from mrisr.study.load import load_study

        study_jobs = StudyJobs(load_study(file, pairs))
        known = recorded.Costs.load(costs or recorded.FOLDER)
        if record is None:
            found = plans.plan(study_jobs, known, parallel or [1], remaining)
            typer.echo(plans.described(found, study_jobs))
            return
        before = recorded.Costs.load(record)
        before.updated(recorded.record(study_jobs, gpu)).save(record)
        typer.echo(f"{record}: {len(recorded.Costs.load(record).costs)} costs")


def _pairs(first: list[str], more: list[str]) -> list[str]:
    """Return all KEY=VALUE of `--config A=1 B=2`, where the later words have no option.

    Raises:
        typer.BadParameter: There are words without --config, or words that are no KEY=VALUE.
    """
    wrong = [word for word in more if not first or "=" not in word or word.startswith("-")]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]}: unexpected; --config takes KEY=VALUE")
    return [*first, *more]
