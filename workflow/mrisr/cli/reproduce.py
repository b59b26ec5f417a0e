"""The command `mrisr reproduce`: the studies of the papers, one after the other."""

import subprocess
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.snakemake_call import DRY_RUN, check_installed, command, named
from mrisr.common.paths import ROOT
from mrisr.common.progress import job

#: The papers' studies, `config/<name>.yaml`.
PAPERS = ("arssr", "irem", "coord")
CONDA = ("--sdm", "--software-deployment-method", "--use-conda")


def reproduce(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PAPER]... [-- OPTIONS]",
            help=f"{', '.join(PAPERS)}; default all. Options of Snakemake stand behind `--`.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would run.")
    ] = False,
) -> None:
    """Run the studies of the papers, one after the other; the first that fails ends it.

    The same command goes on where it ended.
    """
    papers = list(takewhile(lambda word: not word.startswith("-"), words or [])) or list(PAPERS)
    options = list(dropwhile(lambda word: not word.startswith("-"), words or []))
    dry_run = dry_run or named(options, DRY_RUN)
    with job(None):
        _check(papers, needs_bm3d=not dry_run and not named(options, CONDA))
    for number, paper in enumerate(papers):
        typer.echo(f"== {paper}: {_config(paper)}", err=True)
        code = subprocess.run(command(_config(paper), options, dry_run)).returncode
        if code:
            done, left = papers[:number], papers[number + 1 :]
            typer.echo(
                f"error: {paper}: Snakemake ended with exit code {code}, its message is above;"
                f" done: {', '.join(done) or 'none'}; not begun: {', '.join(left) or 'none'}."
                " The same command goes on from here",
                err=True,
            )
            raise typer.Exit(code)
    if not dry_run:
        for paper in papers:
            typer.echo(f"results/{paper}/report.html")


def _check(papers: list[str], needs_bm3d: bool) -> None:
    """Refuse what would stop a later study, before the first one runs for days.

    Raises:
        ConfigError: There is no such paper, its config is refused, or a package is missing.
    """
    from mrisr.common.errors import ConfigError
    from mrisr.common.optional_packages import BM3D_LACKING, has_bm3d
    from mrisr.common.schema import nearest
    from mrisr.study.load import load_study

    check_installed()
    for paper in papers:
        if paper not in PAPERS:
            raise ConfigError(f"no paper '{paper}': {nearest(paper, PAPERS)}")
        study = load_study(_config(paper))
        if needs_bm3d and study.denoising and not has_bm3d():
            raise ConfigError(f"{paper}: {BM3D_LACKING}")


def _config(paper: str) -> Path:
    return ROOT / "config" / f"{paper}.yaml"
