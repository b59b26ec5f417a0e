"""The command `mrisr config`: a study's config after all merges."""

from pathlib import Path
from typing import Annotated

import typer

from mrisr.common.progress import job

app = typer.Typer(no_args_is_help=True, help="Show a study's config, with its base merged in.")


@app.callback()
def main() -> None:
    """Hold the commands together: typer would drop the name of a single one."""


@app.command()
def show(
    configfile: Annotated[
        Path, typer.Option(help="The study's config.", exists=True, dir_okay=False)
    ] = Path("config/demo.yaml"),
    config: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE as for Snakemake, e.g. 'scales=[2, 4]'; may be repeated."),
    ] = None,
) -> None:
    """Print all of a config, its base and --config merged: a config in itself; then check it."""
    with job(None):
        from mrisr.common.schema import changes, yaml_text
        from mrisr.study import inherit
        from mrisr.study.load import checked_written

        written = inherit.together([configfile], changes(config or []))
        typer.echo(f"# {', laid over '.join(written.files)}")
        typer.echo(yaml_text(written.content), nl=False)
        checked_written(written, str(configfile))
