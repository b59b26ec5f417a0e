"""The commands `mrisr run` and `mrisr init`: a study in any folder, without make or a checkout."""

import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Annotated

import typer

from mrisr.cli.snakemake_call import DRY_RUN, check_installed, command, named
from mrisr.common.paths import ROOT
from mrisr.common.progress import job

DEMO = ROOT / "config" / "demo.yaml"


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG] [-- OPTIONS]",
            help="A config, or the name of one that comes with mrisr; default the only one in"
            " config/, else the demo. Targets and options of Snakemake stand behind `--`.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would run.")
    ] = False,
) -> None:
    """Run a study in this folder: `snakemake` with few words, on all cores.

    The same command goes on where it ended. Results appear in results/<study>/.
    """
    options = list(words or [])
    config = options.pop(0) if options and not options[0].startswith("-") else None
    dry_run = dry_run or named(options, DRY_RUN)
    with job(None):
        from mrisr.plan.ending import report_of, up_to_date

        check_installed()
        file = find_config(config)
        report = report_of(file)
    if config is None:
        typer.echo(f"the study is {file}", err=True)
    start = time.time()
    code = subprocess.run(command(file, options, dry_run)).returncode
    if code:
        raise typer.Exit(code)
    # Snakemake's end names a report that it wrote, and not one that is there already.
    targets = bool(options) and not options[0].startswith("-")
    if not (dry_run or targets) and report.exists() and report.stat().st_mtime < start:
        typer.echo(up_to_date(report))


def find_config(given: str | None, folder: str | Path = "config") -> Path:
    """Return the config that a word of `mrisr run` means.

    Args:
        given: A file; a name of a config in `folder` or of one that comes with mrisr; or None.
        folder: Folder of the user's configs.

    Raises:
        ConfigError: There is no such config, or none is given and there are several.
    """
    from mrisr.common.errors import ConfigError
    from mrisr.common.schema import nearest

    own = {file.stem: file for file in sorted(Path(folder).glob("*.yaml"))}
    shipped = {file.stem: file for file in sorted(DEMO.parent.glob("*.yaml"))}
    if given is None:
        if not own or Path(folder).resolve() == DEMO.parent.resolve():
            return DEMO
        if len(own) > 1:
            raise ConfigError(f"{folder}/ has several configs; name one of {', '.join(own)}")
        return next(iter(own.values()))
    if Path(given).is_file():
        return Path(given)
    known = {**shipped, **own}
    if given in known:
        return known[given]
    raise ConfigError(f"no config '{given}' here: {nearest(given, known)}")


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to be made.", file_okay=False)],
    base: Annotated[
        str, typer.Option(help="The study to start from, e.g. demo, open, arssr.")
    ] = "demo",
) -> None:
    """Make a working folder: the config of a study, and a profile for Slurm to fill in."""
    with job(None):
        from mrisr.scaffold.working_folder import make
        from mrisr.study import inherit

        name = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_") or "study"
        inherit.resolved({"base": base, "study": name}, f"config/{name}.yaml")
        for file in make(folder, name, base):
            typer.echo(f"  {file}")
        typer.echo("Next:")
        for line in (
            f"cd {shlex.quote(str(folder))}",
            "mrisr run -n                        # what would run",
            "mrisr run                           # run it",
            "mrisr run -- --profile slurm        # on a cluster, see slurm/partitions.yaml",
        ):
            typer.echo(f"  {line}")
