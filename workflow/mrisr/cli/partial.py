"""The command `mrisr partial`: the results so far of a study that still runs."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr import metrics
from mrisr.common.progress import job

FILE = {"exists": True, "dir_okay": False}


def partial(
    configfile: Annotated[
        Path, typer.Option("--configfile", help="The study's config, as for snakemake.", **FILE)
    ],
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="key=value, as for snakemake; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; default partial/<study>."),
    ] = None,
    only_say: Annotated[
        bool, typer.Option("--say", help="Only say how far the study is; make nothing.")
    ] = False,
) -> None:
    """Make tables, figures and report from what exists of a study.

    Run it in the folder that Snakemake runs in, at any time. Results are only read, and
    Snakemake's lock does not matter.
    """
    with job(None):
        from mrisr.plan.state import state
        from mrisr.report.partial import described
        from mrisr.report.partial import partial as make
        from mrisr.study.load import load_study

        study = load_study(configfile, config or [])
        metrics.use(study.plugins)  # this process makes tables and figures
        if only_say:
            typer.echo(described(study.name, state(study)), nl=False)
            return
        page = make(study, output or Path("partial") / study.name, typer.echo)
        typer.echo(f"Open {page} in a browser.")
